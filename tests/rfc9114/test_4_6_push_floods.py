"""What a peer can make us hold and do with pushes (RFC 9114 section 10.5)."""

import gc
from types import FunctionType, ModuleType

import pytest

from conformance.push_support import (
    CANCEL_PUSH,
    MAX_PUSH_ID,
    WHOLE,
    PushClientRig,
    PushServerRig,
    answering,
    encoded_promise,
    id_frame,
    promised,
    push_header,
    reply,
)
from conformance.support import GET, LARGEST_VARINT, OK, promise, section
from h3push.errors import ErrorCode
from h3push.h3.client import H3ClientConnection
from h3push.h3.config import H3Config
from h3push.h3.events import DataReceived, MaxPushIdReceived, RequestReceived, ResponseReceived
from h3push.h3.server import H3ServerConnection
from h3push.testing.memory import EndSettings, MemoryEnd, MemoryPair, MemorySettings

PSEUDO = [(":method", "GET"), (":scheme", "https"), (":authority", "a.test"), (":path", "/pushed")]


# A client


@pytest.mark.rfc("ROB-01")
def test_repeats_of_one_promise_are_bounded():
    """Repeats of one push ID are bounded by count; a flood of them ends the connection."""
    rig = PushClientRig(max_repeated_promises=64)
    request = rig.ask()
    rig.respond(request, *[promise(0)] * 64)
    rig.expect_alive()
    assert len(rig.promised()) == 64
    rig.respond(request, promise(0))
    rig.expect_close(ErrorCode.H3_EXCESSIVE_LOAD)


@pytest.mark.parametrize("ending", ["complete", "cancelled", "refused"])
@pytest.mark.rfc("ROB-01")
def test_promises_for_what_is_over_are_bounded(ending):
    """A million repeats of a promise whose push is over do not get through."""
    rig = PushClientRig(flood_burst=200)
    request = rig.ask()
    again = promise(0, host="other.test") if ending == "refused" else promise(0)
    rig.respond(request, again)
    if ending == "complete":
        rig.push(0, reply(b"pushed"))
    elif ending == "cancelled":
        rig.core.cancel_push(0)
    rig.respond(request, *[again] * 100)
    rig.expect_alive()
    rig.respond(request, *[again] * 1_000)
    rig.expect_close(ErrorCode.H3_EXCESSIVE_LOAD)


@pytest.mark.rfc("ROB-01")
def test_what_promises_hold_is_bounded_by_the_window():
    """Distinct promises are bounded by credit and each by the size limit, so that what is held is their product at most."""
    rig = PushClientRig(pushes=4, max_field_section_size=2_000)
    request = rig.ask()
    for push_id in range(4):
        rig.respond(request, encoded_promise(push_id, section(*PSEUDO, ("x", "v" * 1_700))))
    assert rig.promised() == [0, 1, 2, 3]
    rig.expect_alive()
    rig.respond(request, encoded_promise(4, section(*PSEUDO, ("x", "v" * 1_700))))
    rig.expect_close(ErrorCode.H3_ID_ERROR)


@pytest.mark.rfc("ROB-01")
def test_a_promise_too_large_to_hold_ends_the_connection():
    """A promise over the encoded limit is refused on its length, before it is buffered."""
    rig = PushClientRig(max_encoded_field_section_size=10_000)
    rig.respond(rig.ask(), b"\x05" + (20_000 | 0x80000000).to_bytes(4, "big"))
    rig.expect_close(ErrorCode.H3_EXCESSIVE_LOAD)


@pytest.mark.rfc("ROB-05")
def test_push_streams_without_a_promise_are_bounded():
    """The number of un-promised push streams is bounded by the window, and each is held to its first bytes."""
    rig = PushClientRig(pushes=5)
    for push_id in range(5):
        rig.push(push_id, OK * 10, fin=False)
    assert rig.core.pushes_under_way == 5
    assert sum(len(push.held) for push in rig.core._pushes._live.values()) <= 5 * 16
    rig.expect_alive()
    rig.uni(push_header(5))
    rig.expect_close(ErrorCode.H3_ID_ERROR)


@pytest.mark.rfc("ROB-05")
def test_push_streams_that_end_in_their_header_are_bounded():
    """Streams that are opened and abandoned before their header are work without progress."""
    rig = PushClientRig(flood_burst=50)
    for _ in range(100):
        rig.uni("01", fin=True)
    rig.expect_close(ErrorCode.H3_EXCESSIVE_LOAD)


# A server


@pytest.mark.rfc("ROB-02")
def test_promise_and_cancel_churn_is_bounded():
    """Requests whose every push is cancelled at once (push "rapid reset") run into the budget."""

    def application(server, event):
        if isinstance(event, RequestReceived):
            for _ in range(5):
                server.send_push_promise(event.stream_id, promised())
            server.send_response(event.stream_id, 200, [], True)

    rig = PushServerRig(H3Config(flood_burst=100, flood_rate=0.0), max_push_id=100_000, application=application)
    for number in range(100):
        rig.send(GET, fin=True)
        rig.run()
        rig.tell(*[id_frame(CANCEL_PUSH, 5 * number + push) for push in range(5)])
        if rig.raw.closed is not None:
            break
    rig.expect_close(ErrorCode.H3_EXCESSIVE_LOAD)
    assert number < 60


