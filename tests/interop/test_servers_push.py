"""Our client takes pushes from servers of aioquic and qh3."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import h3push
from h3push.server.certificates import DevelopmentCertificates

from .harness import content, run
from .strangers import AIOQUIC, QH3, Message, Stack, stranger_server

STACKS = pytest.mark.parametrize("stack", [AIOQUIC, QH3], ids=repr)

SIZES = (0, 1, 10, 1_000, 16_383, 16_384, 65_536, 300_000, 1_500_000, 7)
"""Of ten pushed files: around the sizes of frames, packets and windows."""


def connect(
    certificates: DevelopmentCertificates, port: int, max_pushes: int | None = 16, **keywords: Any
) -> h3push.ClientConnection:
    return h3push.connect(f"https://localhost:{port}/", cafile=certificates.cafile, max_pushes=max_pushes, **keywords)


async def read_all(response: h3push.ClientResponse) -> dict[str, bytes]:
    """Content of a response, as "the page", and of its pushes, by path; all are read at the same time, as they come."""
    taken: dict[str, bytes] = {}

    async def take(name: str, some: h3push.ClientResponse) -> None:
        taken[name] = await some.read()

    async with asyncio.TaskGroup() as group:
        group.create_task(take("the page", response))
        async for push in response.pushes():
            group.create_task(take(push.request.path, await push.response()))
    return taken


@STACKS
def test_all_its_pushes_every_byte_right(stack: Stack, certificates: DevelopmentCertificates) -> None:
    def handler(peer: Any, request: Message) -> None:
        for number, size in enumerate(SIZES):
            peer.push(request, f"/{number}", content(f"/{number}", size), [(b"x-number", b"%d" % number)])
        peer.respond(request.stream_id, 200, [], b"page")

    async def scenario() -> None:
        async with (
            stranger_server(stack, certificates, handler) as server,
            connect(certificates, server.port) as client,
        ):
            response = await client.get("/")
            assert await read_all(response) == {
                "the page": b"page",
                **{f"/{number}": content(f"/{number}", size) for number, size in enumerate(SIZES)},
            }

    run(scenario)


@STACKS
def test_names_and_fields(stack: Stack, certificates: DevelopmentCertificates) -> None:
    """What the server promised, byte for byte; and the response says what it says."""
    word = "größer"

    def handler(peer: Any, request: Message) -> None:
        fields = [
            *peer.promised(request, "/gr%C3%B6%C3%9Fe.css?a=b?c"),
            (b"accept", b"text/css"),
            (b"x-w", word.encode()),
        ]
        stream_id = peer.http.send_push_promise(request.stream_id, fields)
        peer.respond(stream_id, 404, [(b"x-back", word.encode())], b"not there")
        peer.respond(request.stream_id, 200)

    async def scenario() -> None:
        async with (
            stranger_server(stack, certificates, handler) as server,
            connect(certificates, server.port) as client,
        ):
            response = await client.get("/")
            (push,) = [push async for push in response.pushes()]
            assert (push.request.method, push.request.path) == ("GET", "/gr%C3%B6%C3%9Fe.css?a=b?c")
            assert push.request.authority == f"localhost:{server.port}"
            assert list(push.request.headers.raw) == [(b"accept", b"text/css"), (b"x-w", word.encode())]
            answer = await push.response()
            assert (answer.status, answer.headers.raw) == (404, [(b"x-back", word.encode())])
            assert await answer.read() == b"not there"

    run(scenario)


@STACKS
def test_without_our_leave_nothing_is_pushed(stack: Stack, certificates: DevelopmentCertificates) -> None:
    """No `max_pushes`, no MAX_PUSH_ID, and the stack refuses by itself."""
    refused: list[str] = []

    def handler(peer: Any, request: Message) -> None:
        with pytest.raises(stack.exceptions.NoAvailablePushIDError):
            peer.push(request, "/a.css", b"")
        refused.append("yes")
        peer.respond(request.stream_id, 200)

    async def scenario() -> None:
        async with (
            stranger_server(stack, certificates, handler) as server,
            connect(certificates, server.port, max_pushes=None) as client,
        ):
            response = await client.get("/")
            assert [push async for push in response.pushes()] == []
            assert refused == ["yes"]

    run(scenario)


@pytest.mark.parametrize(("stack", "usable"), [(AIOQUIC, 4), (QH3, 3)], ids=repr)
def test_how_much_of_the_credit_is_used(stack: Stack, usable: int, certificates: DevelopmentCertificates) -> None:
    """`max_pushes=4` is MAX_PUSH_ID 3, four pushes. A fault of qh3 2.1: it takes the limit for exclusive, and wastes one.

    So qh3 never pushes to a client with `max_pushes=1`; give it one more than is wanted.
    """
    pushed: list[int] = []

    def handler(peer: Any, request: Message) -> None:
        for number in range(4):
            try:
                peer.push(request, f"/{number}", b"")
            except stack.exceptions.NoAvailablePushIDError:
                break
            pushed.append(number)
        peer.respond(request.stream_id, 200)

    async def scenario() -> None:
        async with (
            stranger_server(stack, certificates, handler) as server,
            connect(certificates, server.port, max_pushes=4) as client,
        ):
            response = await client.get("/")
            assert len([push async for push in response.pushes()]) == usable
            assert len(pushed) == usable

    run(scenario)


class Stream:
    """A server that promises as long as it may, `total` in all, on the stream of one request."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.sent = 0
        self.granted: list[int] = []
        self.most_unfinished = 0

    def __call__(self, peer: Any, request: Message) -> None:
        peer.http.send_headers(request.stream_id, [(b":status", b"200")])
        peer.watchers.append(lambda: self.go_on(peer, request))
        self.go_on(peer, request)

    def go_on(self, peer: Any, request: Message) -> None:
        granted = peer.http._max_push_id
        if not self.granted or granted != self.granted[-1]:
            self.granted.append(granted)
            self.most_unfinished = max(self.most_unfinished, granted + 1 - self.sent)
        try:
            while self.sent < self.total:
                path = f"/{self.sent}"
                peer.push(request, path, content(path, self.sent % 700))
                self.sent += 1
        except peer.stack.exceptions.NoAvailablePushIDError:
            return
        finally:
            peer.transmit()
        if peer.watchers:
            peer.watchers.clear()
            peer.http.send_data(request.stream_id, b"done", end_stream=True)


