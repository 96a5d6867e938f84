"""Extended CONNECT at the client (RFC 8441, RFC 9220), in virtual time: opened, refused, ended from each side, and bounded."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

import h3push
from h3push import _quic
from h3push.h3.events import DataReceived, ResponseReceived
from h3push.http.fields import ResponseHead
from h3push.testing import World, in_world

KIB = 1024
TAKES_IT = h3push.H3Config(connect_protocol=True)
LARGE = bytes(range(256)) * 4 * KIB


async def echo(request: h3push.Request) -> None:
    """Sends back what comes, and ends when the client does."""
    assert (request.head.method, request.head.protocol) == (b"CONNECT", b"chat")
    await request.start_response(200, {"x-path": request.path})
    async for data in request.stream():
        await request.send(data)
    await request.send(b"", end_stream=True)


def with_tunnels(handler: Any, scenario: Callable[[World], Awaitable[Any]], **options: Any) -> Any:
    return in_world(handler, scenario, server_config=TAKES_IT, **options)


async def received(tunnel: h3push.ClientTunnel) -> AsyncIterator[bytes]:
    while data := await tunnel.receive():
        yield data


@pytest.mark.rfc("WS-3-04")
def test_bytes_go_both_ways_until_each_side_ends_its_own() -> None:
    """More than all windows hold passes, a FIN ends one direction alone, and the connection is idle after both."""

    async def scenario(world: World) -> None:
        async with await world.client.extended_connect("chat", "/a?b=c") as tunnel:
            assert (tunnel.status, tunnel.is_accepted, tunnel.headers["x-path"]) == (200, True, "/a?b=c")

            async def send() -> None:
                for _ in range(4):
                    await tunnel.send(LARGE)
                await tunnel.end()

            sending = asyncio.create_task(send())
            assert b"".join([data async for data in received(tunnel)]) == LARGE * 4
            await sending
            await tunnel.end()
            assert not world.client.session.wanted
            with pytest.raises(h3push.StreamStateError):
                await tunnel.send(b"more")

    with_tunnels(echo, scenario)


@pytest.mark.rfc("WS-3-01")
def test_a_server_that_does_not_take_it_is_sent_nothing() -> None:
    """RFC 9220 section 3: the error says so, and the connection goes on. The server's SETTINGS are waited for."""

    async def handler(request: h3push.Request) -> h3push.Response:
        assert request.method == "GET"
        return h3push.Response()

    async def scenario(world: World) -> None:
        with pytest.raises(h3push.NoExtendedConnect, match="RFC 9220"):
            await world.client.extended_connect("chat", "/")
        assert (await world.client.get("/")).status == 200

    in_world(handler, scenario)


def test_a_server_that_never_says_is_not_waited_for_without_end() -> None:
    """No SETTINGS: `request_timeout` bounds the wait, and the end of the connection ends it."""

    async def scenario(world: World) -> None:
        transport = _quic.Transport(max_unidirectional_streams=0)  # no room for its control stream
        async with world.connect(driver=world.network.client_endpoint(world.client_tls, transport)) as client:
            began = world.now
            with pytest.raises(h3push.PoolTimeout, match="has not said within 30 s"):
                await client.extended_connect("chat", "/")
            assert world.now - began == pytest.approx(30, abs=1)
            asking = asyncio.create_task(client.extended_connect("chat", "/"))
            await asyncio.sleep(1)
        with pytest.raises(h3push.RequestNotProcessed):
            await asking

    with_tunnels(echo, scenario, connected=False)


@pytest.mark.parametrize(("protocol", "path"), [("not a token", "/"), ("", "/"), ("chat", "no-path")])
@pytest.mark.rfc("WS-3-02")
def test_what_would_be_malformed_is_not_sent(protocol: str, path: str) -> None:
    """RFC 8441 section 4: our own callers are held to the rules that a server checks."""

    async def scenario(world: World) -> None:
        with pytest.raises(h3push.LocalProtocolError):
            await world.client.extended_connect(protocol, path)
        assert not world.client.session.wanted

    with_tunnels(echo, scenario)


def test_a_refusal_is_a_plain_response() -> None:
    """Status, fields and content say why not; our direction ends by itself, and nothing is left under way."""

    async def handler(request: h3push.Request) -> h3push.Response:
        return h3push.Response(403, {"x-why": "no"}, b"not you")

    async def scenario(world: World) -> None:
        tunnel = await world.client.extended_connect("chat", "/")
        assert (tunnel.status, tunnel.is_accepted, tunnel.headers["x-why"]) == (403, False, "no")
        assert await tunnel.read() == b"not you"
        with pytest.raises(h3push.StreamStateError):
            await tunnel.send(b"x")
        await asyncio.sleep(1)
        assert not world.client.session.wanted

    with_tunnels(handler, scenario)


