"""Promises that are held back go out with what is written next, with the bytes and the order that they have one by one."""

import pytest

from conformance.push_support import PushServerRig, promised
from h3push.h3.config import H3Config
from h3push.h3.push.rules import PushRefusal


def written(rig: PushServerRig) -> list[tuple[int, bytes]]:
    """What the core writes from now on, by stream."""
    writes: list[tuple[int, bytes]] = []
    transport = rig.core._pushing._transport
    write = transport.write

    def note(stream_id: int, data: bytes, fin: bool) -> int:
        writes.append((stream_id, data))
        return write(stream_id, data, fin)

    transport.write = note
    return writes


def promise_three(rig: PushServerRig, request: int, *, held: bool = True) -> None:
    for number in range(3):
        rig.core.try_push_promise(request, promised(path=b"/%d" % number), held=held)


def test_promises_and_the_page_are_one_write():
    """The frames are those of single promises, in their order, and stand in front of the response that ends the stream."""
    single, together = PushServerRig(max_push_id=9), PushServerRig(max_push_id=9)
    request = single.ask()
    assert together.ask() == request
    one_by_one, at_once = written(single), written(together)
    promise_three(single, request, held=False)
    promise_three(together, request)
    assert at_once == []
    for rig in single, together:
        rig.core.send_whole_response(request, 200, [], b"page")
    assert (len(one_by_one), len(at_once)) == (4, 1)
    assert at_once[0] == (request, b"".join(data for _, data in one_by_one))


@pytest.mark.parametrize("write", ["interim", "start", "reset", "nothing"])
def test_whatever_is_written_next_comes_behind_the_promises(write):
    """What refers to a promised resource must not overtake its promise (RFC 9114 section 4.6), and nothing is left behind."""
    rig = PushServerRig(max_push_id=9)
    request = rig.ask()
    writes = written(rig)
    promise_three(rig, request)
    if write == "interim":
        rig.core.send_informational_response(request, 103, [(b"link", b"</a>; rel=preload")])
    elif write == "start":
        rig.core.send_response(request, 200, [])
    elif write == "reset":
        rig.core.reset_stream(request, 0x10C)
    else:
        rig.core.write_promises()
    assert writes[0][0] == request
    assert writes[0][1].count(b"/1") == 1
    rig.core.write_promises()
    assert len(writes) == (1 if write in ("reset", "nothing") else 2)
    assert rig.core._held.stream_id is None


def test_a_page_after_another_writes_the_promises_of_the_first():
    """Those of one stream wait at a time."""
    rig = PushServerRig(max_push_id=9)
    first, second = rig.ask(), rig.ask()
    writes = written(rig)
    rig.core.try_push_promise(first, promised(), held=True)
    rig.core.try_push_promise(second, promised(), held=True)
    assert [stream_id for stream_id, _ in writes] == [first]
    rig.core.send_whole_response(first, 200, [], b"page")
    rig.core.send_whole_response(second, 200, [], b"page")
    assert [stream_id for stream_id, _ in writes] == [first, first, second]


def test_a_refusal_keeps_nothing_of_what_was_promised_before():
    """Credit can end in the middle of a page: what was promised until then goes out."""
    rig = PushServerRig(H3Config(), max_push_id=1)
    request = rig.ask()
    writes = written(rig)
    promise_three(rig, request)
    rig.core.write_promises()
    assert len(writes) == 1
    assert rig.core.push_counters.promised == 2
    assert rig.core.push_counters.refused == {PushRefusal.NO_PUSH_CREDIT: 1}
