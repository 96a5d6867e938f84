"""The response that a handler returns."""

from h3push.h3.known import KnownSection, known_response
from h3push.http.content import Body, Content, known_length, normalize
from h3push.http.fields import Field, Fields
from h3push.http.headers import Headers, HeadersLike, encode_headers
from h3push.http.semantics import NO_CONTENT_STATUSES

_NEVER: Field = (b"", b"")
"""No Date field."""


class Response:
    """A response. One that has `bytes` as its content may be returned any number of times.

    Content-Length is added when the length is known and the headers do not say it.
    """

    __slots__ = ("_dated", "_fields", "_known", "_known_date", "_raw", "body", "status", "trailers")

    _known: KnownSection
    """Its header section, when it was asked for with `_known_date`."""

    def __init__(
        self,
        status: int = 200,
        headers: HeadersLike | None = None,
        content: Content = b"",
        *,
        trailers: HeadersLike | None = None,
        _fields: Fields | None = None,
    ) -> None:
        self.status = status
        """The final status, 200 to 599."""
        self.body: Body = content if type(content) is bytes else normalize(content)
        """The content; iterators are used up by the first response they are sent with."""
        self.trailers = None if trailers is None else encode_headers(trailers)
        """Trailer fields, sent after the content."""
        self._raw = encode_headers(headers) if _fields is None else _fields
        self._fields = _fields
        self._dated = False
        self._known_date: Field | None = _NEVER

    @classmethod
    def wrap(cls, status: int, fields: Fields, content: bytes) -> "Response":
        """A response over fields that are known to be as they are sent, Date apart: lower-case bytes, with Content-Length."""
        return cls(status, None, content, _fields=fields)

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

    def known(self, date: Field | None) -> KnownSection:
        """The header section to send, checked; made once for each `date` (by identity). `LocalProtocolError` for a bad field."""
        if date is not self._known_date:
            self._known = known_response(self.status, self.fields(date))
            self._known_date = date
        return self._known

    def _complete(self) -> Fields:
        fields = self._raw
        sized = False
        for name, _ in fields:
            if name == b"content-length":
                sized = True
            elif name == b"date":
                self._dated = True
        body = self.body
        # Forbidden with 204; with 304 it would have to be that of the 200 response (RFC 9110 section 8.6).
        if not sized and self.status not in NO_CONTENT_STATUSES:
            length = len(body) if type(body) is bytes else known_length(body)
            if length is not None:
                fields = [*fields, (b"content-length", b"%d" % length)]
        if type(body) is bytes:  # a file may change its size, an iterator has none
            self._fields = fields
        return fields

    def __repr__(self) -> str:
        return f"<Response {self.status}>"