@STACKS
def test_a_thousand_pushes_ten_at_a_time(stack: Stack, certificates: DevelopmentCertificates) -> None:
    """The window moves on as pushes are read: all arrive, and never are more than ten granted that have not been sent."""

    async def scenario() -> None:
        handler = Stream(1_000)
        async with (
            stranger_server(stack, certificates, handler) as server,
            connect(certificates, server.port, max_pushes=10) as client,
        ):
            response = await client.get("/")
            count = 0
            async for push in response.pushes():
                path = push.request.path
                assert path == f"/{count}"
                assert await (await push.response()).read() == content(path, count % 700)
                count += 1
            assert count == 1_000
            assert await response.read() == b"done"
            assert handler.granted[0] == 9
            assert handler.granted == sorted(handler.granted)
            assert handler.most_unfinished <= 10
            assert client.session.pushes.unreleased == {}

    run(scenario)


@STACKS
@pytest.mark.parametrize("size", [0, 1, 5, 100_000], ids="{} bytes".format)
def test_a_push_stream_that_comes_before_its_promise(
    stack: Stack, certificates: DevelopmentCertificates, size: int
) -> None:
    """RFC 9114 section 4.6 allows it; here the promise goes out a round trip after the stream (written through internals)."""
    tasks: list[asyncio.Task[None]] = []

    def handler(peer: Any, request: Message) -> None:
        tasks.append(asyncio.create_task(push(peer, request)))

    async def push(peer: Any, request: Message) -> None:
        stream_id = peer.open_push_stream(0)
        peer.respond(stream_id, 200, [(b"x-early", b"1")], content("/early", size))
        await peer.ping()
        peer.write_promise(request, 0, peer.promised(request, "/early"))
        peer.respond(request.stream_id, 200, [], b"page")
        peer.transmit()

    async def scenario() -> None:
        async with (
            stranger_server(stack, certificates, handler) as server,
            connect(certificates, server.port) as client,
        ):
            response = await client.get("/")
            assert await read_all(response) == {"the page": b"page", "/early": content("/early", size)}

    run(scenario)


