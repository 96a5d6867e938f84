"""Both lifecycles of a push as tables: what may happen to a push ID, and what follows.

Theory of operation
===================

A push ID is allowed by the client (MAX_PUSH_ID), bound to a request by the server (PUSH_PROMISE, on one or more request
streams), and answered once on a push stream. Either side may call it off. Because promise, push stream and CANCEL_PUSH travel
on three different streams, they reach the client in any order; the server sees only CANCEL_PUSH and STOP_SENDING come back.

Whether a push ID is within the limit is asked *before* these tables, by the books; whether a promised request may be used at
all is asked before them too, and its answer is the input REFUSE.

The server's side of one push ID::

                     cancel, CANCEL_PUSH received, GOAWAY
                 ┌────────────────────────────────────────────────┐
                 │                     cancel, CANCEL_PUSH,       ▼
    UNPROMISED ──▶ PROMISED ──▶ OPEN ─────────────────────────▶ CANCELLED
       promise          open     │     STOP_SENDING, GOAWAY       ▲
                                 └─▶ SENT ────────────────────────┘
                                 FIN  │  until all is acknowledged
                                      └──▶ FULFILLED

The client's side::

              promise                 push stream             FIN
    UNKNOWN ──────────▶ PROMISED ────────────────────▶ OPEN ──────▶ FULFILLED
       │                   │ no stream in time          ▲ │  RESET_STREAM, CANCEL_PUSH, malformed
       │                   ├──▶ EXPIRED                 │ ├───────▶ FAILED
       │  push stream      │      promise               │ │  called off by us
       ├──────────────▶ ORPHAN ─────────────────────────┘ └───────▶ STOPPED
       │  CANCEL_PUSH, refused
       └──────────────▶ CANCELLED

When its stream comes all the same, CANCELLED becomes STOPPED and EXPIRED becomes FAILED. So the state of a push that is over
tells how it ended, and whether its one push stream has been there.

A server that ends a push whose stream is open sends both CANCEL_PUSH and RESET_STREAM (RFC 9114 section 7.2.3), and they overtake
each other. CANCEL_PUSH has no code, so a client that told giving up from calling off by the code of RESET_STREAM would say now
this, now that of one and the same end. Once its stream is there, a push that the server ends has FAILED, by whatever frame.

An input that is missing in a table is an error: of the peer for what was received, of our caller for the rest. The drawing in
`docs/reference/push-states.md` is made from the tables, and a test walks every pair.
"""

from enum import IntEnum, IntFlag


class ServerPushState(IntEnum):
    """Where a push ID stands on the server."""

    UNPROMISED = 0
    """Never promised."""
    PROMISED = 1
    """Promised; no push stream yet."""
    OPEN = 2
    """The push stream is open and the response is under way."""
    SENT = 3
    """The response is written to its end, but not all of it has been acknowledged."""
    FULFILLED = 4
    """The client has the whole response."""
    CANCELLED = 5
    """Called off by either side."""


class ServerPushInput(IntEnum):
    """An event in the life of a push on the server."""

    PROMISE = 0
    """We promise it, for the first time or on a further request stream."""
    OPEN_STREAM = 1
    """We open its push stream."""
    END = 2
    """We write the end of its response."""
    ACKNOWLEDGED = 3
    """The client's QUIC stack has everything."""
    CANCEL = 4
    """We call it off."""
    RECEIVE_CANCEL_PUSH = 5
    """The client calls it off on its control stream."""
    RECEIVE_STOP_SENDING = 6
    """The client calls it off on the push stream; QUIC has answered with RESET_STREAM."""
    RECEIVE_GOAWAY = 7
    """The client's GOAWAY excludes it (RFC 9114 section 5.2)."""


class ServerPushAction(IntFlag):
    """The server's answer; several flags together mean all of them."""

    NOTHING = 0
    """No effect."""
    PROMISE = 1
    """Send PUSH_PROMISE."""
    OPEN_STREAM = 2
    """Open the unidirectional stream and write its header."""
    SEND_CANCEL_PUSH = 4
    """Send CANCEL_PUSH: the promise will not be fulfilled."""
    RESET = 8
    """Reset the push stream."""
    TELL = 16
    """Tell the application that it is cancelled."""


