"""The rules of what may be pushed (RFC 9114 section 4.6), and every reason why something is not.

There is one vocabulary of refusals, for both ends and for the layers above: a server that promises nothing, a client that uses
no promise, and a policy that does not even ask, all name a `PushRefusal`.
"""

from enum import Enum

from h3push.errors import LocalProtocolError, NoPushCredit, NoStreamCredit, PushNotAllowed, StreamStateError
from h3push.http.fields import RequestHead
from h3push.http.semantics import PUSHABLE_METHODS

CONTENT_FIELDS = frozenset({b"expect", b"content-encoding", b"transfer-encoding", b"trailer"})
"""Fields that say that a request has content or trailers, which a promised request never has (RFC 9114 section 4.6)."""


class PushRefusal(Enum):
    """Why there is no push. None of these ends a connection: the client simply asks when it needs the thing."""

    # What the client, or the moment, does not allow: a server promises nothing.
    NOT_ALLOWED_BY_CLIENT = "the client has not allowed any push (no MAX_PUSH_ID)"
    """Every browser does this today."""
    NO_PUSH_CREDIT = "every push ID that the client granted is used"
    """`push(wait=True)` waits for more."""
    NO_STREAM_CREDIT = "the client allows no further push stream now"
    """`push(wait=True)` waits for more."""
    GOING_AWAY = "the connection is shutting down (GOAWAY), or over"
    """RFC 9114 section 5.2: no promises after a GOAWAY, and none is used that it excludes."""
    RESPONSE_ENDED = "the response that would carry the promise has ended"
    """A promise travels on the request stream, so it must be made before the end of the response."""
    DISABLED = "push is switched off on this server (H3Config.enable_push)"
    """Our own setting."""
    LIMIT = "the request has caused as many pushes as it may (ServerSettings.max_pushes_per_request, max_push_bytes)"
    """Our own setting."""

    # What may not be promised, and is not used when it is (RFC 9114 section 4.6).
    METHOD = "the method is not safe and cacheable: only GET and HEAD can be pushed"
    """RFC 9114 section 4.6."""
    CONTENT = "a promised request has neither content nor trailers"
    """RFC 9114 section 4.6."""
    SCHEME = "a promised request has the scheme https"
    """RFC 9114 section 4.6: the server is authoritative for nothing else here."""
    AUTHORITY = "the server does not speak for this authority (host, or host:port)"
    """RFC 9114 section 4.6. A host without its port is another authority than the host with it."""
    MALFORMED = "the promised request is malformed"
    """RFC 9114 section 4.1.2."""
    TOO_LARGE = "the promised request's fields are larger than the client takes"
    """H3Config.max_field_section_size of the client."""

    # What becomes of a promise or a push stream before the other half has come: a client's words.
    CALLED_OFF = "the server called it off before its promise came"
    """CANCEL_PUSH overtook PUSH_PROMISE, or a push stream was reset before it."""
    NO_PROMISE = "its push stream came, and its promise did not come in time (H3Config.push_promise_timeout)"
    """RFC 9114 section 4.6."""

    # What a policy leaves unasked (`h3push.delivery`).
    SAVE_DATA = "the client saves data (Save-Data: on)"
    """RFC 8674's client hint: bytes that were not asked for are unwelcome."""
    PUSH_POLICY = "the client wants no pushes for this request (Accept-Push-Policy)"
    """draft-ruellan-http-accept-push-policy: `none`; `head` too, for we have no bodiless push."""
    HAS_IT = "the client has it from this connection"
    """Pushed, served, or named with a validator, and fresh."""
    HOLD_OUT = "the connection is held out of pushes, to measure what they save (ServerSettings.push_hold_out)"
    """Half of such connections get hints instead, the others nothing."""
    NOT_WORTH = "it is too seldom used, or a push of it saves too little, to be worth its bytes (--push learned)"
    """The controller's verdict; h3push.control says why, in its log."""
    RELATIVE = "a path to push begins with a slash"
    """A relative path depends on a base, and applications and browsers differ in theirs."""
    VALIDATOR = "the promised request would name a validator"
    """Its answer would be 304, of use only to who has the thing."""


NO_CREDIT = frozenset({PushRefusal.NO_PUSH_CREDIT, PushRefusal.NO_STREAM_CREDIT})
"""Refusals that end when the client gives more credit."""

NOT_AGREED = frozenset({PushRefusal.NOT_ALLOWED_BY_CLIENT, PushRefusal.DISABLED})
"""Refusals of every push, for one end has not agreed to any."""


def refusal_of(request: RequestHead) -> PushRefusal | None:
    """Why a request may never be pushed, whoever asks; None: nothing about the request itself is against it.

    The names of its fields may be in any case. Whether the server speaks for its authority is another question.
    """
    if request.method not in PUSHABLE_METHODS:
        return PushRefusal.METHOD
    if request.scheme != b"https" and (request.scheme or b"").lower() != b"https":
        return PushRefusal.SCHEME
    if request.content_length:
        return PushRefusal.CONTENT
    for name, value in request.fields:
        name = name.lower()
        if name in CONTENT_FIELDS or (name == b"content-length" and value.strip(b" \t0")):
            return PushRefusal.CONTENT
    return None


_ERRORS: dict[PushRefusal, type[LocalProtocolError]] = {
    PushRefusal.METHOD: PushNotAllowed,
    PushRefusal.CONTENT: PushNotAllowed,
    PushRefusal.SCHEME: PushNotAllowed,
    PushRefusal.AUTHORITY: PushNotAllowed,
    PushRefusal.RESPONSE_ENDED: StreamStateError,
    PushRefusal.NO_STREAM_CREDIT: NoStreamCredit,
}


def error_of(refusal: PushRefusal, request: RequestHead) -> LocalProtocolError:
    """The exception for a caller who takes no refusal for an answer."""
    target = b"%s https://%s%s" % (request.method, request.authority or b"", request.path or b"")
    return _ERRORS.get(refusal, NoPushCredit)(f"{refusal.value}: {target.decode('latin-1')} is not promised")
