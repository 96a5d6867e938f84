"""WebSockets through the near relay: real sockets, a stranger's client in front, HTTP/3 behind (RFC 9220)."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

import h3push
from h3push.proxy.reverse import ReverseProxy
from h3push.proxy.settings import UpstreamSettings
from h3push.proxy.upstream import parse_upstream
from h3push.proxy.upstreams import Upstreams
from h3push.relay.relay import Relay
from h3push.relay.settings import RelaySettings
from h3push.server.certificates import DevelopmentCertificates
from proxy.conftest import application_upstream

from .sockets import relay_to
from .support import HERE, Relayed
from .support import relayed as relayed_in_virtual_time

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))
import devtools

DENIAL = "websocket.http.response"
MIB = 1024 * 1024
closed: list[Any] = []


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Sends back what comes; "close" closes, "fields" says what was asked with."""
    assert scope["http_version"] == "3"
    await receive()
    if scope["path"] == "/no":
        await send({"type": f"{DENIAL}.start", "status": 403, "headers": [(b"x-why", b"no")]})
        await send({"type": f"{DENIAL}.body", "body": b"not you"})
        return
    if scope["path"] == "/slow":
        await asyncio.sleep(3600)
    chosen = scope["subprotocols"][-1] if scope["subprotocols"] else None
    await send(
        {"type": "websocket.accept", "subprotocol": chosen, "headers": [(b"set-cookie", b"a=1; Domain=localhost")]}
    )
    if scope["path"] == "/large":
        await send({"type": "websocket.send", "bytes": bytes(3 * MIB)})
    while (message := await receive())["type"] == "websocket.receive":
        if message.get("text") == "close":
            await send({"type": "websocket.close", "code": 4001, "reason": "enough"})
            return
        if message.get("text") == "fields":
            fields = dict(scope["headers"])
            names = (b"host", b"origin", b"via", b"x-own", b"sec-websocket-version")
            text = " ".join([*(fields[name].decode() for name in names), scope["path"], scope["query_string"].decode()])
            assert b"sec-websocket-key" not in fields
            await send({"type": "websocket.send", "text": text})
            continue
        await send({**message, "type": "websocket.send"})
    closed.append((message["code"], message.get("reason")))


@asynccontextmanager
async def relayed(
    made: DevelopmentCertificates, settings: RelaySettings | None = None
) -> AsyncIterator[tuple[Relay, Any]]:
    """A relay to `app`, and the server of it."""
    servers: list[Any] = []

    def serve(*arguments: Any, **options: Any) -> Any:
        options["settings"] = h3push.ServerSettings(websocket_max_size=8 * MIB)
        servers.append(h3push.serve_asgi(*arguments, lifespan=False, **options))
        return servers[0]

    async with relay_to(app, made, settings=settings, serve=serve) as relay:
        yield relay, servers[0]


def run(
    made: DevelopmentCertificates,
    scenario: Callable[[Relay, Any], Awaitable[Any]],
    settings: RelaySettings | None = None,
) -> Any:
    async def main() -> Any:
        async with asyncio.timeout(30), relayed(made, settings) as (relay, server):
            return await scenario(relay, server)

    return asyncio.run(main())


def opened(relay: Relay, path: str = "/chat?a=b", **more: Any) -> connect:
    url = f"ws://localhost:{relay.places[0].port}{path}"
    return connect(url, proxy=None, max_size=None, **more)


async def end_of(socket: ClientConnection) -> tuple[int | None, str | None]:
    with suppress(ConnectionClosed):
        while True:
            await socket.recv()
    return socket.close_code, socket.close_reason


def test_messages_go_both_ways(certificates: DevelopmentCertificates) -> None:
    """Text, bytes and large messages in order; fields and subprotocols reach the origin, cookies the program."""

    async def scenario(relay: Relay, _: Any) -> None:
        here, there = f"http://localhost:{relay.places[0].port}", relay.places[0].origin.authority
        more = {"subprotocols": ["x", "y"], "origin": here, "additional_headers": {"x-own": "1"}}
        async with opened(relay, **more) as socket:
            assert socket.subprotocol == "y"
            assert socket.response.headers["set-cookie"] == "a=1"
            for data in ("text \u2713", b"bytes", "", bytes(3 * MIB), b"x" * MIB):
                await socket.send(data)
                assert await socket.recv() == data
            await socket.send("fields")
            assert await socket.recv() == f"{there} https://{there} 1.1 h3push 1 13 /chat a=b"
            assert (relay.loads.websockets, relay.loads.under_way) == (1, 1)
            await socket.close(3001, "done")
        async with asyncio.timeout(5):
            while not closed or relay.loads.websockets:  # noqa: ASYNC110 - told by another task
                await asyncio.sleep(0.01)
        assert relay.loads.last[-1].rows[-1].status == 101

    closed.clear()
    run(certificates, scenario)
    assert closed == [(3001, "done")]


