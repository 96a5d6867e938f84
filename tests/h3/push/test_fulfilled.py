"""FULFILLED means that the client has it all: acknowledged, on the in-memory pair as on QUIC."""

import pytest

from conformance.push_support import CANCELLED, PushServerRig, promised
from h3push.h3.events import PushFulfilled
from h3push.testing.memory import LinkSettings


def test_a_push_is_fulfilled_when_it_is_acknowledged():
    """A push that was written to its end is SENT for a round trip; then it is FULFILLED, told and counted once."""
    rig = PushServerRig(max_push_id=3, link=LinkSettings(delay=0.1))
    request = rig.ask()
    rig.core.send_push_promise(request, promised())
    rig.core.send_whole_push(0, 200, [], b"pushed")
    rig.advance(0.19)
    assert (rig.core.push_state(0).name, rig.core.push_counters.fulfilled) == ("SENT", 0)
    rig.run()
    assert (rig.core.push_state(0).name, rig.core.push_counters.fulfilled) == ("FULFILLED", 1)
    assert [event for event in rig.events if isinstance(event, PushFulfilled)] == [PushFulfilled(0)]
    assert rig.core.pushes_under_way == 0


@pytest.mark.parametrize("seconds", [None, 0.0, 0.05, 0.15])
def test_a_push_that_was_sent_can_be_called_off(seconds):
    """Until it is acknowledged, calling a push off resets its stream; it then counts as cancelled, and as nothing else."""
    rig = PushServerRig(max_push_id=3, link=LinkSettings(delay=0.1))
    request = rig.ask()
    rig.core.send_push_promise(request, promised())
    stream_id = rig.core.send_whole_push(0, 200, [], b"pushed")
    if seconds is not None:
        rig.advance(seconds)
    rig.core.cancel_push(0)
    rig.run()
    counters = rig.core.push_counters
    assert (rig.core.push_state(0).name, counters.cancelled, counters.fulfilled) == ("CANCELLED", 1, 0)
    assert not [event for event in rig.events if isinstance(event, PushFulfilled)]
    if seconds is None:
        assert rig.raw.stream(stream_id).reset == CANCELLED, "nothing of it goes out any more"
    rig.core.cancel_push(0)
    assert counters.cancelled == 1
