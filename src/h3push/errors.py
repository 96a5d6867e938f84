"""Error codes of HTTP/3 and QPACK, and every exception that h3push raises.

The tree::

    Exception
    └── H3PushError                    everything below; catch this to catch all of h3push
        ├── ProtocolError              the peer broke a rule; carries the ErrorCode that goes on the wire
        │   ├── H3ConnectionError      RFC 9114 section 8: ends the connection
        │   └── H3StreamError          RFC 9114 section 8: ends one stream, the connection lives on
        ├── LocalProtocolError         our caller asked for something that the protocol does not allow now
        │   ├── StreamStateError       the stream is finished, reset or not of this kind
        │   ├── PushNotAllowed         the promise would break RFC 9114 section 4.6 (method, content, authority)
        │   ├── NoPushCredit           the client allows no further push ID (MAX_PUSH_ID)
        │   └── NoStreamCredit         QUIC allows no further stream of that kind
        ├── ConnectFailed              no connection came about; the sentence and `kind` say why
        ├── ConnectionClosed           the connection ended while it was in use
        │   └── RequestNotProcessed    ... and the server certainly did not act on this request: safe to retry
        ├── StreamFailed               one message ended early: reset by the peer, or malformed
        │   └── PushCancelled          a promised response that will not come
        └── Timeout                    a named time-out passed; a TimeoutError too
            ├── PoolTimeout            ... before a request could be sent: certainly not processed
            ├── ReadTimeout            ... while a response or content was waited for
            └── WriteTimeout           ... because the peer takes no more of what is sent

Inside the protocol core only `ProtocolError` is raised while bytes of the peer are read, at the one place where they
enter (`h3.connection`), which turns it into an event and an action on the wire.
"""

from enum import Enum, IntEnum
from functools import lru_cache


class ErrorCode(IntEnum):
    """Application error codes: RFC 9114 section 8.1, RFC 9204 section 6, RFC 9297 section 5.2."""

    H3_DATAGRAM_ERROR = 0x33
    """A datagram or capsule that breaks RFC 9297."""
    H3_NO_ERROR = 0x100
    """The connection or stream ends and nothing is wrong."""
    H3_GENERAL_PROTOCOL_ERROR = 0x101
    """The peer broke the protocol in a way that no more specific code names."""
    H3_INTERNAL_ERROR = 0x102
    """Something failed on our own side."""
    H3_STREAM_CREATION_ERROR = 0x103
    """The peer created a stream that is not accepted."""
    H3_CLOSED_CRITICAL_STREAM = 0x104
    """A stream that the connection cannot live without was closed or reset."""
    H3_FRAME_UNEXPECTED = 0x105
    """A frame that is not permitted in the current state or on the current stream."""
    H3_FRAME_ERROR = 0x106
    """A frame with a wrong layout or size."""
    H3_EXCESSIVE_LOAD = 0x107
    """The peer's behaviour looks as if it were meant to cause load."""
    H3_ID_ERROR = 0x108
    """A stream ID or push ID was used incorrectly, such as above a limit or twice."""
    H3_SETTINGS_ERROR = 0x109
    """An error in the payload of SETTINGS."""
    H3_MISSING_SETTINGS = 0x10A
    """The control stream did not begin with SETTINGS."""
    H3_REQUEST_REJECTED = 0x10B
    """The server did no application processing for the request."""
    H3_REQUEST_CANCELLED = 0x10C
    """The request or its response (or a push) is not wanted any more."""
    H3_REQUEST_INCOMPLETE = 0x10D
    """The client's stream ended without a complete request."""
    H3_MESSAGE_ERROR = 0x10E
    """A malformed message."""
    H3_CONNECT_ERROR = 0x10F
    """The TCP connection behind a CONNECT request was reset or closed abnormally."""
    H3_VERSION_FALLBACK = 0x110
    """The request cannot be served over HTTP/3; retry over HTTP/1.1."""
    QPACK_DECOMPRESSION_FAILED = 0x200
    """An encoded field section could not be decoded."""
    QPACK_ENCODER_STREAM_ERROR = 0x201
    """An instruction on the encoder stream could not be understood."""
    QPACK_DECODER_STREAM_ERROR = 0x202
    """An instruction on the decoder stream could not be understood."""