def test_many_messages_at_once_are_all_there(certificates: DevelopmentCertificates) -> None:
    """Who does not read for a while stops the sender, and gets everything, in order."""

    async def scenario(relay: Relay, _: Any) -> None:
        async with opened(relay) as socket:
            pieces = [bytes([number]) * (64 * 1024) for number in range(200)]

            async def send() -> None:
                for piece in pieces:
                    await socket.send(piece)

            sending = asyncio.create_task(send())
            await asyncio.sleep(0.5)
            assert [await socket.recv() for _ in pieces] == pieces
            await sending

    run(certificates, scenario)


def test_the_origin_closes(certificates: DevelopmentCertificates) -> None:
    """Code and reason of a close go through."""

    async def scenario(relay: Relay, _: Any) -> None:
        async with opened(relay) as socket:
            await socket.send("close")
            assert await end_of(socket) == (4001, "enough")

    run(certificates, scenario)


def test_a_program_that_vanishes_is_1001_at_the_origin(certificates: DevelopmentCertificates) -> None:
    """Its connection breaks without a close: the application hears of it at once."""

    async def scenario(relay: Relay, _: Any) -> None:
        async with opened(relay) as socket:
            await socket.send("x")
            await socket.recv()
            socket.transport.abort()
            async with asyncio.timeout(5):
                while not closed:  # noqa: ASYNC110 - told by another task
                    await asyncio.sleep(0.01)

    closed.clear()
    run(certificates, scenario)
    assert [code for code, _ in closed] == [1001]


@pytest.mark.parametrize("death", ["reset", "connection"])
def test_an_origin_that_dies_is_1011_at_once(certificates: DevelopmentCertificates, death: str) -> None:
    """A stream that is reset, a connection that is lost: the program gets a close, and does not hang."""

    async def scenario(relay: Relay, server: Any) -> None:
        async with opened(relay) as socket:
            await socket.send("x")
            await socket.recv()
            (connection,) = server.server._connections
            if death == "connection":
                connection.core.close(h3push.ErrorCode.H3_INTERNAL_ERROR)
            else:
                ((stream_id, _),) = connection.requests.items()
                connection.core.reset_stream(stream_id, h3push.ErrorCode.H3_INTERNAL_ERROR)
            connection.schedule_flush()
            async with asyncio.timeout(3):
                assert (await end_of(socket))[0] == 1011

    run(certificates, scenario)


def test_an_origin_that_falls_silent_is_given_up() -> None:
    """No packet comes any more: the upkeep of the connection finds out, and the program hears of it in seconds (virtual time)."""

    async def scenario(relay: Relayed) -> None:
        loop = asyncio.get_running_loop()
        events: asyncio.Queue[Any] = asyncio.Queue()
        told: asyncio.Queue[Any] = asyncio.Queue()
        scope = {
            "type": "websocket", "http_version": "1.1", "scheme": "ws", "path": "/chat", "raw_path": b"/chat", "subprotocols": [],
            "headers": [(b"host", HERE)], "extensions": {DENIAL: {}}, "client": ("127.0.0.1", 50000),
        }  # fmt: skip
        events.put_nowait({"type": "websocket.connect"})
        began = loop.time()
        running = asyncio.create_task(relay.gateway(scope, events.get, told.put))
        assert (await told.get())["type"] == "websocket.accept"
        assert loop.time() - began < 1.5 * 0.3
        events.put_nowait({"type": "websocket.receive", "text": "x"})
        assert (await told.get())["text"] == "x"
        relay.world.network.remove(relay.world.server_driver)
        relay.world.network.remove(relay.drivers[0])
        fell_silent = loop.time()
        last = await told.get()
        assert (last["type"], last["code"]) == ("websocket.close", 1011)
        assert loop.time() - fell_silent < 10
        await running
        assert relay.loads.websockets == relay.loads.under_way == 0

    relayed_in_virtual_time(app, scenario, serve=h3push.serve_asgi, lifespan=False)


