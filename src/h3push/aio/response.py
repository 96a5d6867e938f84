"""What a handler returns."""

from h3push.aio.content import Body, Content, known_length, normalize
from h3push.aio.headers import Headers, HeadersLike, encode_headers
from h3push.fields import Fields

NO_CONTENT_STATUSES = frozenset({204, 205, 304})
"""Final statuses whose responses have no content, whatever the method (RFC 9110 sections 15.3.5, 15.3.6, 15.4.5)."""

NO_LENGTH_STATUSES = frozenset({204, 304})
"""Statuses for which we add no Content-Length: forbidden with 204, and with 304 it would have to be that of the 200 response
(RFC 9110 section 8.6)."""


class Response:
    """A response. One that has `bytes` as its content may be returned any number of times.

    Content-Length is added when the length is known and the headers do not say it.
    """

    __slots__ = ("_fields", "body", "headers", "status", "trailers")

    def __init__(
        self,
        status: int = 200,
        headers: HeadersLike | None = None,
        content: Content = b"",
        *,
        trailers: HeadersLike | None = None,
    ) -> None:
        self.status = status
        """The final status, 200 to 599."""
        self.headers = headers if isinstance(headers, Headers) else Headers.wrap(encode_headers(headers))
        """The header fields, as given."""
        self.body: Body = normalize(content)
        """The content; iterators are used up by the first response they are sent with."""
        self.trailers = None if trailers is None else encode_headers(trailers)
        """Trailer fields, sent after the content."""
        self._fields: Fields | None = None

    def fields(self) -> Fields:
        """The header fields to send, Content-Length included. `OSError` when the content is a file that is not there."""
        if self._fields is not None:
            return self._fields
        fields = self.headers.raw
        length = None if self.status in NO_LENGTH_STATUSES else known_length(self.body)
        if length is not None and not has_field(fields, b"content-length"):
            fields = [*fields, (b"content-length", b"%d" % length)]
        if isinstance(self.body, bytes):
            self._fields = fields
        return fields

    def __repr__(self) -> str:
        return f"<Response {self.status}>"


def has_field(fields: Fields, name: bytes) -> bool:
    """Whether a field of that (lower-case) name is there."""
    for field, _ in fields:  # noqa: SIM110 - a loop is half the price of any()
        if field == name:
            return True
    return False
