"""Requests that ask whether a version is still good, answered from here (RFC 9111 section 4.3.2)."""

import re
from collections.abc import AsyncIterator

from h3push.client.answer import Answer
from h3push.http.fields import Field, Fields, RequestHead
from h3push.http.semantics import PRECONDITION_FIELDS

_ANSWERED_HERE = frozenset({b"if-none-match", b"if-modified-since"})
_ENTITY_TAG = re.compile(rb'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_OF_NOT_MODIFIED = frozenset(
    b"cache-control content-location date etag expires vary last-modified age access-control-allow-origin".split()
)
"""Fields of a 304 (RFC 9110 section 15.4.5), and those without which a script may not have it."""


def without_conditions(head: RequestHead) -> RequestHead | None:
    """The request as one that has no copy would make it; `None` when it asks for no version, or for something else too."""
    names = {name for name, _ in head.fields}
    conditions = names & PRECONDITION_FIELDS
    if not conditions or not conditions <= _ANSWERED_HERE or b"range" in names:
        return None
    return head._replace(fields=[field for field in head.fields if field[0] not in conditions])


def names_version(asked: Fields, answered: Fields) -> bool:
    """True when the conditions of a request name the version that a response has: the same entity tag, compared weakly."""
    conditions = _value(asked, b"if-none-match")
    tag = _value(answered, b"etag")
    if conditions is None:
        since = _value(asked, b"if-modified-since")
        return since is not None and since == _value(answered, b"last-modified")
    if tag is None:
        return False
    return conditions.strip() == b"*" or tag.removeprefix(b"W/") in _ENTITY_TAG.findall(conditions)


def not_modified(answer: Answer) -> Answer:
    """The 304 for an answer that its asker has already."""
    fields: list[Field] = [field for field in answer.fields if field[0] in _OF_NOT_MODIFIED]
    return Answer(304, fields, answer.source, None, _nothing())


async def _nothing() -> AsyncIterator[bytes]:
    nothing: tuple[bytes, ...] = ()
    for piece in nothing:
        yield piece


def _value(fields: Fields, name: bytes) -> bytes | None:
    values = [value for one, value in fields if one == name]
    return b", ".join(values) if values else None