@lru_cache(maxsize=64)  # told at the end of each connection
def describe_error_code(code: int) -> str:
    """Name of an error code for people: `H3_ID_ERROR (0x108)`, or the number alone when it is not known."""
    try:
        return f"{ErrorCode(code).name} ({code:#x})"
    except ValueError:
        return f"{code:#x}"


class H3PushError(Exception):
    """Base of every exception that h3push raises on purpose."""

    is_unprocessed: bool = False
    """True when the request that it ended has certainly had no effect on the server, so that any request may be sent again. False
    says nothing: the server may have acted on it, or not."""


class ProtocolError(H3PushError):
    """The peer broke a rule of HTTP/3.

    Attributes:
        error_code: what goes on the wire.
        reason: one sentence for the log and for CONNECTION_CLOSE.
    """

    def __init__(self, error_code: ErrorCode, reason: str) -> None:
        super().__init__(f"{reason} [{error_code.name}]")
        self.error_code = error_code
        self.reason = reason


class H3ConnectionError(ProtocolError):
    """A connection error (RFC 9114 section 8): the whole connection is closed with `error_code`."""


class H3StreamError(ProtocolError):
    """A stream error (RFC 9114 section 8): one stream is reset with `error_code`; the connection lives on."""


class LocalProtocolError(H3PushError):
    """Our own caller asked for something that the protocol does not allow now; nothing went on the wire."""

    is_unprocessed = True


class StreamStateError(LocalProtocolError):
    """The stream is finished, reset, unknown, or not of the kind that the call needs."""


class PushNotAllowed(LocalProtocolError):
    """The promised request may never be pushed (RFC 9114 section 4.6: method, content, authority)."""


class NoPushCredit(LocalProtocolError):
    """The client allows no further push ID: MAX_PUSH_ID was never sent, is used up, or GOAWAY came."""


class NoStreamCredit(LocalProtocolError):
    """The peer's QUIC stream limit allows no further stream of this kind now."""


class NoExtendedConnect(LocalProtocolError):
    """The server has not said in its SETTINGS that it takes extended CONNECT (RFC 9220 section 3)."""


class ConnectFailure(Enum):
    """Why no connection came about."""

    DNS = "dns"
    """The name has no address."""
    REFUSED = "refused"
    """Nobody listens there, or the way there is closed: the network said so."""
    TIMEOUT = "timeout"
    """Nothing answered in time."""
    CERTIFICATE = "certificate"
    """The server's certificate is not acceptable."""
    TLS = "tls"
    """TLS failed otherwise."""
    PROTOCOL = "protocol"
    """The server speaks another protocol or version, or broke QUIC."""


class ConnectFailed(H3PushError):
    """No connection came about. The message is one sentence that says what failed and, where known, what to do.

    Attributes:
        kind: why, for programs.
    """

    is_unprocessed = True

    def __init__(self, reason: str, kind: ConnectFailure = ConnectFailure.PROTOCOL) -> None:
        super().__init__(reason)
        self.kind = kind


class ConnectionClosed(H3PushError):
    """The connection ended.

    Attributes:
        error_code: the application or transport error code, `None` for a time-out or a reset.
        reason: the reason phrase of the side that closed, or our own sentence.
    """

    def __init__(self, reason: str, error_code: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.error_code = error_code


class RequestNotProcessed(ConnectionClosed):
    """The server certainly did not act on this request (GOAWAY or H3_REQUEST_REJECTED): a retry is safe."""

    is_unprocessed = True


class StreamFailed(H3PushError):
    """One message ended early, by a reset of the peer or because it was malformed.

    Attributes:
        error_code: the code of RESET_STREAM or STOP_SENDING, ours or the peer's.
    """

    def __init__(self, reason: str, error_code: int) -> None:
        super().__init__(f"{reason} [{describe_error_code(error_code)}]")
        self.error_code = error_code


class PushCancelled(StreamFailed):
    """A promised response that will not come: cancelled by either side, refused, reset, or never started."""


class Timeout(H3PushError, TimeoutError):
    """A named time-out passed; the message names the setting."""


class PoolTimeout(Timeout):
    """The server allowed no further request in time: the request was not sent, so a retry is safe."""

    is_unprocessed = True


class ReadTimeout(Timeout):
    """No response, or no further content of one, came in time."""


class WriteTimeout(Timeout):
    """The peer took too little of what was sent in time."""
