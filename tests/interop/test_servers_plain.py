"""Our client with servers of aioquic and qh3: requests and responses."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

import h3push
from h3push.server.certificates import DevelopmentCertificates, development_certificates

from .harness import MEGABYTE, content, run
from .strangers import AIOQUIC, QH3, Message, Stack, stranger_server

STACKS = pytest.mark.parametrize("stack", [AIOQUIC, QH3], ids=repr)


def answer(peer: Any, request: Message) -> None:
    """`/bytes/N` is N bytes; everything else is answered with what came. HEAD as RFC 9110 section 8.6 allows it."""
    head = request.headers
    path = head[b":path"].decode()
    body = content(path, int(path.removeprefix("/bytes/"))) if path.startswith("/bytes/") else bytes(request.body)
    fields = [(b"x-method", head[b":method"]), (b"x-path", head[b":path"]), (b"content-length", b"%d" % len(body))]
    peer.respond(request.stream_id, 200, fields, b"" if head[b":method"] == b"HEAD" else body)


def connect(certificates: DevelopmentCertificates, port: int, **keywords: Any) -> h3push.ClientConnection:
    return h3push.connect(f"https://localhost:{port}/", cafile=certificates.cafile, **keywords)


@STACKS
def test_get_head_and_post(stack: Stack, certificates: DevelopmentCertificates) -> None:
    async def scenario() -> None:
        async with stranger_server(stack, certificates, answer) as server, connect(certificates, server.port) as client:
            got = await client.get("/bytes/1000")
            assert (got.status, await got.read()) == (200, content("/bytes/1000", 1000))
            head = await client.head("/bytes/1000")
            assert (head.status, head.headers["content-length"], await head.read()) == (200, "1000", b"")
            posted = await client.post("/echo?x=%C3%A9", content=content("upload", 100_000))
            assert (posted.headers["x-method"], posted.headers["x-path"]) == ("POST", "/echo?x=%C3%A9")
            assert await posted.read() == content("upload", 100_000)
            empty = await client.post("/", content=b"")
            assert await empty.read() == b""

    run(scenario)


@STACKS
def test_three_hundred_at_once(stack: Stack, certificates: DevelopmentCertificates) -> None:
    """More than either stack allows at once (128 streams): our client waits for credit, and every answer is its own."""

    async def one(client: h3push.ClientConnection, size: int) -> None:
        response = await client.get(f"/bytes/{size}")
        assert await response.read() == content(f"/bytes/{size}", size)

    async def scenario() -> None:
        async with stranger_server(stack, certificates, answer) as server, connect(certificates, server.port) as client:
            async with asyncio.TaskGroup() as group:
                for number in range(300):
                    group.create_task(one(client, number * 31))
            assert len(server.peers) == 1

    run(scenario)


@STACKS
@pytest.mark.parametrize("direction", ["down", "up"])
def test_ten_megabytes(stack: Stack, certificates: DevelopmentCertificates, direction: str) -> None:
    """Flow control of both sides moves on, and every byte arrives; the upload comes from an iterator, without a length."""

    async def pieces(data: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(data), 50_000):
            yield data[start : start + 50_000]

    async def scenario() -> None:
        async with stranger_server(stack, certificates, answer) as server, connect(certificates, server.port) as client:
            if direction == "down":
                response = await client.get(f"/bytes/{10 * MEGABYTE}")
                assert await response.read() == content(f"/bytes/{10 * MEGABYTE}", 10 * MEGABYTE)
            else:
                data = content("upload", 10 * MEGABYTE)
                response = await client.post("/bytes/1", content=pieces(data))
                assert await response.read() == content("/bytes/1", 1)
                assert server.peer.messages[response.stream_id].body == data

    run(scenario)


@STACKS
def test_early_hints_and_trailers(stack: Stack, certificates: DevelopmentCertificates) -> None:
    def handler(peer: Any, request: Message) -> None:
        for link in (b"</a.css>; rel=preload", b"</b.js>; rel=preload"):
            peer.http.send_headers(request.stream_id, [(b":status", b"103"), (b"link", link)])
        peer.http.send_headers(request.stream_id, [(b":status", b"200")])
        peer.http.send_data(request.stream_id, b"content", end_stream=False)
        peer.http.send_headers(request.stream_id, [(b"x-sum", b"42")], end_stream=True)

    async def scenario() -> None:
        async with (
            stranger_server(stack, certificates, handler) as server,
            connect(certificates, server.port) as client,
        ):
            response = await client.get("/")
            assert [(status, headers["link"]) for status, headers in response.informational] == [
                (103, "</a.css>; rel=preload"),
                (103, "</b.js>; rel=preload"),
            ]
            assert await response.read() == b"content"
            assert response.trailers == h3push.Headers({"x-sum": "42"})

    run(scenario)


@STACKS
def test_a_response_that_the_server_gives_up(stack: Stack, certificates: DevelopmentCertificates) -> None:
    """A reset in mid-content fails that response, with the server's code; the connection goes on."""

    def handler(peer: Any, request: Message) -> None:
        if request.headers[b":path"] == b"/":
            peer.respond(request.stream_id, 200)
            return
        peer.http.send_headers(request.stream_id, [(b":status", b"200")])
        peer.http.send_data(request.stream_id, b"a beginning", end_stream=False)

    async def scenario() -> None:
        async with (
            stranger_server(stack, certificates, handler) as server,
            connect(certificates, server.port) as client,
        ):
            response = await client.get("/broken")
            assert response.stream_id is not None
            server.peer._quic.reset_stream(response.stream_id, 0x102)
            server.peer.transmit()
            with pytest.raises(h3push.StreamFailed) as caught:
                await response.read()
            assert caught.value.error_code == 0x102
            assert (await client.get("/")).status == 200

    run(scenario)


