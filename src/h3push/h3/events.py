"""Events of an HTTP/3 connection, as values.

Every `receive_*` call on `H3ServerConnection` or `H3ClientConnection` returns a list of these. Message events carry
`push_id`: `None` on a request stream, the push ID on a push stream, so that one code path serves both.

They are not to be changed, and nothing does. They are not frozen, which would triple the price of making one. Those that each
request brings have a constructor of their own: the one that dataclasses make is not compiled.
"""

from dataclasses import dataclass
from enum import Enum

from h3push.errors import H3StreamError
from h3push.h3.push.rules import PushRefusal
from h3push.http.fields import Fields, RequestHead, ResponseHead
from h3push.http.priority import Priority
from h3push.wire.settings import Settings


class CancelledBy(Enum):
    """The side that ended a push before it was complete, and how."""

    LOCAL = "local"
    """We called it off (CANCEL_PUSH or STOP_SENDING or RESET_STREAM sent)."""
    PEER = "peer"
    """The peer called it off: the client at any time (CANCEL_PUSH, STOP_SENDING), the server before its stream was there
    (CANCEL_PUSH)."""
    GOAWAY = "goaway"
    """The client's GOAWAY excludes this push ID (RFC 9114 section 5.2)."""
    REFUSED = "refused"
    """The client's own check of the promised request failed (RFC 9114 section 4.6): never used."""
    FAILED = "failed"
    """The server gave the response up. On the server: with another code than H3_REQUEST_CANCELLED. On the client: by RESET_STREAM
    or CANCEL_PUSH, whichever comes first, when the push stream was there; before that CANCEL_PUSH, which has no code, is PEER."""
    MALFORMED = "malformed"
    """The promised request or the pushed response was malformed."""
    TIMEOUT = "timeout"
    """The promise or the push stream that should go with it did not come in time."""


FAILURES = frozenset({CancelledBy.FAILED, CancelledBy.MALFORMED, CancelledBy.TIMEOUT})
"""Endings that nobody wanted; by the others somebody called the push off."""


@dataclass(slots=True, unsafe_hash=True)
class SettingsReceived:
    """The peer's SETTINGS arrived (RFC 9114 section 7.2.4)."""

    settings: Settings
    """The peer's settings, defaults filled in."""


@dataclass(slots=True, unsafe_hash=True, init=False)
class RequestReceived:
    """A complete request header section arrived (server)."""

    stream_id: int
    """Where to respond."""
    request: RequestHead
    """The parsed header section."""
    end_stream: bool
    """True when no content and no trailers follow."""

    def __init__(self, stream_id: int, request: RequestHead, end_stream: bool) -> None:
        self.stream_id = stream_id
        self.request = request
        self.end_stream = end_stream


@dataclass(slots=True, unsafe_hash=True)
class InformationalResponseReceived:
    """An interim response, status 1xx (client; RFC 9114 section 4.1)."""

    stream_id: int
    """Request stream or push stream."""
    response: ResponseHead
    """Status and fields."""
    push_id: int | None
    """The push, on a push stream."""


@dataclass(slots=True, unsafe_hash=True, init=False)
class ResponseReceived:
    """The final response header section (client)."""

    stream_id: int
    """Request stream or push stream."""
    response: ResponseHead
    """Status and fields."""
    end_stream: bool
    """True when no content and no trailers follow."""
    push_id: int | None
    """The push, on a push stream."""

    def __init__(self, stream_id: int, response: ResponseHead, end_stream: bool, push_id: int | None) -> None:
        self.stream_id = stream_id
        self.response = response
        self.end_stream = end_stream
        self.push_id = push_id


@dataclass(slots=True, unsafe_hash=True, init=False)
class DataReceived:
    """A piece of content, as it came in; pieces have no meaning of their own."""

    stream_id: int
    """Request stream or push stream."""
    data: bytes
    """May be empty when only the end of the stream is told."""
    end_stream: bool
    """True when the message is complete."""
    push_id: int | None
    """The push, on a push stream."""

    def __init__(self, stream_id: int, data: bytes, end_stream: bool, push_id: int | None) -> None:
        self.stream_id = stream_id
        self.data = data
        self.end_stream = end_stream
        self.push_id = push_id


@dataclass(slots=True, unsafe_hash=True)
class TrailersReceived:
    """A trailer section; it is told when the message is complete, so it is always the last event of a message."""

    stream_id: int
    """Request stream or push stream."""
    trailers: Fields
    """The trailer fields."""
    push_id: int | None
    """The push, on a push stream."""


@dataclass(slots=True, unsafe_hash=True)
class StreamReset:
    """The peer abandoned sending a message (RESET_STREAM); what arrived before is incomplete."""

    stream_id: int
    """Request stream or push stream."""
    error_code: int
    """As the peer gave it; unknown codes mean H3_NO_ERROR (RFC 9114 section 8)."""
    push_id: int | None
    """The push, on a push stream."""


