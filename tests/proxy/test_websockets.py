"""A WebSocket through the far relay, from either side's point of view."""

import asyncio
import ssl
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from h3push.cli.serving.upstreaming import Upstreaming

DENIAL = "websocket.http.response"


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Sends back what comes; "close" closes, "fields" says what was asked with."""
    await receive()
    if scope["path"] == "/no":
        await send({"type": f"{DENIAL}.start", "status": 403, "headers": [(b"x-why", b"no")]})
        await send({"type": f"{DENIAL}.body", "body": b"not you"})
        return
    chosen = scope["subprotocols"][-1] if scope["subprotocols"] else None
    await send({"type": "websocket.accept", "subprotocol": chosen, "headers": [(b"set-cookie", b"a=1")]})
    while (message := await receive())["type"] == "websocket.receive":
        if message.get("text") == "close":
            await send({"type": "websocket.close", "code": 4001, "reason": "enough"})
            return
        if message.get("text") == "fields":
            fields = dict(scope["headers"])
            assert [name for name, _ in scope["headers"]].count(b"host") == 1
            seen = [fields[name].decode() for name in (b"host", b"via", b"x-own")]
            text = " ".join([*seen, scope["path"], scope["query_string"].decode()])
            await send({"type": "websocket.send", "text": text})
            continue
        await send({**message, "type": "websocket.send"})
    closed.append((message["code"], message.get("reason")))


closed: list[Any] = []


def opened(one: Any, path: str = "/chat?a=b", **more: Any) -> Any:
    context = ssl.create_default_context(cafile=one.cafile)
    return connect(f"wss://localhost:{one.port}{path}", ssl=context, proxy=None, **more)


def test_messages_go_both_ways(proxied: Any) -> None:
    """Text and bytes in order; path, query, fields and subprotocols reach the upstream, its cookie the client."""

    async def scenario(one: Any) -> None:
        async with opened(one, subprotocols=["x", "y"], additional_headers={"x-own": "1"}) as socket:
            assert socket.subprotocol == "y"
            assert socket.response.headers["set-cookie"] == "a=1"
            for data in ("text \u2713", b"bytes", "", bytes(300_000)):
                await socket.send(data)
                assert await socket.recv() == data
            await socket.send("fields")
            assert await socket.recv() == f"localhost:{one.port} 1.1 h3push 1 /chat a=b"
            await socket.close(3001, "done")

    closed.clear()
    proxied(scenario, app=echo)
    assert closed == [(3001, "done")]


def test_the_upstream_closes(proxied: Any) -> None:
    """Code and reason of a close go through."""

    async def scenario(one: Any) -> None:
        async with opened(one) as socket:
            await socket.send("close")
            with pytest.raises(ConnectionClosedError):
                await socket.recv()
            assert (socket.close_code, socket.close_reason) == (4001, "enough")

    proxied(scenario, app=echo)


def test_the_upstream_denies(proxied: Any) -> None:
    """A response in place of a WebSocket goes through, with its fields and its content."""

    async def scenario(one: Any) -> None:
        with pytest.raises(InvalidStatus) as caught:
            await opened(one, "/no")
        response = caught.value.response
        assert (response.status_code, response.body) == (403, b"not you")
        assert response.headers["x-why"] == "no"

    proxied(scenario, app=echo)


def test_nobody_listens(proxied: Any) -> None:
    """Without an upstream, the handshake is answered with 502, and a sentence on what is wrong."""

    async def scenario(one: Any) -> None:
        one.proxy.upstreams.members.pop()
        with pytest.raises(InvalidStatus) as caught:
            await opened(one)
        response = caught.value.response
        assert response.status_code == 502
        assert response.body == b"502: nothing listens where the upstream should be\n"

    proxied(scenario, app=echo, more=("127.0.0.1:1",))


def test_an_upstream_that_is_down_is_left_out(proxied: Any) -> None:
    """A WebSocket is opened at an upstream that can be reached, and one that is open counts as a request under way there."""

    async def scenario(one: Any) -> None:
        dead, alive = one.proxy.upstreams.members
        async with opened(one) as socket:
            await socket.send("here")
            assert await socket.recv() == "here"
            assert dead.down_until > 0
            assert alive.connections.under_way == 1
        await one.proxy.upstreams.close()

    proxied(scenario, app=echo, more=("127.0.0.1:1",))


def test_a_websocket_goes_over_http1_where_requests_go_over_http2(certificates: Any) -> None:
    """TLS for WebSockets offers HTTP/1.1 alone: an upstream that chose "h2" would take the handshake for nonsense."""
    agreed: list[Any] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        agreed.append(writer.get_extra_info("ssl_object").selected_alpn_protocol())
        writer.close()

    async def main() -> None:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificates.certfile, certificates.keyfile)
        tls.set_alpn_protocols(["h2", "http/1.1"])
        server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
        options = Upstreaming(upstream_http2=True, upstream_cacert=certificates.cafile)
        port = server.sockets[0].getsockname()[1]
        proxy = options.application((f"https://localhost:{port}",), (), read_pages=False)
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "websocket",
            "http_version": "1.1",
            "scheme": "wss",
            "path": "/",
            "raw_path": b"/",
            "headers": [],
        }
        await proxy(scope, receive, send)
        server.close()
        assert [one["type"] for one in sent] == ["websocket.close"]

    asyncio.run(main())
    assert agreed == ["http/1.1"]