def test_a_length_in_the_answer_does_not_cut_the_tunnel() -> None:
    """RFC 9110 section 8.6: Content-Length in a 2xx to CONNECT means nothing, where pushes are taken too."""

    async def scenario(world: World) -> None:
        session = world.client.session
        asking = asyncio.create_task(world.client.extended_connect("chat", "/"))
        await asyncio.sleep(0.3)
        ((stream_id, _),) = session.exchanges.items()
        answer = ResponseHead(200, [(b"content-length", b"2")], 2)
        session.receive([ResponseReceived(stream_id, answer, False, None)])
        async with await asking as tunnel:
            for data in (b"12", b"and more"):
                session.receive([DataReceived(stream_id, data, False, None)])
                assert (await tunnel.receive(), tunnel.content.finished) == (data, False)

    async def silent(request: h3push.Request) -> None:
        await asyncio.sleep(3600)

    with_tunnels(silent, scenario, max_pushes=4)


@pytest.mark.rfc("WS-3-04")
def test_a_reset_is_told_to_both_of_our_ends() -> None:
    """What is no FIN is an error: for who receives, for who waits to send, and for who sends after that."""

    async def handler(request: h3push.Request) -> None:
        await request.start_response(200)
        await request.content.next_chunk()
        raise RuntimeError("broken")

    async def scenario(world: World) -> None:
        tunnel = await world.client.extended_connect("chat", "/")
        sending = asyncio.create_task(tunnel.send(LARGE * 8))
        with pytest.raises(h3push.StreamFailed):
            await tunnel.receive()
        with pytest.raises(h3push.StreamFailed):
            await sending
        with pytest.raises(h3push.StreamFailed):
            await tunnel.send(b"x")
        assert not world.client.session.wanted

    with_tunnels(handler, scenario)