def test_the_origin_denies(certificates: DevelopmentCertificates) -> None:
    """A response in place of a WebSocket goes through, with its fields and its content."""

    async def scenario(relay: Relay, _: Any) -> None:
        with pytest.raises(InvalidStatus) as caught:
            await opened(relay, "/no")
        response = caught.value.response
        assert (response.status_code, response.body, response.headers["x-why"]) == (403, b"not you", "no")
        assert relay.loads.websockets == 0

    run(certificates, scenario)


def test_a_message_that_is_too_large_ends_it(certificates: DevelopmentCertificates) -> None:
    """1009 in either direction, by `websocket_max_size`."""

    async def scenario(relay: Relay, _: Any) -> None:
        async with opened(relay, "/large") as socket:
            assert (await end_of(socket))[0] == 1009
        async with opened(relay) as socket:
            await socket.send(bytes(2 * MIB))
            assert (await end_of(socket))[0] == 1009

    run(certificates, scenario, RelaySettings(websocket_max_size=MIB))


def test_a_name_that_is_not_its_own_gets_nothing(certificates: DevelopmentCertificates) -> None:
    """DNS rebinding: 421, and the origin is not asked."""

    async def scenario(relay: Relay, _: Any) -> None:
        with pytest.raises(InvalidStatus) as caught:
            async with connect(
                f"ws://evil.test:{relay.places[0].port}/", host="127.0.0.1", port=relay.places[0].port, proxy=None
            ):
                pass
        assert caught.value.response.status_code == 421

    run(certificates, scenario)


def test_there_is_a_bound(certificates: DevelopmentCertificates) -> None:
    """`RelaySettings.websockets`: a further one is answered with 503, and the first goes on."""

    async def scenario(relay: Relay, _: Any) -> None:
        async with opened(relay) as socket:
            with pytest.raises(InvalidStatus) as caught:
                await opened(relay)
            assert caught.value.response.status_code == 503
            await socket.send("x")
            assert await socket.recv() == "x"

    run(certificates, scenario, RelaySettings(websockets=1))


def test_a_program_that_leaves_before_the_answer_is_forgotten(certificates: DevelopmentCertificates) -> None:
    """The handshake at the origin is called off."""

    async def scenario(relay: Relay, _: Any) -> None:
        with pytest.raises(TimeoutError):
            await opened(relay, "/slow", open_timeout=0.3)
        async with asyncio.timeout(5):
            while relay.loads.websockets:  # noqa: ASYNC110 - told by another task
                await asyncio.sleep(0.01)

    run(certificates, scenario)


def test_an_origin_that_does_not_answer_pings_is_given_up(certificates: DevelopmentCertificates) -> None:
    """Both intervals short: the origin's end takes everything and says nothing, and the program is told 1011."""

    async def deaf(request: h3push.Request) -> None:
        await request.start_response(200)
        async for _ in request.stream():
            pass

    def serve(*arguments: Any, **options: Any) -> Any:
        return h3push.serve(*arguments, config=h3push.H3Config(connect_protocol=True), **options)

    async def main() -> None:
        settings = RelaySettings(websocket_ping_interval=0.2, websocket_ping_timeout=0.2)
        async with (
            asyncio.timeout(20),
            relay_to(deaf, certificates, settings=settings, serve=serve) as relay,
            opened(relay) as socket,
        ):
            assert await end_of(socket) == (1011, "the origin did not answer a ping")

    asyncio.run(main())


def test_a_stream_that_ends_without_a_close_is_1011(certificates: DevelopmentCertificates) -> None:
    """RFC 9220 section 3: FIN stands for TCP's. What is no close is not told as a good one."""

    async def origin(request: h3push.Request) -> None:
        await request.start_response(200)
        await request.send(b"", end_stream=True)

    def serve(*arguments: Any, **options: Any) -> Any:
        return h3push.serve(*arguments, config=h3push.H3Config(connect_protocol=True), **options)

    async def main() -> None:
        async with (
            asyncio.timeout(20),
            relay_to(origin, certificates, serve=serve) as relay,
            opened(relay) as socket,
        ):
            assert await end_of(socket) == (1011, "the origin ended it without a close")

    asyncio.run(main())


