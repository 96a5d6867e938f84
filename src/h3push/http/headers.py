"""Header fields for people: case-insensitive names and `str` values over the bytes that are on the wire."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

from mypy_extensions import mypyc_attr

from h3push.http.fields import Field, Fields

HeadersLike = Mapping[str, str] | Iterable[tuple[str, str] | tuple[bytes, bytes]]
"""Taken by every `headers=` argument: a mapping, pairs of `str` or `bytes`, or `Headers`."""


@mypyc_attr(native_class=False)
class NotAField(TypeError):
    """A name or value that is neither `str` nor `bytes`."""


@mypyc_attr(native_class=False)
class BadField(ValueError):
    """A name or value that no field can have."""


class Headers(Mapping[str, str]):
    """An immutable header or trailer section.

    A name that occurs several times keeps all its lines: `headers["vary"]` joins them with ", " (RFC 9110 section 5.3),
    `get_all` gives them one by one (the only right way for Set-Cookie). `str` and `bytes` meet in latin-1, so that every
    byte a peer may send survives.
    """

    __slots__ = ("raw",)

    raw: Sequence[Field]
    """The fields in order, names in lower case; not to be changed."""

    def __init__(self, fields: HeadersLike = (), *, _raw: Sequence[Field] | None = None) -> None:
        self.raw = encode_headers(fields) if _raw is None else _raw

    @classmethod
    def wrap(cls, raw: Sequence[Field]) -> "Headers":
        """Headers over fields that are known to be lower-case bytes, without a copy."""
        return cls(_raw=raw)

    def __getitem__(self, name: str) -> str:
        wanted = _encode_name(name)
        values = [value for field, value in self.raw if field == wanted]
        if not values:
            raise KeyError(name)
        return b", ".join(values).decode("latin-1")

    def get_all(self, name: str) -> list[str]:
        """Every value of `name`, one a field line, in order; empty when there is none."""
        wanted = _encode_name(name)
        return [value.decode("latin-1") for field, value in self.raw if field == wanted]

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        wanted = _encode_name(name)
        return any(field == wanted for field, _ in self.raw)

    def __iter__(self) -> Iterator[str]:
        return iter({name.decode("latin-1"): None for name, _ in self.raw})

    def __len__(self) -> int:
        return len({name for name, _ in self.raw})

    def __eq__(self, other: object) -> bool:
        return list(self.raw) == list(other.raw) if isinstance(other, Headers) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self.raw))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name.decode('latin-1')}: {value.decode('latin-1')}" for name, value in self.raw)
        return f"<Headers {shown}>"


def encode_headers(headers: HeadersLike | None) -> Fields:
    """Headers in any accepted form as the core wants them: pairs of bytes, names in lower case."""
    if headers is None:
        return []
    if type(headers) is Headers:
        return headers.raw if type(headers.raw) is list else list(headers.raw)
    # A dict is asked for first: whether something is a Mapping takes longer to say than what it holds takes to encode.
    pairs = headers.items() if type(headers) is dict or isinstance(headers, Mapping) else headers
    try:
        return [
            (name.lower(), value) if type(name) is bytes and type(value) is bytes else _encode_field(name, value)
            for name, value in pairs
        ]
    except (TypeError, ValueError) as error:
        if isinstance(error, NotAField | BadField):
            raise
        raise TypeError(f"headers must be a mapping or pairs of names and values, not {headers!r}") from None


def has_field(fields: Sequence[Field], name: bytes) -> bool:
    """True when a field of that (lower-case) name is there."""
    for field, _ in fields:  # noqa: SIM110 - a loop is half the price of any()
        if field == name:
            return True
    return False


def declared_length(fields: Iterable[Field]) -> int | None:
    """The Content-Length among fields with names in lower case; `None` when there is none, or none that is a number."""
    for name, value in fields:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return None


def expects_continue(fields: Iterable[Field]) -> bool:
    """True when fields with names in lower case have `Expect: 100-continue` (RFC 9110 section 10.1.1)."""
    return any(name == b"expect" and value.strip().lower() == b"100-continue" for name, value in fields)


def _encode_field(name: str | bytes, value: str | bytes) -> Field:
    try:
        return (
            name.lower() if isinstance(name, bytes) else _encode_name(name),
            value if isinstance(value, bytes) else value.encode("latin-1"),
        )
    except AttributeError:
        kinds = f"{type(name).__name__} and {type(value).__name__}"
        raise NotAField(f"headers must have names and values of str, not {kinds} ({name!r}: {value!r})") from None
    except UnicodeEncodeError:
        raise BadField(f"header {name!r}: {value!r} has characters outside latin-1") from None


@lru_cache(maxsize=512)
def _encode_name(name: str) -> bytes:
    return name.lower().encode("latin-1", "replace")