@dataclass(slots=True, unsafe_hash=True)
class StopSendingReceived:
    """The peer does not want the rest of what we send on a stream; our sending side is reset already."""

    stream_id: int
    """Request stream or push stream."""
    error_code: int
    """As the peer gave it."""
    push_id: int | None
    """The push, on a push stream."""


@dataclass(slots=True, unsafe_hash=True)
class MessageFailed:
    """A received message was malformed or over a limit. The stream has been dealt with; the connection lives on."""

    stream_id: int
    """Request stream or push stream."""
    error: H3StreamError
    """Why, with the error code that went on the wire."""
    push_id: int | None
    """The push, on a push stream."""


@dataclass(slots=True, unsafe_hash=True)
class RequestTooLarge:
    """A request's header section passed the limit (RFC 9114 section 4.2.2): answer 431, or 414. Its content is not delivered."""

    stream_id: int
    """Where to respond."""
    path: bool = False
    """True when the path alone passed the limit: 414 says so (RFC 9110 section 15.5.15)."""


@dataclass(slots=True, unsafe_hash=True)
class MaxPushIdReceived:
    """The client raised the limit on push IDs (server; RFC 9114 section 7.2.7)."""

    push_id: int
    """The largest push ID that may be used, inclusive."""


@dataclass(slots=True, unsafe_hash=True)
class PushPromiseReceived:
    """A promise arrived on a request stream (client; RFC 9114 section 7.2.5).

    The same push ID may be promised again on other request streams, with identical fields: one event each.
    """

    stream_id: int
    """The request stream that carries the promise."""
    push_id: int
    """The push."""
    request: RequestHead
    """The promised request: safe, cacheable, without content, for an authority that passed the check."""
    repeated: bool
    """True when this push ID was promised before."""


@dataclass(slots=True, unsafe_hash=True)
class PushCancelled:
    """A push ended before it was complete; it is told once for each push ID.

    Client: the pushed response will not come (further). Server: stop producing it. A push that was never promised to the
    application is not told.
    """

    push_id: int
    """The push."""
    by: CancelledBy
    """The side that ended it, and how."""
    error_code: int | None
    """The code of RESET_STREAM or STOP_SENDING, where there was one."""


@dataclass(slots=True, unsafe_hash=True)
class PushFulfilled:
    """The client has the whole response of a push (server): all of its stream was acknowledged."""

    push_id: int
    """The push."""


@dataclass(slots=True, unsafe_hash=True)
class PushRefused:
    """A push never came about (client): its promise is not used, or it was called off first. Told once for each push ID.

    No `PushPromiseReceived` and no `PushCancelled` is told for this push ID.
    """

    push_id: int
    """The push."""
    request: RequestHead | None
    """The promised request, as far as it could be read."""
    reason: PushRefusal
    """Why."""


@dataclass(slots=True, unsafe_hash=True)
class PriorityUpdated:
    """The client (re)prioritised a request or a push (server; RFC 9218). It has been applied to the transport already."""

    stream_id: int | None
    """The request stream, or None when a push was meant."""
    push_id: int | None
    """The push, or None when a request was meant."""
    priority: Priority
    """The new priority."""


@dataclass(slots=True, unsafe_hash=True)
class GoawayReceived:
    """The peer is shutting down (RFC 9114 section 5.2)."""

    identifier: int
    """From a server: requests with this stream ID or above were not processed. From a client: a push ID."""


@dataclass(slots=True, unsafe_hash=True)
class RequestUnprocessed:
    """A request of ours certainly had no effect (client): the server's GOAWAY excludes it. Safe to retry elsewhere."""

    stream_id: int
    """The request."""


@dataclass(slots=True, unsafe_hash=True)
class StreamDrained:
    """A stream has fallen to the low-water mark: more may be written without piling up."""

    stream_id: int
    """The stream."""


@dataclass(slots=True, unsafe_hash=True)
class StreamCreditReceived:
    """The peer raised its limit on streams that we open: what failed with `NoStreamCredit` may be tried again."""

    unidirectional: bool
    """True: push streams; False: request streams."""


@dataclass(slots=True, unsafe_hash=True)
class ConnectionTerminated:
    """The connection is over; it is the last event. Every open stream and push has ended with it."""

    error_code: int | None
    """Application or transport error code; None for a time-out or a stateless reset."""
    reason: str
    """The reason phrase, or our own sentence."""
    by_peer: bool
    """True when the peer closed it."""


Event = (
    SettingsReceived
    | RequestReceived
    | InformationalResponseReceived
    | ResponseReceived
    | DataReceived
    | TrailersReceived
    | StreamReset
    | StopSendingReceived
    | MessageFailed
    | RequestTooLarge
    | MaxPushIdReceived
    | PushPromiseReceived
    | PushCancelled
    | PushFulfilled
    | PushRefused
    | PriorityUpdated
    | GoawayReceived
    | RequestUnprocessed
    | StreamDrained
    | StreamCreditReceived
    | ConnectionTerminated
)