class ClientPushState(IntEnum):
    """Where a push ID stands on the client."""

    UNKNOWN = 0
    """Nothing heard of it."""
    PROMISED = 1
    """Promised; its push stream has not come."""
    ORPHAN = 2
    """Its push stream has come, the promise has not: what arrived is held, no further credit is given."""
    OPEN = 3
    """Promise and push stream are there; the response is coming in."""
    CANCELLED = 4
    """Called off before its push stream came."""
    FULFILLED = 5
    """Its response has come whole."""
    STOPPED = 6
    """Called off by the client when its push stream was there, or by the server before that came."""
    FAILED = 7
    """The server did not complete its response, or it was malformed, or its promise did not come in time."""
    EXPIRED = 8
    """Its push stream did not come in time."""


class ClientPushInput(IntEnum):
    """An event in the life of a push on the client."""

    RECEIVE_PROMISE = 0
    """PUSH_PROMISE with a request that may be used."""
    REFUSE = 1
    """PUSH_PROMISE with a request that must not be used (RFC 9114 section 4.6), or that GOAWAY or a limit excludes."""
    RECEIVE_STREAM = 2
    """The header of its push stream is complete."""
    RECEIVE_CANCEL_PUSH = 3
    """The server calls it off."""
    CANCEL = 4
    """The application calls it off."""
    RECEIVE_END = 5
    """The response is complete."""
    RECEIVE_RESET = 6
    """The server reset the push stream: it will not go on."""
    FAIL = 7
    """The pushed response is malformed."""
    EXPIRE = 8
    """The other half (promise or push stream) did not come in time."""


class ClientPushAction(IntFlag):
    """The client's answer; several flags together mean all of them."""

    NOTHING = 0
    """No effect."""
    TELL_PROMISE = 1
    """Tell the application of the promise."""
    HOLD = 2
    """Hold the push stream and start the clock."""
    DELIVER = 4
    """Read the push stream as a response, what was held of it first."""
    SEND_CANCEL_PUSH = 8
    """Send CANCEL_PUSH."""
    STOP = 16
    """Stop the push stream with H3_REQUEST_CANCELLED (or the error's own code)."""
    TELL_REFUSED = 32
    """Tell the application that a push never came about, and why."""
    TELL = 64
    """Tell the application that a push it knows of is cancelled."""


_S, _I, _A = ServerPushState, ServerPushInput, ServerPushAction

