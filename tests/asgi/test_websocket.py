"""WebSockets over HTTP/3 (RFC 9220): handshake, messages, endings, bounds; in virtual time (issue 12, point 2)."""

import asyncio
import zlib
from typing import Any

import pytest
from websockets.frames import Frame, Opcode

import h3push
from h3push.asgi.websocket import WEBSOCKET, WebSocketState

from .harness import World, in_world, now
from .websockets_client import Socket, open_socket

KIB = 1024


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Sends back what comes, until the client has gone."""
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


@pytest.mark.rfc("WS-3-05")
def test_messages_go_both_ways() -> None:
    """Text and bytes, empty and large, in order; a close is answered with its own code. No field is HTTP/1.1's."""

    async def scenario(world: World) -> None:
        socket = await open_socket(world)
        assert socket.status == 200
        assert socket.headers.keys() == {b"date"}
        for data in ("text \u2713", b"bytes", "", b"", bytes(300 * KIB)):
            socket.send(data)
            frame = await socket.next()
            assert frame is not None
            assert bytes(frame.data) == (data.encode() if isinstance(data, str) else data)
            assert frame.opcode is (Opcode.TEXT if isinstance(data, str) else Opcode.BINARY)
        assert await socket.close(3000) == (3000, "")

    in_world(echo, scenario)


def test_the_scope_says_what_asgi_asks_for() -> None:
    """`wss`, version "3", path and query apart, the client's subprotocols; the chosen one and the fields are in the answer."""
    seen: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.update(scope)
        await receive()
        await send({"type": "websocket.accept", "subprotocol": "b", "headers": [(b"X-Own", b"y")]})
        await send({"type": "websocket.close", "code": 4001, "reason": "enough"})

    async def scenario(world: World) -> None:
        socket = await open_socket(world, "/caf%C3%A9?q=%20", (b"sec-websocket-protocol", b"a, b"), (b"x", b"y"))
        assert socket.headers[b"sec-websocket-protocol"] == b"b"
        assert socket.headers[b"x-own"] == b"y"
        assert await socket.closed() == (4001, "enough")

    in_world(app, scenario, root_path="/app")
    assert (seen["type"], seen["http_version"], seen["scheme"]) == ("websocket", "3", "wss")
    assert (seen["path"], seen["raw_path"], seen["query_string"]) == ("/caf\xe9", b"/caf%C3%A9", b"q=%20")
    assert (seen["subprotocols"], seen["root_path"]) == (["a", "b"], "/app")
    assert seen["headers"][0] == (b"host", b"origin.example")
    assert (b"x", b"y") in seen["headers"]
    assert seen["extensions"].keys() == {"websocket.http.response", "tls"}
    assert seen["extensions"]["tls"]["tls_version"] == 0x0304
    assert "state" not in seen


