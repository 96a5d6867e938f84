"""A server and a client in one `async with`: the tool that users test their push policy with."""

import asyncio

import pytest

import h3push
from h3push import testing
from h3push.testing import Deadlock, LinkSettings, World, in_world, run_virtual


async def handler(request):
    if request.path == "/page":
        for path in ("/a.css", "/b.js"):
            await request.push(path)
    return h3push.Response(200, {}, request.path)


async def app(scope, _receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"link", b"</a.css>; rel=preload")]})
    await send({"type": "http.response.body", "body": scope["path"].encode()})


def visiting(path, **options):
    return lambda world: world.visit(path, **options)


def test_a_visit_has_the_response_and_every_push_in_the_order_of_the_promises():
    visit = in_world(handler, visiting("/page"), max_pushes=10)
    assert (visit.response.status, visit.content) == (200, b"/page")
    assert visit.pushes == (("/a.css", 200, b"/a.css"), ("/b.js", 200, b"/b.js"))
    assert visit.pushed == ["/a.css", "/b.js"]


def test_a_client_takes_no_pushes_unless_it_is_told_to():
    assert in_world(handler, visiting("/page")).pushed == []


def test_serve_decides_what_kind_of_application_it_is():
    """Further options are those of `serve`; the server in the world is what it made."""

    async def scenario(world):
        return await world.visit("/"), world.server.counters.promised

    visit, promised = in_world(app, scenario, serve=h3push.serve_asgi, lifespan=False, max_pushes=1)
    assert (visit.pushed, promised) == (["/a.css"], 1)


def test_hints_are_the_link_values_of_every_103():
    async def hinting(scope, _receive, send):
        await send({"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload"]})
        await asyncio.sleep(1)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    visit = in_world(hinting, visiting("/"), serve=h3push.serve_asgi, lifespan=False)
    assert visit.hints == ["</a.css>; rel=preload"]


def test_the_link_decides_how_long_a_visit_takes():
    """A round trip on an open connection, to the nanosecond."""
    assert in_world(handler, visiting("/"), link=LinkSettings(delay=0.3)).duration == pytest.approx(0.6, abs=1e-9)
    assert in_world(handler, visiting("/")).duration == pytest.approx(0.1, abs=1e-9)


def test_a_visit_with_a_push_that_does_not_come_raises():
    """Nothing short passes for whole."""

    async def failing(request):
        if request.path == "/":
            await request.push("/broken")
            return h3push.Response(200)
        raise OSError("the disk is gone")

    with pytest.raises(h3push.PushCancelled):
        in_world(failing, visiting("/"), max_pushes=1)


def test_further_clients_have_links_of_their_own():
    async def scenario(world):
        async with world.connect(max_pushes=1) as second:
            response = await second.get("/page")
            return world.server.connections, [push.request.path async for push in response.pushes()]

    assert in_world(handler, scenario) == (2, ["/a.css"])


def test_a_world_may_begin_with_a_server_alone():
    async def main():
        async with World(handler, connected=False) as world:
            assert not hasattr(world, "client")
            async with world.connect() as client:
                return await (await client.get("/")).read()

    assert run_virtual(main) == b"/"


def test_every_datagram_can_be_captured_from_the_first_on():
    async def scenario(world):
        return world.network.capture

    captured = in_world(handler, scenario, capture=True)
    assert (captured[0].at, captured[0].destination) == (0, ("192.0.2.1", 443))


def test_a_world_whose_client_cannot_connect_stops_its_server():
    """The failure is the caller's; no task of the server is left behind."""
    other = testing.make_identity(["other.example"])

    async def main():
        with pytest.raises(h3push.ConnectFailed):
            async with World(handler, identity=other):
                pass
        return len(asyncio.all_tasks())

    assert run_virtual(main) == 1


def test_a_scenario_that_waits_for_nothing_is_told_so():
    async def scenario(_world):
        await asyncio.Event().wait()

    with pytest.raises(Deadlock):
        in_world(handler, scenario)


def test_every_public_name_is_there_and_says_what_it_is():
    assert len(testing.__all__) == len(set(testing.__all__))
    for name in testing.__all__:
        assert getattr(testing, name).__doc__, name