SERVER_PUSH: dict[tuple[int, int], tuple[ServerPushState, ServerPushAction]] = {
    (_S.UNPROMISED, _I.PROMISE): (_S.PROMISED, _A.PROMISE),
    # RFC 9114 section 7.2.3: CANCEL_PUSH for a push that was not promised is H3_ID_ERROR: no row.
    (_S.PROMISED, _I.PROMISE): (_S.PROMISED, _A.PROMISE),
    (_S.PROMISED, _I.OPEN_STREAM): (_S.OPEN, _A.OPEN_STREAM),
    (_S.PROMISED, _I.CANCEL): (_S.CANCELLED, _A.SEND_CANCEL_PUSH),
    (_S.PROMISED, _I.RECEIVE_CANCEL_PUSH): (_S.CANCELLED, _A.TELL),
    (_S.PROMISED, _I.RECEIVE_GOAWAY): (_S.CANCELLED, _A.SEND_CANCEL_PUSH | _A.TELL),
    (_S.OPEN, _I.PROMISE): (_S.OPEN, _A.PROMISE),
    # RFC 9114 section 6.2.2: one push stream for each push ID: no row for OPEN_STREAM.
    (_S.OPEN, _I.END): (_S.SENT, _A.NOTHING),
    (_S.OPEN, _I.CANCEL): (_S.CANCELLED, _A.SEND_CANCEL_PUSH | _A.RESET),
    (_S.OPEN, _I.RECEIVE_CANCEL_PUSH): (_S.CANCELLED, _A.RESET | _A.TELL),
    (_S.OPEN, _I.RECEIVE_STOP_SENDING): (_S.CANCELLED, _A.TELL),
    (_S.OPEN, _I.RECEIVE_GOAWAY): (_S.CANCELLED, _A.RESET | _A.TELL),
    # What was written but not delivered can still be called off, so that it does not go out for nothing.
    (_S.SENT, _I.PROMISE): (_S.SENT, _A.PROMISE),
    (_S.SENT, _I.ACKNOWLEDGED): (_S.FULFILLED, _A.NOTHING),
    (_S.SENT, _I.CANCEL): (_S.CANCELLED, _A.SEND_CANCEL_PUSH | _A.RESET),
    (_S.SENT, _I.RECEIVE_CANCEL_PUSH): (_S.CANCELLED, _A.RESET | _A.TELL),
    (_S.SENT, _I.RECEIVE_STOP_SENDING): (_S.CANCELLED, _A.TELL),
    (_S.SENT, _I.RECEIVE_GOAWAY): (_S.CANCELLED, _A.RESET | _A.TELL),
    # A promise for a push that the client has already may still reach a client that wants it (section 4.6).
    (_S.FULFILLED, _I.PROMISE): (_S.FULFILLED, _A.PROMISE),
    (_S.FULFILLED, _I.CANCEL): (_S.FULFILLED, _A.NOTHING),
    (_S.FULFILLED, _I.RECEIVE_CANCEL_PUSH): (_S.FULFILLED, _A.NOTHING),
    (_S.FULFILLED, _I.RECEIVE_STOP_SENDING): (_S.FULFILLED, _A.NOTHING),
    (_S.FULFILLED, _I.RECEIVE_GOAWAY): (_S.FULFILLED, _A.NOTHING),
    (_S.CANCELLED, _I.ACKNOWLEDGED): (_S.CANCELLED, _A.NOTHING),
    (_S.CANCELLED, _I.CANCEL): (_S.CANCELLED, _A.NOTHING),
    (_S.CANCELLED, _I.RECEIVE_CANCEL_PUSH): (_S.CANCELLED, _A.NOTHING),
    (_S.CANCELLED, _I.RECEIVE_STOP_SENDING): (_S.CANCELLED, _A.NOTHING),
    (_S.CANCELLED, _I.RECEIVE_GOAWAY): (_S.CANCELLED, _A.NOTHING),
}
"""(state, input) to (next state, action) for one push ID on the server."""

_C, _J, _B = ClientPushState, ClientPushInput, ClientPushAction