def test_an_application_denies_with_403() -> None:
    """A close in place of an accept."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.close"})

    async def scenario(world: World) -> None:
        assert (await open_socket(world)).status == 403

    in_world(app, scenario)


def test_an_application_denies_with_a_response_of_its_own() -> None:
    """ASGI's extension: status, fields and content."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.http.response.start", "status": 401, "headers": [(b"x", b"y")]})
        await send({"type": "websocket.http.response.body", "body": b"not ", "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b"you"})

    async def scenario(world: World) -> None:
        socket = await open_socket(world)
        assert (socket.status, socket.headers[b"x"]) == (401, b"y")
        assert await socket.exchange.content.read() == b"not you"

    in_world(app, scenario)


def test_an_application_that_answers_nothing_failed() -> None:
    """500, counted."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()

    async def scenario(world: World) -> None:
        assert (await open_socket(world)).status == 500
        assert world.server.server.counters.failed == 1

    in_world(app, scenario)


@pytest.mark.parametrize(("raises", "code"), [(False, 1000), (True, 1011)])
def test_an_application_that_returns_closes(raises: bool, code: int) -> None:
    """1000 when it returns, 1011 when it raises."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        if raises:
            raise RuntimeError("on purpose")

    async def scenario(world: World) -> None:
        socket = await open_socket(world)
        socket.send("go")
        assert (await socket.closed())[0] == code
        await asyncio.sleep(1)
        assert world.server.server.counters.failed == int(raises)

    in_world(app, scenario)


@pytest.mark.parametrize(
    ("state", "events"),
    [
        (WebSocketState.CONNECTING, []),
        (WebSocketState.OPEN, [{"type": "websocket.accept"}]),
        (WebSocketState.DENYING, [{"type": "websocket.http.response.start", "status": 401}]),
        (WebSocketState.CLOSED, [{"type": "websocket.accept"}, {"type": "websocket.close"}]),
    ],
)
def test_events_out_of_order_raise_in_the_application(state: WebSocketState, events: list[Any]) -> None:
    """Whatever the table has no row for."""
    wrong: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        for event in events:
            await send(event)
        for kind in {kind for _, kind in WEBSOCKET} - {kind for one, kind in WEBSOCKET if one is state}:
            with pytest.raises(RuntimeError, match="does not fit here"):
                await send({"type": kind, "text": "x", "status": 200})
            wrong[kind] = True
        if state is WebSocketState.CONNECTING:
            await send({"type": "websocket.close"})
        elif state is WebSocketState.DENYING:
            await send({"type": "websocket.http.response.body"})

    async def scenario(world: World) -> None:
        await open_socket(world)

    in_world(app, scenario)
    assert wrong


def ends(socket_does: Any, **options: Any) -> tuple[list[Any], tuple[int, str] | None]:
    """What the application is told, and the close that the client gets, of a WebSocket with which the client does something."""
    told: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            told.append(message.get("text", message.get("bytes")))
        told.append((message["type"], message["code"]))
        with pytest.raises(OSError, match="closed"):
            await send({"type": "websocket.send", "text": "too late"})

    async def scenario(world: World) -> tuple[int, str] | None:
        socket = await open_socket(world, deflate=True)
        closed = socket_does(socket)
        if asyncio.iscoroutine(closed):
            await closed
        result = None if socket_does is reset else await socket.closed()
        await asyncio.sleep(10)
        return result

    return told, in_world(app, scenario, **options)


def reset(socket: Socket) -> None:
    socket.reset()


def masked(opcode: Opcode, data: bytes, *, fin: bool = True, compressed: bool = False) -> bytes:
    frame = Frame(opcode, data, fin=fin).serialize(mask=True)
    return bytes([frame[0] | 0x40 * compressed]) + frame[1:]


@pytest.mark.rfc("WS-3-04")
def test_a_client_that_goes_away_is_1006() -> None:
    """No close came; what is sent afterwards raises OSError, as ASGI has it."""
    assert ends(reset) == ([("websocket.disconnect", 1006)], None)


@pytest.mark.rfc("WS-3-04")
def test_the_end_of_the_stream_is_the_end_of_the_connection() -> None:
    """RFC 9220 section 3: FIN stands for TCP's. After the client's alone, the application is told 1006, and ours follows."""

    async def scenario(world: World) -> None:
        socket = await open_socket(world)
        socket.write(b"", end=True)
        assert await socket.exchange.content.next_chunk() == b""  # a reset would raise
        await asyncio.sleep(1)
        assert not world.server.handler.websockets

    in_world(echo, scenario)


@pytest.mark.rfc("WS-3-04")
def test_a_websocket_that_nobody_takes_is_cancelled() -> None:
    """RFC 9220 section 3: an end that is none of TCP's FIN is H3_REQUEST_CANCELLED; here, after `drain_timeout`."""
    told: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        try:
            while True:
                await send({"type": "websocket.send", "bytes": bytes(256 * KIB)})
        except OSError as error:
            told.append(error)

    async def scenario(world: World) -> None:
        socket = await open_socket(world)
        await asyncio.sleep(60)
        with pytest.raises(h3push.StreamFailed) as failed:
            await socket.exchange.content.read()
        assert failed.value.error_code == 0x10C
        assert len(told) == 1

    in_world(app, scenario, server_settings=h3push.ServerSettings(drain_timeout=5))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (masked(Opcode.TEXT, b"\xff"), 1007),
        (Frame(Opcode.TEXT, b"not masked").serialize(mask=False), 1002),
        (masked(Opcode.CONT, b"of nothing"), 1002),
        (masked(Opcode.BINARY, bytes(1024 * KIB + 1)), 1009),
        (masked(Opcode.BINARY, bytes(1024 * KIB), fin=False) + masked(Opcode.CONT, b"x"), 1009),
        (b"\xff\xff\xff\xff", 1002),
    ],
)
def test_what_breaks_the_protocol_ends_it(data: bytes, code: int) -> None:
    """With the code of RFC 6455 section 7.4.1; the application is told the same one."""

    async def scenario(socket: Socket) -> None:
        socket.write(data)

    told, closed = ends(scenario)
    assert closed is not None
    assert (told, closed[0]) == ([("websocket.disconnect", code)], code)


