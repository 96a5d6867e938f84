"""The lifespan protocol."""

import asyncio
import sys
from typing import Any

import pytest

from h3push.asgi.lifespan import Lifespan, LifespanFailedError, LifespanState
from h3push.testing.virtual import run_virtual

from .harness import World, in_world, now, respond


def test_state_reaches_every_request_as_a_copy() -> None:
    """What start-up put into `state` is there; what a request puts there stays its own."""
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            assert (await receive())["type"] == "lifespan.startup"
            scope["state"]["pool"] = pool
            await send({"type": "lifespan.startup.complete"})
            assert (await receive())["type"] == "lifespan.shutdown"
            seen.append("stopped")
            await send({"type": "lifespan.shutdown.complete"})
            return
        seen.append(dict(scope["state"]))
        scope["state"]["own"] = 1
        await respond(send)

    pool = object()

    async def scenario(world: World) -> None:
        for _ in range(2):
            await (await world.client.get("/")).read()

    in_world(app, scenario, lifespan=True)
    assert seen == [{"pool": pool}, {"pool": pool}, "stopped"]


@pytest.mark.parametrize("how", ["raises", "returns"])
def test_an_application_without_lifespan_is_served(how: str) -> None:
    """ASGI: an exception during start-up means "go on without lifespan"; the scope has no state then."""
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            if how == "raises":
                raise NotImplementedError
            return
        seen.append("state" in scope)
        await respond(send)

    async def scenario(world: World) -> int:
        return (await world.client.get("/")).status

    assert in_world(app, scenario, lifespan=True) == 200
    assert seen == [False]


def test_an_application_that_cannot_start_is_not_served() -> None:
    """Its own sentence is the error's."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    async def scenario(world: World) -> None:
        raise AssertionError("it was served")

    with pytest.raises(LifespanFailedError, match="no database"):
        in_world(app, scenario, lifespan=True)


def test_an_application_that_never_answers_is_given_up() -> None:
    """A start-up has its time."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    async def main() -> LifespanState:
        lifespan = Lifespan(app, timeout=0.01)
        with pytest.raises(LifespanFailedError, match="did not start within"):
            await lifespan.startup()
        await lifespan.shutdown()
        return lifespan.stage

    assert asyncio.run(main()) is LifespanState.STOPPED


@pytest.mark.parametrize("stubborn", [False, True])
def test_a_start_that_takes_too_long_is_ended(stubborn: bool, caplog: pytest.LogCaptureFixture) -> None:
    """The lifespan's task is cancelled, so nothing of the application lives on (issue 9, point 26).

    One that ignores its cancellation is not waited for.
    """
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            seen.append("cancelled")
            if not stubborn:
                raise
            await asyncio.sleep(100)

    async def main() -> None:
        with pytest.raises(LifespanFailedError, match="did not start within"):
            await Lifespan(app, timeout=5).startup()
        assert seen == ["cancelled"]

    run_virtual(main)
    assert ("does not end" in caplog.text) is stubborn


def test_a_shutdown_that_is_cancelled_does_not_wait_for_the_application() -> None:
    """A second Ctrl-C ends at once, lifespan included (issue 9, point 40)."""
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await respond(send)
            return
        await receive()
        await send({"type": "lifespan.startup.complete"})
        try:
            seen.append((await receive())["type"])
        except asyncio.CancelledError:
            seen.append("cancelled")

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await asyncio.sleep(1_000)
        await app(scope, receive, send)

    async def scenario(world: World) -> float:
        asking = asyncio.ensure_future(world.client.get("/"))
        await asyncio.sleep(1)
        stopping = asyncio.ensure_future(world.server.shutdown())
        await asyncio.sleep(1)
        begin = now()
        stopping.cancel()
        await asyncio.wait({stopping, asking})
        asking.exception()
        return now() - begin

    assert in_world(slow, scenario, lifespan=True) < 1
    assert seen == ["cancelled"]


def test_an_application_that_calls_sys_exit_does_not_start() -> None:
    """The server says so and ends, instead of going on without lifespan (issue 9, point 37)."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        sys.exit("no configuration")

    async def scenario(world: World) -> None:
        raise AssertionError("it was served")

    with pytest.raises(LifespanFailedError, match=r"sys\.exit.*no configuration"):
        in_world(app, scenario, lifespan=True)


@pytest.mark.parametrize("how", ["raises", "failed"])
def test_a_failing_shutdown_is_logged_and_the_server_stops(how: str, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing an application does keeps the server from stopping."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await respond(send)
            return
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if how == "raises":
            raise ValueError("stuck")
        await send({"type": "lifespan.shutdown.failed", "message": "stuck"})

    async def scenario(world: World) -> int:
        return (await world.client.get("/")).status

    assert in_world(app, scenario, lifespan=True) == 200
    assert "stuck" in caplog.text


@pytest.mark.parametrize("how", ["raises", "returns"])
def test_a_lifespan_that_has_ended_is_not_waited_for(how: str) -> None:
    """An application that left its lifespan once it was started cannot answer at the stop, which takes no time."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        if how == "raises":
            raise ValueError("its own trouble")

    async def main() -> float:
        lifespan = Lifespan(app)
        await lifespan.startup()
        await asyncio.sleep(1)
        before = asyncio.get_running_loop().time()
        await lifespan.shutdown()
        return asyncio.get_running_loop().time() - before

    assert run_virtual(main) == 0


@pytest.mark.parametrize("how", ["raises", "returns"])
def test_a_lifespan_that_is_required_has_to_be_there(how: str, caplog: pytest.LogCaptureFixture) -> None:
    """An application without it cannot start; what it raised is logged with its traceback."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if how == "raises":
            raise KeyError("no lifespan here")

    async def main() -> None:
        await Lifespan(app, required=True).startup()

    with pytest.raises(LifespanFailedError, match="takes no lifespan events"):
        asyncio.run(main())
    assert ("no lifespan here" in caplog.text) == (how == "raises")