CLIENT_PUSH: dict[tuple[int, int], tuple[ClientPushState, ClientPushAction]] = {
    (_C.UNKNOWN, _J.RECEIVE_PROMISE): (_C.PROMISED, _B.TELL_PROMISE),
    (_C.UNKNOWN, _J.REFUSE): (_C.CANCELLED, _B.SEND_CANCEL_PUSH | _B.TELL_REFUSED),
    (_C.UNKNOWN, _J.RECEIVE_STREAM): (_C.ORPHAN, _B.HOLD),
    # Section 7.2.3: CANCEL_PUSH may overtake its promise.
    (_C.UNKNOWN, _J.RECEIVE_CANCEL_PUSH): (_C.CANCELLED, _B.TELL_REFUSED),
    # Promised again on a further request stream; that the fields are the same is asked before.
    (_C.PROMISED, _J.RECEIVE_PROMISE): (_C.PROMISED, _B.TELL_PROMISE),
    (_C.PROMISED, _J.REFUSE): (_C.CANCELLED, _B.SEND_CANCEL_PUSH | _B.TELL),
    (_C.PROMISED, _J.RECEIVE_STREAM): (_C.OPEN, _B.DELIVER),
    (_C.PROMISED, _J.RECEIVE_CANCEL_PUSH): (_C.CANCELLED, _B.TELL),
    (_C.PROMISED, _J.CANCEL): (_C.CANCELLED, _B.SEND_CANCEL_PUSH | _B.TELL),
    (_C.PROMISED, _J.EXPIRE): (_C.EXPIRED, _B.SEND_CANCEL_PUSH | _B.TELL),
    (_C.ORPHAN, _J.RECEIVE_PROMISE): (_C.OPEN, _B.TELL_PROMISE | _B.DELIVER),
    (_C.ORPHAN, _J.REFUSE): (_C.STOPPED, _B.STOP | _B.TELL_REFUSED),
    (_C.ORPHAN, _J.RECEIVE_CANCEL_PUSH): (_C.FAILED, _B.STOP | _B.TELL_REFUSED),
    (_C.ORPHAN, _J.RECEIVE_RESET): (_C.FAILED, _B.TELL_REFUSED),
    (_C.ORPHAN, _J.EXPIRE): (_C.FAILED, _B.STOP | _B.TELL_REFUSED),
    (_C.OPEN, _J.RECEIVE_PROMISE): (_C.OPEN, _B.TELL_PROMISE),
    (_C.OPEN, _J.REFUSE): (_C.STOPPED, _B.STOP | _B.TELL),
    (_C.OPEN, _J.RECEIVE_CANCEL_PUSH): (_C.FAILED, _B.STOP | _B.TELL),
    # Section 7.2.3: once the push stream is there, STOP_SENDING and no CANCEL_PUSH.
    (_C.OPEN, _J.CANCEL): (_C.STOPPED, _B.STOP | _B.TELL),
    (_C.OPEN, _J.RECEIVE_END): (_C.FULFILLED, _B.NOTHING),
    (_C.OPEN, _J.RECEIVE_RESET): (_C.FAILED, _B.TELL),
    (_C.OPEN, _J.FAIL): (_C.FAILED, _B.STOP | _B.TELL),
    (_C.CANCELLED, _J.RECEIVE_PROMISE): (_C.CANCELLED, _B.NOTHING),
    (_C.CANCELLED, _J.REFUSE): (_C.CANCELLED, _B.NOTHING),
    (_C.CANCELLED, _J.RECEIVE_STREAM): (_C.STOPPED, _B.STOP),
    (_C.CANCELLED, _J.RECEIVE_CANCEL_PUSH): (_C.CANCELLED, _B.NOTHING),
    (_C.CANCELLED, _J.CANCEL): (_C.CANCELLED, _B.NOTHING),
    (_C.EXPIRED, _J.RECEIVE_PROMISE): (_C.EXPIRED, _B.NOTHING),
    (_C.EXPIRED, _J.REFUSE): (_C.EXPIRED, _B.NOTHING),
    (_C.EXPIRED, _J.RECEIVE_STREAM): (_C.FAILED, _B.STOP),
    (_C.EXPIRED, _J.RECEIVE_CANCEL_PUSH): (_C.EXPIRED, _B.NOTHING),
    (_C.EXPIRED, _J.CANCEL): (_C.EXPIRED, _B.NOTHING),
    # Section 6.2.2: a second push stream for one push ID is H3_ID_ERROR: no row for RECEIVE_STREAM.
    (_C.FULFILLED, _J.RECEIVE_PROMISE): (_C.FULFILLED, _B.NOTHING),
    (_C.FULFILLED, _J.REFUSE): (_C.FULFILLED, _B.NOTHING),
    (_C.FULFILLED, _J.RECEIVE_CANCEL_PUSH): (_C.FULFILLED, _B.NOTHING),
    (_C.FULFILLED, _J.CANCEL): (_C.FULFILLED, _B.NOTHING),
    (_C.STOPPED, _J.RECEIVE_PROMISE): (_C.STOPPED, _B.NOTHING),
    (_C.STOPPED, _J.REFUSE): (_C.STOPPED, _B.NOTHING),
    (_C.STOPPED, _J.RECEIVE_CANCEL_PUSH): (_C.STOPPED, _B.NOTHING),
    (_C.STOPPED, _J.CANCEL): (_C.STOPPED, _B.NOTHING),
    (_C.FAILED, _J.RECEIVE_PROMISE): (_C.FAILED, _B.NOTHING),
    (_C.FAILED, _J.REFUSE): (_C.FAILED, _B.NOTHING),
    (_C.FAILED, _J.RECEIVE_CANCEL_PUSH): (_C.FAILED, _B.NOTHING),
    (_C.FAILED, _J.CANCEL): (_C.FAILED, _B.NOTHING),
}
"""(state, input) to (next state, action) for one push ID on the client.

ORPHAN and OPEN have no row for RECEIVE_STREAM either. While a push stream is an ORPHAN the application does not know of it, so
CANCEL cannot name it; its end is held with its data."""

CLIENT_ENDS = frozenset({_C.CANCELLED, _C.FULFILLED, _C.STOPPED, _C.FAILED, _C.EXPIRED})
"""The states of a push that is over."""
CLIENT_FAILURES = frozenset({_C.FAILED, _C.EXPIRED})
"""Those of a response that the server began and did not complete, or did not bring in time."""