@STACKS
def test_one_push_promised_on_two_requests(stack: Stack, certificates: DevelopmentCertificates) -> None:
    """The same push ID with the same fields again (RFC 9114 section 4.6) is one push, and no error."""

    def handler(peer: Any, request: Message) -> None:
        if request.headers[b":path"] == b"/first":
            peer.push(request, "/shared", b"shared")
        else:
            peer.write_promise(request, 0, peer.promised(request, "/shared"))
        peer.respond(request.stream_id, 200)

    async def scenario() -> None:
        async with (
            stranger_server(stack, certificates, handler) as server,
            connect(certificates, server.port) as client,
        ):
            first = await read_all(await client.get("/first"))
            again = await client.get("/second")
            await again.read()
            assert first == {"the page": b"", "/shared": b"shared"}
            assert [push.push_id async for push in again.pushes()] in ([], [0])
            assert (await client.get("/first")).status == 200

    run(scenario)


@STACKS
def test_a_push_that_we_cancel_before_it_begins(stack: Stack, certificates: DevelopmentCertificates) -> None:
    """CANCEL_PUSH goes out. Both stacks ignore it and push all the same; what comes then is stopped and never shown."""
    cancelled = asyncio.Event()
    tasks: list[asyncio.Task[None]] = []
    stopped: list[int | None] = []

    def handler(peer: Any, request: Message) -> None:
        tasks.append(asyncio.create_task(push(peer, request)))

    async def push(peer: Any, request: Message) -> None:
        peer.write_promise(request, 0, peer.promised(request, "/unwanted"))
        peer.http.send_headers(request.stream_id, [(b":status", b"200")])
        peer.transmit()
        await cancelled.wait()
        await peer.ping()
        stream_id = peer.open_push_stream(0)
        peer.http.send_headers(stream_id, [(b":status", b"200")])
        peer.http.send_data(stream_id, b"x" * 100_000, end_stream=False)
        peer.transmit()
        message = peer._message(stream_id)
        await peer.until(lambda: message.stopped is not None)
        stopped.append(message.stopped)
        peer.http.send_data(request.stream_id, b"page", end_stream=True)
        peer.transmit()

    async def scenario() -> None:
        async with (
            stranger_server(stack, certificates, handler) as server,
            connect(certificates, server.port) as client,
        ):
            response = await client.get("/")
            async for push in response.pushes():
                push.cancel()
                cancelled.set()
                with pytest.raises(h3push.PushCancelled):
                    await push.response()
            assert await response.read() == b"page"
            assert stopped == [0x10C]

    run(scenario)


@STACKS
def test_a_push_that_we_cancel_in_the_middle(stack: Stack, certificates: DevelopmentCertificates) -> None:
    """STOP_SENDING with H3_REQUEST_CANCELLED on the push stream; the credit comes back."""
    streams: list[int] = []

    def handler(peer: Any, request: Message) -> None:
        stream_id = peer.http.send_push_promise(request.stream_id, peer.promised(request, "/long"))
        streams.append(stream_id)
        peer.http.send_headers(stream_id, [(b":status", b"200")])
        peer.http.send_data(stream_id, b"x" * 50_000, end_stream=False)
        peer.respond(request.stream_id, 200)

    async def scenario() -> None:
        async with (
            stranger_server(stack, certificates, handler) as server,
            connect(certificates, server.port, max_pushes=3) as client,
        ):
            response = await client.get("/")
            async for push in response.pushes():
                answer = await push.response()
                assert answer.status == 200
                push.cancel()
                assert push.state is h3push.ReceivedState.CANCELLED
            peer = server.peer
            await peer.until(lambda: peer._message(streams[0]).stopped is not None)
            assert peer._message(streams[0]).stopped == 0x10C
            await peer.until(lambda: peer.http._max_push_id == 3)

    run(scenario)


@STACKS
def test_a_push_that_the_server_resets(stack: Stack, certificates: DevelopmentCertificates) -> None:
    """The push fails with a sentence; its page and the connection go on."""

    def handler(peer: Any, request: Message) -> None:
        stream_id = peer.http.send_push_promise(request.stream_id, peer.promised(request, "/broken"))
        peer.http.send_headers(stream_id, [(b":status", b"200")])
        peer.http.send_data(stream_id, b"x" * 1_000, end_stream=False)
        peer.respond(request.stream_id, 200, [], b"page")

    async def scenario() -> None:
        async with (
            stranger_server(stack, certificates, handler) as server,
            connect(certificates, server.port) as client,
        ):
            response = await client.get("/")
            assert await response.read() == b"page"
            async for push in response.pushes():
                answer = await push.response()
                assert answer.stream_id is not None
                server.peer._quic.reset_stream(answer.stream_id, 0x102)
                server.peer.transmit()
                with pytest.raises(h3push.PushCancelled):
                    await answer.read()
            assert (await client.get("/")).status == 200

    run(scenario)