def test_a_decompression_bomb_is_1009() -> None:
    """The bound is on the message as it would be, and no more than that is ever decompressed."""

    async def scenario(socket: Socket) -> None:
        deflate = zlib.compressobj(wbits=-12)
        bomb = deflate.compress(bytes(64 * KIB * KIB)) + deflate.flush(zlib.Z_SYNC_FLUSH)
        assert len(bomb) < 100 * KIB
        socket.write(masked(Opcode.BINARY, bomb[:-4], compressed=True))

    told, closed = ends(scenario)
    assert closed is not None
    assert (told, closed[0]) == ([("websocket.disconnect", 1009)], 1009)


@pytest.mark.parametrize("wanted", [True, False])
def test_compression_is_agreed_on(wanted: bool) -> None:
    """permessage-deflate with windows of 4 KiB, unless the settings say no."""

    async def scenario(world: World) -> None:
        socket = await open_socket(world, deflate=True)
        assert (b"sec-websocket-extensions" in socket.headers) is wanted
        for _ in range(2):
            socket.send("again " * 1000)
            frame = await socket.next()
            assert frame is not None
            assert bytes(frame.data) == b"again " * 1000
        await socket.close()

    in_world(echo, scenario, server_settings=h3push.ServerSettings(websocket_compression=wanted))


def test_a_silent_client_that_answers_pings_is_kept() -> None:
    """For longer than every time-out of HTTP."""

    async def scenario(world: World) -> None:
        socket = await open_socket(world)
        reading = asyncio.create_task(socket.closed())
        await asyncio.sleep(300)
        reading.cancel()
        await asyncio.wait({reading})
        socket.send("still there")
        while (frame := await socket.next()) is not None and frame.opcode is not Opcode.TEXT:
            pass
        assert frame is not None
        await socket.close()

    in_world(echo, scenario)


def test_a_client_that_answers_no_ping_is_ended() -> None:
    """After interval and time-out, 40 s as they are: 1011."""

    async def scenario(socket: Socket) -> None:
        began = now()
        socket.frames.receive_data = lambda data: None  # type: ignore[method-assign]  # deaf
        await asyncio.sleep(60)
        del socket.frames.receive_data
        assert now() - began >= 60

    told, closed = ends(scenario)
    assert told == [("websocket.disconnect", 1011)]
    assert closed is not None
    assert closed[0] == 1011


def test_a_client_is_held_up_by_an_application_that_takes_nothing() -> None:
    """What is read and not taken is bounded; all of it arrives once the application goes on."""
    go_on: list[asyncio.Event] = []
    sizes: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await go_on[0].wait()
        while (message := await receive())["type"] == "websocket.receive":
            sizes.append(len(message["bytes"]))

    async def scenario(world: World) -> None:
        go_on.append(asyncio.Event())
        socket = await open_socket(world)
        for _ in range(80):
            socket.send(bytes(64 * KIB))
        await asyncio.sleep(120)
        handler = world.server.handler
        (cycle,) = handler.websockets
        held = cycle.held + cycle._request.content._unread
        assert held <= (1024 + 256 + 256 + 64) * KIB
        assert not sizes
        go_on[0].set()
        await socket.close()
        assert sizes == [64 * KIB] * 80

    in_world(app, scenario, server_settings=h3push.ServerSettings(drain_timeout=None))


