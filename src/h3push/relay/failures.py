"""Failures on the way to the origin, as responses that a person can act on."""

from dataclasses import dataclass

from h3push.errors import (
    ConnectFailed,
    ConnectFailure,
    ConnectionClosed,
    H3PushError,
    LocalProtocolError,
    PoolTimeout,
    StreamFailed,
    Timeout,
)
from h3push.http.fields import Fields


@dataclass(frozen=True, slots=True)
class Refusal:
    """A response of the relay's own."""

    status: int
    sentence: str
    proxy_status: str = ""
    """An error type of RFC 9209 section 2.3."""

    @property
    def content(self) -> bytes:
        """The sentence, as it is shown."""
        return f"h3push relay: {self.sentence}\n".encode()

    @property
    def fields(self) -> Fields:
        """The header fields."""
        fields = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(self.content)).encode()),
            (b"cache-control", b"no-store"),
        ]
        if self.proxy_status:
            fields.append((b"proxy-status", f"h3push; error={self.proxy_status}".encode()))
        return fields


_CONNECT = {
    ConnectFailure.DNS: (502, "dns_error"),
    ConnectFailure.REFUSED: (502, "connection_refused"),
    ConnectFailure.TIMEOUT: (504, "connection_timeout"),
    ConnectFailure.CERTIFICATE: (502, "tls_certificate_error"),
    ConnectFailure.TLS: (502, "tls_protocol_error"),
    ConnectFailure.PROTOCOL: (502, "http_protocol_error"),
}


def refusal_of(error: H3PushError) -> Refusal:
    """The response to a request that failed before its response had begun."""
    if isinstance(error, ConnectFailed):
        status, word = _CONNECT[error.kind]
        return Refusal(status, str(error), word)
    if isinstance(error, PoolTimeout):
        return Refusal(503, str(error), "connection_limit_reached")
    if isinstance(error, Timeout):
        return Refusal(504, str(error), "http_response_timeout")
    if isinstance(error, ConnectionClosed):
        sentence = f"the connection to the origin was lost before it answered: {error.reason}"
        return Refusal(502, sentence, "connection_terminated")
    if isinstance(error, StreamFailed):
        return Refusal(502, f"the origin did not complete its answer: {error}", "http_response_incomplete")
    if isinstance(error, LocalProtocolError):
        return Refusal(400, f"the request cannot be forwarded: {error}", "http_request_error")
    return Refusal(502, str(error), "proxy_internal_response")