@STACKS
@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([(b":authority", b"elsewhere.example")], id="foreign authority"),
        pytest.param([(b":method", b"POST")], id="unsafe method"),
        pytest.param([(b"content-length", b"3")], id="content"),
    ],
)
def test_a_promise_that_may_not_be_used(
    stack: Stack, certificates: DevelopmentCertificates, fields: list[tuple[bytes, bytes]]
) -> None:
    """RFC 9114 section 4.6. Neither stack checks what it promises; our client refuses it with CANCEL_PUSH, and goes on."""

    def handler(peer: Any, request: Message) -> None:
        promised = dict(peer.promised(request, "/wrong")) | dict(fields)
        stream_id = peer.http.send_push_promise(request.stream_id, list(promised.items()))
        peer.respond(stream_id, 200, [], b"never to be used")
        peer.push(request, "/right", b"right")
        peer.respond(request.stream_id, 200, [], b"page")

    async def scenario() -> None:
        async with (
            stranger_server(stack, certificates, handler) as server,
            connect(certificates, server.port) as client,
        ):
            response = await client.get("/")
            assert await read_all(response) == {"the page": b"page", "/right": b"right"}
            assert (await client.get("/")).status == 200

    run(scenario)


def promise_too_high(peer: Any, request: Message) -> None:
    peer.write_promise(request, 16, peer.promised(request, "/"))


def stream_too_high(peer: Any, request: Message) -> None:
    peer.open_push_stream(16)


def stream_twice(peer: Any, request: Message) -> None:
    peer.write_promise(request, 0, peer.promised(request, "/"))
    peer.respond(peer.open_push_stream(0), 200)
    peer.respond(peer.open_push_stream(0), 200)


@STACKS
@pytest.mark.parametrize("wrong", [promise_too_high, stream_too_high, stream_twice])
def test_what_the_stack_must_not_do_ends_the_connection(
    stack: Stack, certificates: DevelopmentCertificates, wrong: Callable[[Any, Message], None]
) -> None:
    """H3_ID_ERROR (RFC 9114 sections 4.6 and 7.2.5), and the stack understands our close."""

    async def scenario() -> None:
        async with stranger_server(stack, certificates, wrong) as server, connect(certificates, server.port) as client:
            with pytest.raises(h3push.ConnectionClosed):
                await client.get("/")
            (peer,) = server.peers
            assert (await peer.until_terminated()).error_code == 0x108

    run(scenario)


@STACKS
def test_pushes_across_a_key_update(stack: Stack, certificates: DevelopmentCertificates) -> None:
    def handler(peer: Any, request: Message) -> None:
        for number in range(4):
            peer.push(request, f"/{number}", content(f"/{number}", 300_000))
        peer.transmit()
        peer._quic.request_key_update()
        peer.respond(request.stream_id, 200)

    async def scenario() -> None:
        async with (
            stranger_server(stack, certificates, handler) as server,
            connect(certificates, server.port) as client,
        ):
            await (await client.get("/")).read()
            taken = await read_all(await client.get("/"))
            del taken["the page"]
            assert taken == {f"/{number}": content(f"/{number}", 300_000) for number in range(4)}

    run(scenario)


@STACKS
def test_a_server_that_closes_in_the_middle_of_a_push(stack: Stack, certificates: DevelopmentCertificates) -> None:
    """The push fails, nothing waits for ever."""

    def handler(peer: Any, request: Message) -> None:
        stream_id = peer.http.send_push_promise(request.stream_id, peer.promised(request, "/broken"))
        peer.http.send_headers(stream_id, [(b":status", b"200")])
        peer.http.send_data(stream_id, b"x" * 1_000, end_stream=False)
        peer.respond(request.stream_id, 200, [], b"page")

    async def scenario() -> None:
        async with (
            stranger_server(stack, certificates, handler) as server,
            connect(certificates, server.port) as client,
        ):
            response = await client.get("/")
            await response.read()
            async for push in response.pushes():
                answer = await push.response()
                server.peer._quic.close(error_code=0x100)
                server.peer.transmit()
                with pytest.raises(h3push.H3PushError):
                    await answer.read()
                assert push.state is h3push.ReceivedState.FAILED

    run(scenario)
