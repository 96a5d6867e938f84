"""Why an upstream gave no answer: the words of Proxy-Status (RFC 9209), a status, and a sentence for whoever can mend it."""

import socket
import ssl
from enum import Enum

from h3push.errors import H3PushError


class UpstreamFailure(Enum):
    """An error of the way to the upstream: its type in Proxy-Status, the status that the client gets, and a sentence."""

    DNS_ERROR = "dns_error", 502, "the name of the upstream has no address"
    CONNECTION_REFUSED = "connection_refused", 502, "nothing listens where the upstream should be"
    DESTINATION_UNAVAILABLE = "destination_unavailable", 503, "every upstream failed a moment ago"
    CONNECTION_TIMEOUT = "connection_timeout", 504, "the upstream did not accept a connection in time"
    CONNECTION_LIMIT = "connection_limit_reached", 503, "all connections to the upstream are in use"
    CONNECTION_TERMINATED = "connection_terminated", 502, "the upstream closed the connection before it answered"
    READ_TIMEOUT = "connection_read_timeout", 504, "the upstream did not answer in time"
    WRITE_TIMEOUT = "connection_write_timeout", 504, "the upstream did not take the request in time"
    TLS_CERTIFICATE = "tls_certificate_error", 502, "the certificate of the upstream is not acceptable"
    TLS_PROTOCOL = "tls_protocol_error", 502, "TLS with the upstream failed"
    HTTP_PROTOCOL = "http_protocol_error", 502, "the upstream broke the protocol"
    RESPONSE_INCOMPLETE = "http_response_incomplete", 502, "the upstream ended its response early"
    HTTP_REQUEST = "http_request_error", 400, "the request has a character that HTTP/1.1 does not allow"
    LOOP = "proxy_loop_detected", 508, "the request goes in a circle: the upstream leads back here"

    def __init__(self, error_type: str, status: int, sentence: str) -> None:
        self.error_type = error_type
        """Its name in Proxy-Status."""
        self.status = status
        """The status that the client gets."""
        self.sentence = sentence
        """The failure, for people."""

    @property
    def before_anything(self) -> bool:
        """True when the request has certainly not reached an upstream."""
        return self in _BEFORE_ANYTHING


_BEFORE_ANYTHING = frozenset(
    {
        UpstreamFailure.DNS_ERROR,
        UpstreamFailure.CONNECTION_REFUSED,
        UpstreamFailure.DESTINATION_UNAVAILABLE,
        UpstreamFailure.CONNECTION_TIMEOUT,
        UpstreamFailure.CONNECTION_LIMIT,
        UpstreamFailure.TLS_CERTIFICATE,
        UpstreamFailure.TLS_PROTOCOL,
    }
)


class UpstreamFailed(H3PushError):
    """An upstream gave no answer, or not all of it.

    Attributes:
        failure: why, for programs.
        upstream: which one, for the log. Clients are not told.
    """

    def __init__(self, failure: UpstreamFailure, upstream: str, detail: str = "") -> None:
        super().__init__(f"{upstream}: {failure.sentence}" + (f" ({detail})" if detail else ""))
        self.failure = failure
        self.upstream = upstream
        self.is_unprocessed = failure.before_anything


def failure_of(error: OSError) -> tuple[UpstreamFailure, str]:
    """Tell which failure kept a connection from being opened, and its detail."""
    match error:
        case TimeoutError():
            return UpstreamFailure.CONNECTION_TIMEOUT, ""
        case ssl.SSLCertVerificationError():
            return UpstreamFailure.TLS_CERTIFICATE, error.verify_message
        case ssl.SSLError():
            return UpstreamFailure.TLS_PROTOCOL, str(error.reason)
        case socket.gaierror():
            failure = UpstreamFailure.DNS_ERROR
        case ConnectionResetError() | BrokenPipeError():
            failure = UpstreamFailure.CONNECTION_TERMINATED
        case _:
            failure = UpstreamFailure.CONNECTION_REFUSED  # no way there, or no socket
    return failure, error.strerror or str(error)
