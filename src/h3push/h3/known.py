"""Header sections that were seen before: servers are asked the same things and answer with the same fields.

Checking and encoding a header section is most of what a small response costs. What comes out depends on the fields alone as
long as no dynamic table is involved, and so is the same for every connection of the process. Four things are remembered:
requests that came whole and without content, by their bytes; sections of responses; sections of promises and of requests that
we send. A section that holds
a secret is never remembered, nor is a path with a query (it may hold one), nor a large section: what is kept is small and nobody
else's. What connections share they cannot change: the fields of a received request are a tuple.
"""

from typing import Generic, TypeVar

from h3push.errors import LocalProtocolError
from h3push.h3.config import H3Config
from h3push.h3.push.rules import PushRefusal, refusal_of
from h3push.h3.urgency import requested_priority
from h3push.http.fields import Fields, RequestHead, holds_secret, request_fields, response_fields, section_size
from h3push.http.headers import declared_length
from h3push.http.priority import Priority

MAX_REMEMBERED = 256
"""Of each kind; when there are more, all are forgotten."""
MAX_SEEN = 1024
"""Keys that came once, of each kind; when there are more, all are forgotten."""
MAX_ENCODED = 512
"""Requests with more bytes are not remembered."""
MAX_SIZE = 2048
"""Sections of more bytes, counted as SETTINGS_MAX_FIELD_SECTION_SIZE does, are not remembered."""

Key = TypeVar("Key")
Value = TypeVar("Value")


class KnownSection:
    """A header section that has been checked."""

    __slots__ = ("_size", "content_length", "encoded", "fields", "head_of_whole", "head_size")

    def __init__(self, fields: Fields, content_length: int | None) -> None:
        self.fields = fields
        """As they are sent."""
        self.content_length = content_length
        """Content-Length, where present."""
        self.encoded: bytes | None = None
        """As it goes out where no dynamic table is in use, once it has."""
        self.head_of_whole: bytes | None = None
        """The same as a HEADERS frame, with the header of a DATA frame behind it, ..."""
        self.head_size = 0
        """... of so many bytes."""
        self._size: int | None = None

    @property
    def size(self) -> int:
        """As SETTINGS_MAX_FIELD_SECTION_SIZE counts it; reckoned when it is asked for, as most are sent only once."""
        if self._size is None:
            self._size = section_size(self.fields)
        return self._size


class KnownPromise(KnownSection):
    """The header section of a promise that has been checked."""

    __slots__ = ("priority", "refusal", "request")

    def __init__(self, request: RequestHead) -> None:
        super().__init__(request_fields(request), request.content_length)
        self.request = request
        """The promised request."""
        self.priority = requested_priority(request)
        """The priority that it asks for."""
        self.refusal: PushRefusal | None = refusal_of(request)
        """Why nobody may promise it."""


class Remembered(Generic[Key, Value]):
    """Memory of one kind of section. It keeps what comes for the second time: what never comes again costs a number."""

    __slots__ = ("_seen", "kept")

    def __init__(self) -> None:
        self.kept: dict[Key, Value] = {}
        """The sections that are remembered."""
        self._seen: set[int] = set()

    def clear(self) -> None:
        """Forget everything."""
        self.kept.clear()
        self._seen.clear()

    def comes_again(self, key: Key) -> bool:
        """True when a key has come before, so that it is worth making what `remember` keeps; notes that it has come."""
        digest = hash(key)
        if digest in self._seen:
            return True
        if len(self._seen) >= MAX_SEEN:
            self._seen.clear()
        self._seen.add(digest)
        return False

    def remember(self, key: Key, fields: Fields, value: Value) -> None:
        """Keep `value` if its key has come before, unless its fields may hold a secret or are large."""
        if (
            self.comes_again(key)
            and section_size(fields) <= MAX_SIZE
            and not holds_secret(fields)
            and not _has_query(fields)
        ):
            if len(self.kept) >= MAX_REMEMBERED:
                self.kept.clear()
            self.kept[key] = value


requests = Remembered[bytes, tuple[RequestHead, Priority]]()
"""Requests that came whole, without content, in a section that needs no dynamic table; with the priority that they ask for."""
_responses = Remembered[tuple[object, ...], KnownSection]()
_promises = Remembered[RequestHead, KnownPromise]()
_sent = Remembered[RequestHead, KnownSection]()


def may_look_up(config: H3Config) -> bool:
    """True when nothing that is remembered can be over a bound of this connection."""
    return config.max_field_section_size >= MAX_SIZE and config.max_encoded_field_section_size >= MAX_ENCODED


def known_response(status: int, fields: Fields) -> KnownSection:
    """A response's header section, checked; raises `LocalProtocolError` as `response_fields` does."""
    key = (status, *fields)
    known = _responses.kept.get(key)
    if known is None:
        known = KnownSection(response_fields(status, fields), _content_length(fields))
        _responses.remember(key, known.fields, known)
    return known


def known_request(request: RequestHead) -> KnownSection:
    """A request's header section, checked; raises `LocalProtocolError` as `request_fields` does."""
    if type(request.fields) is not tuple:
        request = request._replace(fields=tuple(request.fields))
    known = _sent.kept.get(request)
    if known is None:
        section, length = request_fields(request), request.content_length
        known = KnownSection(section, declared_length(section) if length is None else length)
        _sent.remember(request, section, known)
    return known


def known_promise(request: RequestHead) -> KnownPromise:
    """A promised request's header section, checked; raises `LocalProtocolError` as `request_fields` does."""
    if type(request.fields) is not tuple:
        request = request._replace(fields=tuple(request.fields))
    known = _promises.kept.get(request)
    if known is None:
        known = KnownPromise(request)
        _promises.remember(request, known.fields, known)
    return known


def _has_query(fields: Fields) -> bool:
    return any(name == b":path" and b"?" in value for name, value in fields)


def _content_length(fields: Fields) -> int | None:
    """Content-Length that our caller is about to send; raises `LocalProtocolError` when it is no number."""
    for name, value in fields:
        if len(name) == 14 and name.lower() == b"content-length":
            if not value.isdigit():
                raise LocalProtocolError(f"Content-Length is a number, not {value!r}")
            return int(value)
    return None