@pytest.mark.rfc("WS-3-04")
def test_closing_cancels_both_directions(monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 9220 section 3: an end that is none of TCP's FIN is H3_REQUEST_CANCELLED; the server hears of it."""
    told: list[object] = []
    codes: list[int] = []

    async def handler(request: h3push.Request) -> None:
        await request.start_response(200)
        try:
            await request.content.next_chunk()
        finally:
            told.append(request.gone)

    async def scenario(world: World) -> None:
        for name in ("reset", "stop"):
            call = getattr(world.client_driver, name)
            spy = lambda *given, call=call: codes.append(given[-1]) or call(*given)  # noqa: E731
            monkeypatch.setattr(world.client_driver, name, spy)
        async with await world.client.extended_connect("chat", "/") as tunnel:
            waiting = asyncio.create_task(tunnel.receive())
            await asyncio.sleep(1)
        with pytest.raises(h3push.StreamFailed):
            await waiting
        with pytest.raises(h3push.StreamFailed):
            await tunnel.send(b"x")
        await asyncio.sleep(0.2)
        assert codes == [h3push.ErrorCode.H3_REQUEST_CANCELLED] * 2
        assert told == [True]

    with_tunnels(handler, scenario)


@pytest.mark.parametrize("closing", ["server", "here"])
def test_the_end_of_the_connection_ends_its_tunnels(closing: str) -> None:
    """Whoever receives and whoever waits to send hears of it at once."""

    async def deaf(request: h3push.Request) -> None:
        await request.start_response(200)
        await asyncio.sleep(3600)

    async def scenario(world: World) -> None:
        tunnel = await world.client.extended_connect("chat", "/")
        ways = [asyncio.create_task(tunnel.receive()), asyncio.create_task(tunnel.send(LARGE * 8))]
        await asyncio.sleep(1)
        assert not any(way.done() for way in ways)
        if closing == "here":
            await world.client.close()
        else:
            (connection,) = world.server._connections
            connection.core.close(h3push.ErrorCode.H3_INTERNAL_ERROR)
            connection.schedule_flush()
        async with asyncio.timeout(1):
            results = await asyncio.gather(*ways, return_exceptions=True)
        assert [type(result) for result in results] == [h3push.ConnectionClosed] * 2

    with_tunnels(deaf, scenario)


def test_who_does_not_read_holds_the_server_up() -> None:
    """A tunnel that nobody reads holds the high-water mark and what is in flight, no more; then it goes on."""
    sent = 0

    async def handler(request: h3push.Request) -> None:
        nonlocal sent
        await request.start_response(200)
        for _ in range(1024):
            await request.send(bytes(16 * KIB))
            sent += 16 * KIB
        await request.send(b"", end_stream=True)

    async def scenario(world: World) -> None:
        async with await world.client.extended_connect("chat", "/") as tunnel:
            await asyncio.sleep(20)
            assert tunnel.content.paused
            assert tunnel.content.received < 4 * 1024 * KIB
            assert sent < 8 * 1024 * KIB
            await tunnel.end()
            assert sum([len(data) async for data in received(tunnel)]) == 1024 * 16 * KIB

    with_tunnels(handler, scenario)


def test_a_server_that_takes_nothing_is_given_up() -> None:
    """`drain_timeout` bounds what is queued in vain; the tunnel is closed, and the connection goes on."""

    async def handler(request: h3push.Request) -> h3push.Response | None:
        if request.method == "GET":
            return h3push.Response()
        await request.start_response(200)
        await asyncio.sleep(3600)
        return None

    async def scenario(world: World) -> None:
        tunnel = await world.client.extended_connect("chat", "/")
        began = world.now
        with pytest.raises(h3push.WriteTimeout):
            await tunnel.send(LARGE * 8)
        assert 5 <= world.now - began < 15
        with pytest.raises(h3push.Timeout):
            await tunnel.receive()
        assert (await world.client.get("/")).status == 200

    with_tunnels(handler, scenario, client_settings=h3push.ClientSettings(drain_timeout=5))


def test_a_silent_tunnel_outlives_every_time_out() -> None:
    """Silence means nothing in it: not for the tunnel, not for the connection, unless `read` says otherwise."""

    async def scenario(world: World) -> None:
        async with await world.client.extended_connect("chat", "/") as tunnel:
            waiting = asyncio.create_task(tunnel.receive())
            await asyncio.sleep(600)
            await tunnel.send(b"still here")
            assert await waiting == b"still here"
        async with await world.client.extended_connect("chat", "/", timeouts={"read": 5}) as tunnel:
            with pytest.raises(h3push.ReadTimeout):
                await tunnel.receive()

    with_tunnels(echo, scenario, max_pushes=4, server_settings=h3push.ServerSettings(read_timeout=None))


def test_an_open_tunnel_does_not_excuse_pushes_that_do_not_move() -> None:
    """`push_timeout` begins when all that was asked for has arrived; a tunnel never does."""

    async def handler(request: h3push.Request) -> h3push.Response | None:
        if request.method == "CONNECT":
            return await echo(request)
        if request.push_id is not None:
            await asyncio.sleep(3600)
        await request.push("/stuck")
        return h3push.Response(200, content=b"page")

    async def scenario(world: World) -> None:
        async with await world.client.extended_connect("chat", "/") as tunnel:
            response = await world.client.get("/")
            await response.read()
            (push,) = [push async for push in response.pushes()]
            began = world.now
            with pytest.raises(h3push.PushCancelled, match="push_timeout"):
                await push.response()
            assert 5 < world.now - began < 25
            await tunnel.send(b"still here")
            assert await tunnel.receive() == b"still here"

    with_tunnels(handler, scenario, max_pushes=4)


def test_a_tunnel_goes_on_while_the_server_goes_away() -> None:
    """GOAWAY: the open one is finished, a further one is told that it was not looked at."""

    async def scenario(world: World) -> None:
        async with await world.client.extended_connect("chat", "/") as tunnel:
            (connection,) = world.server._connections
            connection.core.send_goaway()
            connection.schedule_flush()
            await asyncio.sleep(0.5)
            with pytest.raises(h3push.RequestNotProcessed):
                await world.client.extended_connect("chat", "/")
            await tunnel.send(b"last words")
            await tunnel.end()
            assert await tunnel.read() == b"last words"
        await world.client.wait_closed()

    with_tunnels(echo, scenario)


def test_one_that_is_dropped_is_cancelled_with_a_warning() -> None:
    """As any response: what nobody can read holds nothing."""

    async def scenario(world: World) -> None:
        tunnel = await world.client.extended_connect("chat", "/")
        assert repr(tunnel) == "<ClientTunnel 200 https://origin.example/>"
        with pytest.warns(ResourceWarning, match="ClientTunnel 200 .* was dropped"):
            del tunnel
        await asyncio.sleep(1)
        assert not world.client.session.wanted

    with_tunnels(echo, scenario)