@pytest.mark.parametrize(
    "fields", [{"sec-websocket-protocol": "z"}, {"sec-websocket-extensions": "x"}, {"sec-websocket-extensions": ";;"}]
)
def test_an_answer_that_makes_no_sense_is_502(certificates: DevelopmentCertificates, fields: dict[str, str]) -> None:
    """RFC 6455 section 4.1: what was not offered cannot be agreed on."""

    async def origin(request: h3push.Request) -> None:
        await request.start_response(200, fields)
        await asyncio.sleep(3600)

    def serve(*arguments: Any, **options: Any) -> Any:
        return h3push.serve(*arguments, config=h3push.H3Config(connect_protocol=True), **options)

    async def main() -> None:
        async with asyncio.timeout(20), relay_to(origin, certificates, serve=serve) as relay:
            with pytest.raises(InvalidStatus) as caught:
                await opened(relay)
            assert caught.value.response.status_code == 502

    asyncio.run(main())


def test_both_relays_carry_one(certificates: DevelopmentCertificates) -> None:
    """Near relay, far relay, and a server of HTTP/1.1 behind them: large messages each way, and the close of either side."""

    async def upstream(scope: Any, receive: Any, send: Any) -> None:
        assert (scope["type"], scope["http_version"]) == ("websocket", "1.1")
        await app({**scope, "http_version": "3"}, receive, send)

    async def main() -> None:
        async with asyncio.timeout(30), application_upstream(upstream) as address:
            proxy = ReverseProxy(Upstreams([parse_upstream(address)], UpstreamSettings()))

            def serve(*arguments: Any, **options: Any) -> Any:
                return h3push.serve_asgi(*arguments, lifespan=False, **options)

            async with relay_to(proxy, certificates, serve=serve) as relay:
                async with opened(relay, subprotocols=["x"]) as socket:
                    assert socket.subprotocol == "x"
                    for data in ("text", bytes(900_000)):
                        await socket.send(data)
                        assert await socket.recv() == data
                    await socket.close(3001, "done")
                async with opened(relay) as socket:
                    await socket.send("close")
                    assert await end_of(socket) == (4001, "enough")
                with pytest.raises(InvalidStatus) as caught:
                    await opened(relay, "/no")
                assert (caught.value.response.status_code, caught.value.response.body) == (403, b"not you")

    closed.clear()
    asyncio.run(main())
    assert closed == [(3001, "done")]


PAGE = b"""<!doctype html><title>page</title><p id=said>nothing</p><script>
  const socket = new WebSocket("ws://" + location.host + "/chat", ["x", "y"])
  const kept = []
  socket.onopen = () => socket.send("a".repeat(300000))
  socket.onmessage = event => { kept.push(event.data.length); kept.length < 3 ? socket.send(event.data) : socket.send("close") }
  socket.onclose = event => {
    document.getElementById("said").textContent = [socket.protocol, ...kept, event.code, event.reason].join(" ")
  }
</script>"""


def test_chromium_keeps_one(certificates: DevelopmentCertificates, tmp_path: Path) -> None:
    """A page from the origin opens a WebSocket at the relay: subprotocol, large messages, code and reason of the close."""
    if devtools.command() is None:
        pytest.skip("no Chromium found")

    async def site(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await app(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": PAGE})

    def serve(*arguments: Any, **options: Any) -> Any:
        return h3push.serve_asgi(*arguments, lifespan=False, **options)

    async def check() -> None:
        flags = "--host-resolver-rules=MAP localhost 127.0.0.1, MAP * ~NOTFOUND"
        async with (
            relay_to(site, certificates, serve=serve) as relay,
            devtools.Chromium(tmp_path / "profile", flags) as browser,
        ):
            visit = await browser.open()
            await visit.load(f"http://localhost:{relay.places[0].port}/")
            said = "document.getElementById('said').textContent"
            async with asyncio.timeout(20):
                while (text := await visit.evaluate(said)) == "nothing":  # noqa: ASYNC110 - the browser is another process
                    await asyncio.sleep(0.1)
            assert text == "y 300000 300000 300000 4001 enough"
            assert visit.complaints == []

    asyncio.run(check())
