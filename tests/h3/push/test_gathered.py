"""A page's promises are one write, with the bytes and the order that they have one by one."""

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


def promise_three(rig: PushServerRig, request: int) -> None:
    for number in range(3):
        rig.core.try_push_promise(request, promised(path=b"/%d" % number))


def test_gathered_promises_are_one_write():
    """The frames are those of single promises, in their order; what comes later is written at once again."""
    single, together = PushServerRig(max_push_id=9), PushServerRig(max_push_id=9)
    request = single.ask()
    assert together.ask() == request
    one_by_one, at_once = written(single), written(together)
    promise_three(single, request)
    together.core.gather_promises(request)
    promise_three(together, request)
    assert at_once == []
    together.core.write_promises()
    assert (len(one_by_one), len(at_once)) == (3, 1)
    assert at_once[0] == (request, b"".join(data for _, data in one_by_one))
    together.core.write_promises()
    together.core.try_push_promise(request, promised(path=b"/later"))
    assert len(at_once) == 2


def test_promises_on_another_stream_do_not_wait():
    """What is gathered belongs to one page."""
    rig = PushServerRig(max_push_id=9)
    first, second = rig.ask(), rig.ask()
    writes = written(rig)
    rig.core.gather_promises(first)
    rig.core.try_push_promise(second, promised())
    assert [stream_id for stream_id, _ in writes] == [second]
    rig.core.write_promises()
    assert len(writes) == 1


def test_a_refusal_keeps_nothing_of_what_was_promised_before():
    """Credit can end in the middle of a page: what was promised until then goes out."""
    rig = PushServerRig(H3Config(), max_push_id=1)
    request = rig.ask()
    writes = written(rig)
    rig.core.gather_promises(request)
    promise_three(rig, request)
    rig.core.write_promises()
    assert len(writes) == 1
    assert rig.core.push_counters.promised == 2
    assert rig.core.push_counters.refused == {PushRefusal.NO_PUSH_CREDIT: 1}
