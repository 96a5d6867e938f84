"""The response that a handler returns.

Applications give the same few header fields again and again, as a dictionary. How these are sent is remembered (`KnownHeaders`)
by the rules of `h3.known`: from the second sight on, within bounds, and never with a secret.
"""

from h3push.h3.known import MAX_REMEMBERED, KnownSection, Remembered, known_response
from h3push.http.content import Body, Content, known_length, normalize
from h3push.http.fields import Field, Fields
from h3push.http.headers import Headers, HeadersLike, encode_headers, has_field
from h3push.http.semantics import NO_CONTENT_STATUSES


class KnownHeaders:
    """Header fields that were given before.

    Args:
        fields: as they are sent. Responses share them: not to be changed.
    """

    __slots__ = ("date", "fields", "given", "has_date", "has_length", "length", "order_is_free", "section", "status")

    def __init__(self, fields: Fields) -> None:
        self.fields = fields
        self.order_is_free = len({name for name, _ in fields}) == len(fields)
        """True when no name comes twice, so that dictionaries that are equal mean the same."""
        self.given: dict[str, str] | None = None
        """The dictionary that they were made of: a copy, which nobody changes."""
        self.has_date = has_field(fields, b"date")
        self.has_length = has_field(fields, b"content-length")
        self.section: KnownSection | None = None
        """The whole section of the last response with them, which had ..."""
        self.status = 0
        """... this status, ..."""
        self.length = 0
        """... so many bytes of content ..."""
        self.date: Field | None = None
        """... and this Date."""


class Response:
    """A response. One that has `bytes` as its content may be returned any number of times.

    Content-Length is added when the length is known and the headers do not say it.
    """

    __slots__ = ("_dated", "_fields", "_given", "_raw", "body", "status", "trailers")

    def __init__(
        self,
        status: int = 200,
        headers: HeadersLike | None = None,
        content: Content = b"",
        *,
        trailers: HeadersLike | None = None,
        _fields: Fields | None = None,
        _known: KnownHeaders | None = None,
    ) -> None:
        self.status = status
        """The final status, 200 to 599."""
        self.body: Body = content if type(content) is bytes else normalize(content)
        """The content; iterators are used up by the first response they are sent with."""
        self.trailers = None if trailers is None else encode_headers(trailers)
        """Trailer fields, sent after the content."""
        given = self._given = _known_headers(headers) if type(headers) is dict else _known
        if given is not None:
            self._raw = given.fields
            self._dated = given.has_date
        else:
            self._raw = encode_headers(headers) if _fields is None else _fields
            self._dated = False
        self._fields = _fields

    @classmethod
    def wrap(cls, status: int, fields: Fields, content: bytes, known: KnownHeaders | None = None) -> "Response":
        """A response over fields that are known to be as they are sent, Date apart: lower-case bytes, with Content-Length.

        `known` has the same fields, where they are remembered.
        """
        return cls(status, None, content, _fields=fields, _known=known)

    @property
    def headers(self) -> Headers:
        """The header fields, as given."""
        return Headers.wrap(self._raw)

    def fields(self, date: Field | None = None) -> Fields:
        """The header fields to send: with Content-Length, and with `date` where it is given and not there.

        `OSError` when the content is a file that is not there.
        """
        fields = self._fields
        if fields is None:
            fields = self._complete()
        return fields if date is None or self._dated else [*fields, date]

    def section(self, date: Field | None, length: int) -> KnownSection:
        """The header section to send with `length` bytes of content, checked. `LocalProtocolError` for what cannot be sent."""
        given = self._given
        if given is None:
            if self._fields is None or self._fields is self._raw:
                return known_response(self.status, self.fields(date))
            given = self._given = KnownHeaders(self._raw)  # it was sent before, and will be again
        section = given.section
        # Date is compared by its value: compiled code makes a new tuple of it each time.
        if section is None or given.date != date or given.length != length or given.status != self.status:
            section = given.section = known_response(self.status, self.fields(date))
            given.date, given.length, given.status = date, length, self.status
        return section

    def _complete(self) -> Fields:
        fields, given, body = self._raw, self._given, self.body
        if given is None:
            self._dated = has_field(fields, b"date")
            has_length = has_field(fields, b"content-length")
        else:
            has_length = given.has_length
        # Forbidden with 204; with 304 it would have to be that of the 200 response (RFC 9110 section 8.6).
        if not has_length and self.status not in NO_CONTENT_STATUSES:
            length = len(body) if type(body) is bytes else known_length(body)
            if length is not None:
                fields = [*fields, (b"content-length", b"%d" % length)]
        if type(body) is bytes:  # a file may change its size, an iterator has none
            self._fields = fields
        return fields

    def __repr__(self) -> str:
        return f"<Response {self.status}>"


_known = Remembered[tuple[tuple[str, str], ...], KnownHeaders]()
_last: dict[int, KnownHeaders] = {}
"""The same by the identity of the dictionary that was given last, which is nearly always a constant: a guess, so that its key
need not be made; `KnownHeaders.given` tells whether it is right."""


def _known_headers(headers: dict[str, str]) -> KnownHeaders | None:
    """Header fields that were given before, as they are remembered; `None` the first time, or when they may not be."""
    known = _last.get(id(headers))
    if known is not None and known.given == headers:
        return known
    key = tuple(headers.items())
    try:
        known = _known.kept.get(key)
        if known is None and _known.comes_again(key):
            fields = encode_headers(headers)
            _known.remember(key, fields, KnownHeaders(fields))
            known = _known.kept.get(key)
    except TypeError:  # not to be hashed, so no fields either
        return None
    if known is not None and known.order_is_free:
        _note(headers, known)
    return known


def _note(headers: dict[str, str], known: KnownHeaders) -> None:
    if len(_last) >= MAX_REMEMBERED:
        _last.clear()
    if known.given is None:
        known.given = dict(headers)
    _last[id(headers)] = known
