"""Nothing that was pushed is lost in silence: what does not come about has a reason, is told once and counted once."""

import pytest

from conformance.push_support import (
    CANCEL_PUSH,
    CANCELLED,
    WHOLE,
    PushClientRig,
    PushServerRig,
    encoded_promise,
    id_frame,
    promised,
    reply,
)
from conformance.support import OK, data, promise, section
from h3push.errors import ErrorCode, LocalProtocolError, PushNotAllowed
from h3push.h3.config import H3Config
from h3push.h3.events import CancelledBy, PushCancelled, PushPromiseReceived, PushRefused
from h3push.h3.push.rules import PushRefusal
from h3push.h3.push.states import ClientPushState, ServerPushState


def refused(rig: PushClientRig) -> list[PushRefused]:
    """What the application heard of pushes that never came about."""
    return [event for event in rig.events if isinstance(event, PushRefused)]


def crafted(*fields: tuple[str, str], method="GET", scheme="https", authority="a.test") -> bytes:
    """Promise 0, of any request."""
    pseudo = [(":method", method), (":scheme", scheme), (":authority", authority), (":path", "/pushed")]
    return encoded_promise(0, section(*pseudo, *fields))


@pytest.mark.parametrize(
    ("promise_frame", "reason", "is_readable"),
    [
        (crafted(method="POST"), PushRefusal.METHOD, True),
        (crafted(("content-length", "1")), PushRefusal.CONTENT, True),
        (crafted(("expect", "100-continue")), PushRefusal.CONTENT, True),
        (crafted(scheme="http"), PushRefusal.SCHEME, True),
        (crafted(authority="b.test"), PushRefusal.AUTHORITY, True),
        (crafted(authority="a.test:443"), PushRefusal.AUTHORITY, True),
        (crafted(("Upper", "case")), PushRefusal.MALFORMED, False),
        (crafted(("x-large", "x" * 2_000)), PushRefusal.TOO_LARGE, False),
    ],
    ids=lambda value: value.name if isinstance(value, PushRefusal) else "",
)
def test_a_promise_that_is_not_used_is_told_with_the_reason(promise_frame, reason, is_readable):
    """A client that refuses a promise says so, why, and what was promised; it counts it, and nothing else is told of it."""
    rig = PushClientRig(max_field_section_size=1_000)
    request = rig.ask()
    rig.respond(request, promise_frame)
    (event,) = refused(rig)
    assert (event.push_id, event.reason, event.request is not None) == (0, reason, is_readable)
    assert rig.core.push_counters.refused == {reason: 1}
    rig.push(0, reply(b"pushed"), fin=False)
    rig.tell(id_frame(CANCEL_PUSH, 0))
    rig.respond(request, promise_frame, reply(), fin=True)
    assert refused(rig) == [event], "told once"
    assert rig.core.push_counters.refused == {reason: 1}
    assert rig.cancellations() == []
    assert rig.core.push_counters.promised == 0


def test_a_promise_that_goaway_excludes_is_told():
    """After our GOAWAY a promise is refused because the connection is going away."""
    rig = PushClientRig()
    request = rig.ask()
    rig.core.send_goaway(0)
    rig.respond(request, promise(0))
    assert [(event.push_id, event.reason) for event in refused(rig)] == [(0, PushRefusal.GOING_AWAY)]


@pytest.mark.parametrize("how", ["CANCEL_PUSH", "CANCEL_PUSH and a stream", "RESET_STREAM"])
def test_a_push_that_is_called_off_before_its_promise_is_told(how):
    """A push whose end overtakes its promise never comes about: the application hears of it once, without a request."""
    rig = PushClientRig()
    request = rig.ask()
    stream_id = None
    if how != "CANCEL_PUSH":
        stream_id = rig.push(0, OK, data(b"half"), fin=False)
    if how == "RESET_STREAM":
        rig.raw.reset(stream_id, CANCELLED)
        rig.run()
    else:
        rig.tell(id_frame(CANCEL_PUSH, 0))
    rig.respond(request, promise(0), reply(), fin=True)
    assert refused(rig) == [PushRefused(0, None, PushRefusal.CALLED_OFF)]
    assert rig.core.push_counters.refused == {PushRefusal.CALLED_OFF: 1}
    assert rig.promised() == []


def test_a_push_stream_without_a_promise_is_told():
    """A push stream whose promise does not come in time is stopped, and that is told."""
    rig = PushClientRig(push_promise_timeout=3)
    rig.ask()
    rig.push(0, reply(b"pushed"))
    rig.advance(3.1)
    assert refused(rig) == [PushRefused(0, None, PushRefusal.NO_PROMISE)]


@pytest.mark.parametrize(
    "code", [ErrorCode.H3_REQUEST_CANCELLED, ErrorCode.H3_INTERNAL_ERROR, ErrorCode.H3_NO_ERROR, 0x21]
)
@pytest.mark.parametrize("first", ["RESET_STREAM", "CANCEL_PUSH"])
@pytest.mark.parametrize("is_promised", [True, False])
def test_a_push_that_its_server_ends_half_way_has_failed_by_whatever_frame(code, first, is_promised):
    """RESET_STREAM and CANCEL_PUSH both go out and overtake each other: a push whose stream is there FAILED in either order."""
    rig = PushClientRig()
    rig.respond(rig.ask(), promise(0) if is_promised else b"", promise(1))
    stream_id = rig.push(0, OK, data(b"half"), fin=False)
    if first == "RESET_STREAM":
        rig.raw.reset(stream_id, code)
        rig.run()
        rig.tell(id_frame(CANCEL_PUSH, 0))
    else:
        rig.tell(id_frame(CANCEL_PUSH, 0))
        rig.raw.reset(stream_id, code)
        rig.run()
    assert rig.core.push_state(0) is ClientPushState.FAILED
    told = code if first == "RESET_STREAM" else None
    assert rig.cancellations() == ([PushCancelled(0, CancelledBy.FAILED, told)] if is_promised else [])
    counters = rig.core.push_counters
    assert (counters.cancelled_by_peer, counters.failed) == (0, int(is_promised))
    rig.push(1, reply(b"pushed"))
    assert rig.pushed(1) == WHOLE


