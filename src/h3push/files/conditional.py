"""Conditional and range requests for one file (RFC 9110 sections 13 and 14), as functions of header values."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate

from h3push.http.semantics import PRECONDITION_FIELDS, parse_date

DECIDING_FIELDS = frozenset({"range", *(name.decode("ascii") for name in PRECONDITION_FIELDS)})
"""Request fields that a selection depends on; without any of them it is the whole file."""

_ENTITY_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_RANGE = re.compile(r"bytes[ \t]*=[ \t]*(\d{0,19})-(\d{0,19})[ \t]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Validators:
    """Validators: they tell one version of a file from another."""

    etag: str
    """Strong entity tag, with its quotes."""
    last_modified: int
    """Seconds since 1970, as precise as Last-Modified can be."""

    @property
    def fields(self) -> dict[str, str]:
        """The response fields that carry them."""
        return {"etag": self.etag, "last-modified": formatdate(self.last_modified, usegmt=True)}


@dataclass(frozen=True, slots=True)
class Selection:
    """The answer, as far as the request's conditions and its range decide it."""

    status: int
    """200, 206, 304, 412 or 416."""
    offset: int = 0
    """First byte of the content."""
    length: int = 0
    """Bytes of the content; 0 for 304, 412 and 416."""


def validators_of(mtime_ns: int, size: int, coding: str = "") -> Validators:
    """Validators from a file's time of change (nanoseconds), its size (bytes) and its content coding, if any.

    A strong entity tag names one sequence of bytes, so each coding has its own (RFC 9110 section 8.8.3.3).
    """
    seconds = min(max(mtime_ns // 1_000_000_000, 0), 253_402_300_799)
    suffix = f"-{coding}" if coding else ""
    return Validators(f'"{mtime_ns:x}-{size:x}{suffix}"', seconds)


def select(method: str, headers: Mapping[str, str], validators: Validators, size: int) -> Selection:
    """Decide in the order that RFC 9110 section 13.2.2 gives."""
    if not _unchanged_as_required(headers, validators):
        return Selection(412)
    if _is_known_to_client(headers, validators):
        return Selection(304)
    if method == "GET" and "range" in headers and _range_applies(headers, validators):
        return _select_range(headers["range"], size)
    return Selection(200, 0, size)


def _unchanged_as_required(headers: Mapping[str, str], validators: Validators) -> bool:
    if "if-match" in headers:
        return _names(headers["if-match"], validators.etag, weak=False)
    since = _seconds(headers.get("if-unmodified-since"))
    return since is None or validators.last_modified <= since


def _is_known_to_client(headers: Mapping[str, str], validators: Validators) -> bool:
    if "if-none-match" in headers:
        return _names(headers["if-none-match"], validators.etag, weak=True)
    since = _seconds(headers.get("if-modified-since"))
    return since is not None and validators.last_modified <= since


def _names(value: str, etag: str, *, weak: bool) -> bool:
    """True when a list of entity tags holds ours; `weak` compares as RFC 9110 section 8.8.3.2 allows for If-None-Match."""
    if value.strip() == "*":
        return True
    return any(f'"{tag}"' == etag and (weak or not prefix) for prefix, tag in _ENTITY_TAG.findall(value))


def _range_applies(headers: Mapping[str, str], validators: Validators) -> bool:
    """If-Range: a part is wanted only of the version that the client has the other parts of."""
    condition = headers.get("if-range")
    if condition is None:
        return True
    if '"' in condition:
        return condition.strip() == validators.etag
    return parse_date(condition) == validators.last_modified


def _select_range(value: str, size: int) -> Selection:
    """One byte range (RFC 9110 section 14.1.2). Several ranges, other units and nonsense get the whole file."""
    match = _RANGE.fullmatch(value.strip())
    whole = Selection(200, 0, size)
    if match is None or not (match[1] or match[2]):
        return whole
    if not match[1]:
        length = min(int(match[2]), size)
        return Selection(206, size - length, length) if length else Selection(416)
    first = int(match[1])
    last = int(match[2]) if match[2] else size - 1
    if match[2] and last < first:
        return whole
    if first >= size:
        return Selection(416)
    return Selection(206, first, min(last, size - 1) - first + 1)


def _seconds(value: str | None) -> int | None:
    """An HTTP date in seconds since 1970; `None` when absent or not understood: then the condition does not count."""
    return None if value is None else parse_date(value)