@pytest.mark.parametrize("raised", [False, True])
@pytest.mark.rfc("ROB-03", "H3-7.2.7-07")
def test_a_flood_of_limits_is_bounded(raised):
    """Endless increments by 1, or repeats, of MAX_PUSH_ID are rate-limited; one of 2^62-1 costs nothing."""
    rig = PushServerRig(H3Config(flood_burst=1_000, flood_rate=100.0))
    frames = [id_frame(MAX_PUSH_ID, number if raised else 7) for number in range(100_000)]
    rig.tell(*frames[:900])
    rig.expect_alive()
    rig.tell(*frames[900:])
    rig.expect_close(ErrorCode.H3_EXCESSIVE_LOAD)
    assert len([event for event in rig.events if isinstance(event, MaxPushIdReceived)]) <= 1_100

    rig = PushServerRig(application=answering)
    rig.tell(id_frame(MAX_PUSH_ID, LARGEST_VARINT))
    rig.expect_alive()


@pytest.mark.rfc("ROB-03")
def test_a_client_that_uses_what_it_grants_is_not_a_flood():
    """MAX_PUSH_ID and CANCEL_PUSH at the pace of pushes that end are ordinary, for as long as it lasts."""
    rig = PushServerRig(H3Config(flood_burst=20, flood_rate=0.0), max_push_id=1, application=answering)
    rig.application = lambda server, event: None
    for push_id in range(300):
        request = rig.ask()
        rig.core.send_push_promise(request, promised())
        if push_id % 3 == 0:
            rig.tell(id_frame(CANCEL_PUSH, push_id))
        else:
            rig.finish(rig.core.open_push_stream(push_id))
        rig.finish(request)
        rig.tell(id_frame(MAX_PUSH_ID, push_id + 2))
    rig.expect_alive()


# A long life


def push_page(server: H3ServerConnection, stream_id: int, pushes: int) -> None:
    """Answer with a page and its pushes, some of them called off."""
    opened = []
    for number in range(pushes):
        push_id = server.send_push_promise(stream_id, promised(b"/%d" % number))
        if push_id % 7 == 3:
            server.cancel_push(push_id)
        else:
            opened.append(server.open_push_stream(push_id))
    server.send_response(stream_id, 200, [])
    server.send_data(stream_id, b"page", True)
    for push_stream in opened:
        server.send_response(push_stream, 200, [(b"content-length", b"6")])
        server.send_data(push_stream, b"pushed", True)


def soak(requests: int, pushes: int) -> tuple[H3ClientConnection, H3ServerConnection]:
    """Two cores; every page has `pushes` pushes, of which some are cancelled by either side."""
    limits = EndSettings(max_unidirectional_streams=3 + 2 * pushes)
    pair = MemoryPair(MemorySettings(client=limits, server=limits))
    client = H3ClientConnection(
        pair.client, H3Config(max_concurrent_pushes=pushes, flood_rate=1e9, remembered_pushes=32)
    )
    server = H3ServerConnection(pair.server, H3Config(flood_rate=1e9, remembered_pushes=32))
    counted = {"whole": 0}

    def application(event):
        if isinstance(event, RequestReceived):
            push_page(server, event.stream_id, pushes)

    def reader(event):
        if isinstance(event, DataReceived) and event.end_stream:
            counted["whole"] += 1
        if isinstance(event, ResponseReceived) and event.push_id is not None and event.push_id % 11 == 5:
            client.cancel_push(event.push_id)

    pair.join(client, server, on_client_event=reader, on_server_event=application)
    pair.run()
    for _ in range(requests):
        client.send_request(promised(b"/"))
        pair.run()
        pair.client.timeline.clear()
        pair.server.timeline.clear()
    assert not client.is_closed
    assert counted["whole"] > requests
    return client, server


def objects_held(core: object) -> int:
    """How many objects a core keeps alive, without its transport and without code."""
    held, todo = {id(core)}, [core]
    skipped = (type, FunctionType, ModuleType, MemoryEnd)
    while todo:
        for one in gc.get_referents(todo.pop()):
            if id(one) not in held and not isinstance(one, skipped):
                held.add(id(one))
                todo.append(one)
    return len(held)


@pytest.mark.rfc("ROB-36")
def test_a_long_life_leaves_nothing_behind():
    """Thousands of requests and pushes on one connection leave every map empty, and the limits where they were."""
    # Of push IDs up to 256 there is one object each in the interpreter, of larger ones any number: both lives are past these.
    young = [objects_held(core) for core in soak(requests=100, pushes=4)]
    client, server = soak(requests=1_500, pushes=4)
    for before, after in zip(young, map(objects_held, (client, server)), strict=True):
        assert after <= before * 1.1
    for core in (client, server):
        assert core._receivers == {}
        assert core._senders == {}
        assert core._pauses == {}
        assert core.open_message_streams == core.pushes_under_way == 0
        assert len(core._unidirectional) == 3, "the critical streams"
        assert core._sections.decoder._blocked == {}
    assert server.push_counters.promised == client.max_push_id - 3 == 6_000
    assert server._pushes._by_stream == server._pushing.priorities == {}
    assert len(server._pushes._by_id) <= server.config.remembered_pushes
    assert server._pushes.unopened == 0
    assert len(client._pushes._recent) <= client.config.remembered_pushes
    assert len(client._pushes._finished) == 1
    assert client._pushes._orphans == client._pushes._unfulfilled == {}
    assert client._pushes._unreleased == set()
    assert (
        server.push_counters.fulfilled + server.push_counters.cancelled + server.push_counters.cancelled_by_peer
        == 6_000
    )


def test_whole_is_what_the_tests_mean():
    """One push through both rigs' eyes."""
    rig = PushClientRig()
    rig.promise_and_push(0)
    assert rig.pushed(0) == WHOLE