def test_what_a_client_was_promised_adds_up():
    """Every accepted promise ends in one counter: fulfilled, cancelled by either side, or failed."""
    rig = PushClientRig(push_stream_timeout=5)
    rig.respond(rig.ask(), *(promise(push_id) for push_id in range(5)))
    rig.push(0, reply(b"pushed"))
    rig.core.cancel_push(1)
    rig.tell(id_frame(CANCEL_PUSH, 2))
    rig.push(3, reply(b"", "no status"))
    rig.advance(6)
    counters = rig.core.push_counters
    ended = (counters.fulfilled, counters.cancelled, counters.cancelled_by_peer, counters.failed)
    assert (counters.promised, ended) == (5, (1, 1, 1, 2))


# The server


def test_a_server_says_why_it_promises_nothing():
    """`why_not_push` and `try_push_promise` agree on the reason, and each refusal is counted once."""
    rig = PushServerRig()
    request = rig.ask()
    expect(rig, request, PushRefusal.NOT_ALLOWED_BY_CLIENT)
    rig.tell(id_frame(0x0D, 0))
    assert rig.core.why_not_push(request) is None
    assert rig.core.try_push_promise(request, promised()) is rig.core.push(0)
    expect(rig, request, PushRefusal.NO_PUSH_CREDIT)
    rig.tell(id_frame(0x0D, 5), id_frame(0x07, 0))
    expect(rig, request, PushRefusal.GOING_AWAY)
    rig.finish(request)
    expect(rig, request, PushRefusal.RESPONSE_ENDED)
    for_credit = (
        PushRefusal.NOT_ALLOWED_BY_CLIENT,
        PushRefusal.NO_PUSH_CREDIT,
        PushRefusal.NO_STREAM_CREDIT,
        PushRefusal.GOING_AWAY,
    )
    assert sum(rig.core.push_counters.refused[refusal] for refusal in for_credit) == 3
    rig.expect_alive()


def test_a_server_that_pushes_nothing_says_so():
    """`enable_push=False` is a reason of its own, and the first."""
    rig = PushServerRig(H3Config(enable_push=False), max_push_id=5)
    expect(rig, rig.ask(), PushRefusal.DISABLED)


def test_no_stream_credit_is_a_reason():
    """The client's limit on unidirectional streams refuses a push as its limit on push IDs does."""
    rig = PushServerRig(H3Config(grease=False), max_push_id=5, streams=3)
    expect(rig, rig.ask(), PushRefusal.NO_STREAM_CREDIT)


def expect(rig: PushServerRig, request: int, reason: PushRefusal) -> None:
    """Nothing can be promised on that response, for this reason."""
    before = rig.core.push_counters.refused[reason]
    assert rig.core.why_not_push(request) is reason
    assert rig.core.try_push_promise(request, promised()) is reason
    assert rig.core.push_counters.refused[reason] == before + 1


@pytest.mark.parametrize(
    "field",
    [
        (b"Content-Length", b"5"),
        (b"content-length", b"5"),
        (b"Expect", b"100-continue"),
        (b"Trailer", b"x-sum"),
    ],
)
def test_a_promise_with_content_in_its_fields_is_refused(field):
    """Content or `Expect`, given as a field in any case, is refused though `content_length` does not name it."""
    rig = PushServerRig(max_push_id=5)
    request = rig.ask()
    head = promised()._replace(fields=[field], content_length=None)
    assert rig.core.try_push_promise(request, head) is PushRefusal.CONTENT
    with pytest.raises(PushNotAllowed, match="content"):
        rig.core.send_push_promise(request, head)
    assert rig.core.push_counters.promised == 0


def test_a_promise_that_cannot_be_sent_is_an_error_of_the_caller():
    """A malformed promise is no refusal: the caller is told what is wrong with it."""
    rig = PushServerRig(max_push_id=5)
    with pytest.raises(LocalProtocolError):
        rig.core.try_push_promise(rig.ask(), promised()._replace(path=b"no slash"))


def test_where_a_push_stands_can_be_asked():
    """`push_state` names the row of the table: promised, open, sent, fulfilled, or cancelled."""
    rig = PushServerRig(max_push_id=5)
    request = rig.ask()
    states = [rig.core.push_state(0)]
    rig.core.send_push_promise(request, promised())
    states.append(rig.core.push_state(0))
    stream_id = rig.core.open_push_stream(0)
    states.append(rig.core.push_state(0))
    rig.core.send_response(stream_id, 200, [], True)
    states.append(rig.core.push_state(0))
    rig.core.send_push_promise(request, promised())
    rig.core.cancel_push(1)
    assert [state.name for state in states] == ["UNPROMISED", "PROMISED", "OPEN", "SENT"]
    assert rig.core.push_state(1) is ServerPushState.CANCELLED
    assert not [event for event in rig.events if isinstance(event, PushPromiseReceived)]