@STACKS
def test_a_response_that_we_give_up(stack: Stack, certificates: DevelopmentCertificates) -> None:
    """Closing a response tells the server to stop, with H3_REQUEST_CANCELLED."""

    def handler(peer: Any, request: Message) -> None:
        if request.headers[b":path"] == b"/":
            peer.respond(request.stream_id, 200)
            return
        peer.http.send_headers(request.stream_id, [(b":status", b"200")])
        peer.http.send_data(request.stream_id, b"x" * 100_000, end_stream=False)

    async def scenario() -> None:
        async with (
            stranger_server(stack, certificates, handler) as server,
            connect(certificates, server.port) as client,
        ):
            async with await client.get("/endless") as response:
                assert response.stream_id is not None
            message = server.peer.messages[response.stream_id]
            await server.peer.until(lambda: message.stopped is not None)
            assert message.stopped == 0x10C
            assert (await client.get("/")).status == 200

    run(scenario)


@STACKS
def test_keys_may_change(stack: Stack, certificates: DevelopmentCertificates) -> None:
    """A key update by the server, between requests and in the middle of one."""

    async def scenario() -> None:
        async with stranger_server(stack, certificates, answer) as server, connect(certificates, server.port) as client:
            assert (await client.get("/bytes/10")).status == 200
            server.peer._quic.request_key_update()
            server.peer.transmit()
            await server.peer.ping()
            response = await client.get(f"/bytes/{MEGABYTE}")
            server.peer._quic.request_key_update()
            server.peer.transmit()
            assert await response.read() == content(f"/bytes/{MEGABYTE}", MEGABYTE)

    run(scenario)


@STACKS
def test_a_server_that_wants_the_address_proved(stack: Stack, certificates: DevelopmentCertificates) -> None:
    """Retry (RFC 9000 section 8.1.2): our client comes again with the token."""

    async def scenario() -> None:
        async with (
            stranger_server(stack, certificates, answer, retry=True) as server,
            connect(certificates, server.port) as client,
        ):
            assert await (await client.get("/bytes/10")).read() == content("/bytes/10", 10)

    run(scenario)


@STACKS
def test_a_server_that_goes_away_in_the_middle(stack: Stack, certificates: DevelopmentCertificates) -> None:
    """The server closes: what is under way fails with a sentence, and the client knows that it cannot be used."""

    def handler(peer: Any, request: Message) -> None:
        peer.http.send_headers(request.stream_id, [(b":status", b"200")])
        peer.http.send_data(request.stream_id, b"a beginning", end_stream=False)

    async def scenario() -> None:
        async with (
            stranger_server(stack, certificates, handler) as server,
            connect(certificates, server.port) as client,
        ):
            response = await client.get("/")
            server.peer._quic.close(error_code=0x100, reason_phrase="lunch")
            server.peer.transmit()
            with pytest.raises(h3push.ConnectionClosed, match="lunch"):
                await response.read()
            assert not client.is_usable

    run(scenario)


@STACKS
def test_a_certificate_that_nobody_vouches_for(
    stack: Stack, certificates: DevelopmentCertificates, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """With another authority the handshake fails, in one sentence."""
    other = development_certificates(tmp_path_factory.mktemp("other"))

    async def scenario() -> None:
        async with stranger_server(stack, certificates, answer) as server:
            with pytest.raises(h3push.ConnectFailed, match="certificate"):
                async with connect(other, server.port):
                    pass

    run(scenario)