@pytest.mark.parametrize("end", ["taken", "returns", "reset"])
def test_messages_that_wait_are_charged_to_the_server_s_budget(end: str) -> None:
    """`unread_budget` is for all that waits: beyond it each WebSocket holds one message and reads nothing more."""
    go_on: list[asyncio.Event] = []
    sizes: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await go_on[0].wait()
        while end != "returns" and (message := await receive())["type"] == "websocket.receive":
            sizes.append(len(message["bytes"]))

    async def scenario(world: World) -> None:
        go_on.append(asyncio.Event())
        budget = world.server.server.unread
        sockets = [await open_socket(world) for _ in range(5)]
        for socket in sockets:
            for _ in range(10):
                socket.send(bytes(20 * KIB))
        sockets[0].write(Frame(Opcode.BINARY, bytes(10 * KIB), fin=False).serialize(mask=True))
        await asyncio.sleep(30)
        cycles = world.server.handler.websockets
        waiting = [cycle.held for cycle in cycles]
        assert budget.limit < budget.held == sum(waiting) + sum(one._request.content._unread for one in cycles)
        assert budget.held < 900 * KIB
        assert min(waiting) == 20 * KIB
        if end == "reset":
            for socket in sockets:
                socket.reset()
            await asyncio.sleep(1)
        go_on[0].set()
        await asyncio.sleep(30)
        for socket in sockets if end == "taken" else ():
            await socket.close()
        await asyncio.sleep(30)
        assert budget.held == 0
        assert end != "taken" or sizes == [20 * KIB] * 50

    in_world(app, scenario, server_settings=h3push.ServerSettings(unread_budget=100 * KIB, drain_timeout=None))


def test_a_message_that_is_not_whole_is_charged_too() -> None:
    """A frame that has not ended, and frames of a message that has not."""

    async def scenario(world: World) -> None:
        budget = world.server.server.unread
        socket = await open_socket(world)
        frame = Frame(Opcode.BINARY, bytes(30 * KIB), fin=False).serialize(mask=True)
        socket.write(frame)
        await asyncio.sleep(1)
        assert budget.held == 30 * KIB
        socket.write(Frame(Opcode.CONT, bytes(30 * KIB)).serialize(mask=True)[:-1])
        await asyncio.sleep(1)
        assert 59 * KIB < budget.held <= 61 * KIB
        socket.reset()
        await asyncio.sleep(1)
        assert budget.held == 0

    in_world(echo, scenario)


def test_a_client_that_sends_pings_and_reads_nothing_stops_itself() -> None:
    """Answers wait behind its own flow control, and nothing more is read meanwhile."""

    async def scenario(world: World) -> None:
        socket = await open_socket(world)
        await asyncio.sleep(1)
        ping = masked(Opcode.PING, bytes(125))
        for _ in range(100):
            socket.write(ping * 1_000)
        await asyncio.sleep(30)
        (cycle,) = world.server.handler.websockets
        waiting = cycle._request.connection.waiting(socket.exchange.stream_id)
        assert waiting < 2_048 * KIB
        socket.reset()
        await asyncio.sleep(1)
        assert not world.server.handler.websockets

    in_world(echo, scenario)


def test_a_shutdown_closes_websockets_at_once() -> None:
    """1012, for both sides: an open WebSocket would hold the server up for the whole grace."""
    told: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        told.append(await receive())

    async def scenario(world: World) -> None:
        socket = await open_socket(world)
        began = now()
        stopping = asyncio.create_task(world.server.shutdown())
        assert (await socket.closed())[0] == 1012
        await stopping
        assert now() - began < 4
        assert told == [{"type": "websocket.disconnect", "code": 1012, "reason": ""}]

    in_world(app, scenario)


@pytest.mark.parametrize(
    ("field", "status"),
    [
        ((b"sec-websocket-version", b"8"), 400),
        ((b"sec-websocket-protocol", b"a b c"), 400),
        ((b"sec-websocket-extensions", b";;"), 400),
    ],
)
def test_a_handshake_that_makes_no_sense_is_400(field: tuple[bytes, bytes], status: int) -> None:
    """Never an exception."""

    async def scenario(world: World) -> None:
        assert (await open_socket(world, "/", field)).status == status
        assert world.server.server.counters.failed == 0

    in_world(echo, scenario)


@pytest.mark.rfc("WS-3-03")
def test_any_other_protocol_is_501() -> None:
    """RFC 9220 section 3."""

    async def scenario(world: World) -> None:
        assert (await open_socket(world, protocol=b"connect-udp")).status == 501

    in_world(echo, scenario)


def test_the_access_log_has_a_row() -> None:
    """Written when the WebSocket is over."""
    import io

    from h3push.server.access_log import AccessLog

    log = io.StringIO()

    async def scenario(world: World) -> None:
        socket = await open_socket(world, "/chat")
        await asyncio.sleep(1)
        assert log.getvalue() == ""
        await socket.close()
        await asyncio.sleep(1)
        assert '"CONNECT /chat HTTP/3" 200' in log.getvalue()

    in_world(echo, scenario, access_log=AccessLog(log))
