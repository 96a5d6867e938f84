"""One book for each push: how far it has come, as an application sees it, is what the core's table says."""

import asyncio

import pytest

import h3push
from h3push import CancelledBy, H3Config, ReceivedState
from h3push.h3.push.states import CLIENT_ENDS, CLIENT_FAILURES, ClientPushState
from h3push.testing import in_world

SEEN_AS = {
    ClientPushState.PROMISED: ReceivedState.PROMISED,
    ClientPushState.OPEN: ReceivedState.OPEN,
    ClientPushState.FULFILLED: ReceivedState.FULFILLED,
    ClientPushState.CANCELLED: ReceivedState.CANCELLED,
    ClientPushState.STOPPED: ReceivedState.CANCELLED,
    ClientPushState.FAILED: ReceivedState.FAILED,
    ClientPushState.EXPIRED: ReceivedState.FAILED,
}
"""An application has heard of a push in each of these states, and of none in the others."""


async def endless():
    while True:
        yield b"x" * 1000
        await asyncio.sleep(1)


async def breaking():
    yield b"x"
    await asyncio.sleep(1)
    raise RuntimeError("as it should")


async def site(request):
    if request.path == "/":
        pushes = {path: await request.push(path) for path in ("/whole", "/breaks", "/unwanted", "/waits", "/stopped")}
        loop = asyncio.get_running_loop()
        loop.call_later(2, pushes["/waits"].cancel)
        loop.call_later(2, pushes["/stopped"].cancel)
        await request.push("/silent")
    if request.path in ("/waits", "/silent"):
        await asyncio.sleep(100)
    content = {"/breaks": breaking, "/unwanted": endless, "/stopped": endless}.get(request.path)
    return h3push.Response(200, {}, b"whole" if content is None else content())


def test_every_end_of_a_push_is_told_by_the_core_and_kept_nowhere_else():
    """At each moment of six pushes that end in six ways, the application's word for a push follows from the core's."""

    async def scenario(world):
        core = world.client.session.core
        response = await world.client.get("/")
        await response.read()
        pushes = [push async for push in _some(response.pushes(), 6)]
        seen = set()
        for _ in range(80):
            for push in pushes:
                state = core.push_state(push.push_id)
                arriving = (
                    state is ClientPushState.OPEN and push.state is ReceivedState.PROMISED
                )  # but not its header section
                assert arriving or push.state is SEEN_AS[state], push
                seen.add(state)
            await asyncio.sleep(0.1)
            unwanted = pushes[2]
            if unwanted.state is ReceivedState.OPEN:
                unwanted.cancel()
        return seen, {push.request.path: (push.state, push.cancelled_by) for push in pushes}, core.push_counters

    config = H3Config(push_stream_timeout=5.0)
    seen, ends, counters = in_world(site, scenario, max_pushes=10, client_config=config)
    assert seen >= {ClientPushState.OPEN, ClientPushState.FULFILLED, ClientPushState.STOPPED, ClientPushState.EXPIRED}
    assert ends["/whole"] == (ReceivedState.FULFILLED, None)
    assert ends["/unwanted"] == (ReceivedState.CANCELLED, CancelledBy.LOCAL)
    assert ends["/waits"] == (ReceivedState.CANCELLED, CancelledBy.PEER)
    assert ends["/stopped"] == (ReceivedState.FAILED, CancelledBy.FAILED), "its response had begun"
    assert ends["/silent"] == (ReceivedState.FAILED, CancelledBy.TIMEOUT)
    assert counters.fulfilled == 1
    assert counters.fulfilled + counters.failed + counters.cancelled + counters.cancelled_by_peer == 6


async def _some(iterator, count):
    async for one in iterator:
        yield one
        count -= 1
        if not count:
            return


@pytest.mark.parametrize("state", CLIENT_ENDS, ids=lambda state: state.name)
def test_the_failures_are_the_ends_that_an_application_sees_as_failed(state):
    """Two tables, one meaning."""
    assert (state in CLIENT_FAILURES) == (SEEN_AS[state] is ReceivedState.FAILED)
