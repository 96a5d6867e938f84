"""aioquic and qh3 as clients that take pushes from our server. Both send MAX_PUSH_ID 8 once, and never another: IDs 0 to 8."""

import asyncio
import importlib.resources
from pathlib import Path
from typing import Any

import pytest

import h3push
from h3push.files.directory import Directory
from h3push.files.handler import DirectoryHandler
from h3push.server.certificates import DevelopmentCertificates

from .harness import Page, content, our_server, run
from .strangers import AIOQUIC, QH3, Stack, stranger_client

STACKS = pytest.mark.parametrize("stack", [AIOQUIC, QH3], ids=repr)

GRANTED = 9
"""Pushes that such a client takes on a connection: MAX_PUSH_ID 8 is inclusive (RFC 9114 section 7.2.7)."""

SIZES = (0, 1, 10, 1_000, 16_383, 16_384, 65_536, 300_000, 1_500_000)
"""Of the nine pushed files: around the sizes of frames, packets and windows."""

WORD = "größer".encode()
"""A field value beyond ASCII."""


def bodies(messages: dict[str, Any]) -> dict[str, bytes]:
    return {path: bytes(message.body) for path, message in messages.items()}


@STACKS
def test_nine_pushes_every_byte_right_and_the_rest_refused(stack: Stack, certificates: DevelopmentCertificates) -> None:
    """The handler asks for 14: nine go out, on IDs 0 to 8; five are refused here, counted, and nothing of them is sent."""

    async def scenario() -> None:
        files = {f"/{number}": content(f"/{number}", size) for number, size in enumerate((*SIZES, 1, 2, 3, 4, 5))}
        page = Page(files)
        async with (
            our_server(certificates, page) as server,
            stranger_client(stack, certificates, server.address[1]) as client,
        ):
            got = await client.fetch("GET", "/")
            assert (got.status, bytes(got.body)) == (200, b"the page")
            pushed = await client.pushed(GRANTED)
            assert bodies(pushed) == dict(list(files.items())[:GRANTED])
            assert [promise.push_id for promise in client.promises] == list(range(GRANTED))
            assert {message.status for message in pushed.values()} == {200}
            assert [await push.done() for push in page.pushes[:GRANTED]] == [h3push.PushState.FULFILLED] * GRANTED
            assert {push.refusal for push in page.pushes[GRANTED:]} == {h3push.PushRefusal.NO_PUSH_CREDIT}
            assert (server.counters.pushes, server.counters.pushes_refused) == (GRANTED, 5)
            again = await client.fetch("GET", "/")
            assert again.status == 200
            assert (server.counters.pushes, server.counters.pushes_refused) == (GRANTED, 5 + 14)

    run(scenario)


@STACKS
def test_promises_come_before_the_page(stack: Stack, certificates: DevelopmentCertificates) -> None:
    """RFC 9114 section 4.6: a promise goes before what refers to it, so that the client does not ask for it itself."""

    async def scenario() -> None:
        page = Page({"/a.css": b"a", "/b.js": b"b"})
        async with (
            our_server(certificates, page) as server,
            stranger_client(stack, certificates, server.address[1]) as client,
        ):
            message = await client.fetch("GET", "/")
            await client.pushed(2)
            on_stream = [type(one).__name__ for one in client.events if one.stream_id == message.stream_id]
            assert on_stream[:3] == ["PushPromiseReceived", "PushPromiseReceived", "HeadersReceived"]

    run(scenario)


@STACKS
def test_a_promise_is_the_request_that_the_client_would_send(
    stack: Stack, certificates: DevelopmentCertificates
) -> None:
    """All four pseudo-header fields, the authority of the request, and the fields that the handler gave."""

    async def handler(request: h3push.Request) -> h3push.Response:
        if request.path == "/":
            await request.push("/data.json?page=2", headers=[(b"accept", b"application/json"), (b"x-word", WORD)])
        return h3push.Response(200, {}, b"x")

    async def scenario() -> None:
        async with (
            our_server(certificates, handler) as server,
            stranger_client(stack, certificates, server.address[1]) as client,
        ):
            await client.fetch("GET", "/", authority="localhost:1234")
            await client.pushed(1)
            assert client.promises[0].headers == [
                (b":method", b"GET"),
                (b":scheme", b"https"),
                (b":authority", b"localhost:1234"),
                (b":path", b"/data.json?page=2"),
                (b"accept", b"application/json"),
                (b"x-word", WORD),
            ]

    run(scenario)


@STACKS
def test_names_of_every_kind(stack: Stack, certificates: DevelopmentCertificates) -> None:
    """Spaces, percent signs, question marks in the query, and every script: on the wire they are percent-encoded UTF-8."""

    async def scenario() -> None:
        names = {
            "/größe.css": "/gr%C3%B6%C3%9Fe.css",
            "/日本語/文字.js": "/%E6%97%A5%E6%9C%AC%E8%AA%9E/%E6%96%87%E5%AD%97.js",
            "/with space.txt": "/with%20space.txt",
            "/50%25.txt": "/50%25.txt",
            "/q?a=b?c&d=é": "/q?a=b?c&d=%C3%A9",
            "/🙂.svg": "/%F0%9F%99%82.svg",
        }
        page = Page({name: content(name, 2_000) for name in names})
        async with (
            our_server(certificates, page) as server,
            stranger_client(stack, certificates, server.address[1]) as client,
        ):
            await client.fetch("GET", "/")
            pushed = bodies(await client.pushed(len(names)))
            assert pushed == {wire: page.files[name] for name, wire in names.items()}

    run(scenario)


@STACKS
def test_pushes_go_with_any_request(stack: Stack, certificates: DevelopmentCertificates) -> None:
    """Three pages at once, three pushes with each: every promise is on the stream of its own page."""

    async def handler(request: h3push.Request) -> h3push.Response:
        if request.path.startswith("/page"):
            for number in range(3):
                await request.push(f"/for{request.path}/{number}")
        return h3push.Response(200, {}, content(request.path, 20_000))

    async def scenario() -> None:
        async with (
            our_server(certificates, handler) as server,
            stranger_client(stack, certificates, server.address[1]) as client,
        ):
            pages = {client.send("GET", f"/page{number}").stream_id: f"/page{number}" for number in range(3)}
            pushed = await client.pushed(9)
            assert all(promise.path.startswith(f"/for{pages[promise.stream_id]}/") for promise in client.promises)
            assert bodies(pushed) == {path: content(path, 20_000) for path in pushed}

    run(scenario)


@STACKS
def test_early_hints_and_trailers_on_a_push_stream(stack: Stack, certificates: DevelopmentCertificates) -> None:
    """A pushed response is a response: interim ones before it, trailers after it."""

    async def handler(request: h3push.Request) -> h3push.Response | None:
        if request.path == "/":
            await request.push("/pushed")
            return h3push.Response(200, {}, b"page")
        await request.send_informational(103, {"link": "</a.css>; rel=preload"})
        await request.start_response(200, {"x-final": "1"})
        await request.send(b"content")
        await request.send_trailers({"x-trailer": "1"})
        return None

    async def scenario() -> None:
        async with (
            our_server(certificates, handler) as server,
            stranger_client(stack, certificates, server.address[1]) as client,
        ):
            await client.fetch("GET", "/")
            message = (await client.pushed(1))["/pushed"]
            assert [dict(section).get(b":status") for section in message.sections if b":status" in dict(section)] == [
                b"103",
                b"200",
            ]
            assert (bytes(message.body), message.sections[-1]) == (b"content", [(b"x-trailer", b"1")])

    run(scenario)


class Endless:
    """Pushes `/endless` with `/`; its handler sends until it is told that nobody wants it."""

    def __init__(self, *, begin: bool = True) -> None:
        self.begin = begin
        self.push: h3push.Push | None = None
        self.begun = asyncio.Event()
        self.told = asyncio.Event()

    async def __call__(self, request: h3push.Request) -> h3push.Response | None:
        if request.path == "/":
            self.push = await request.push("/endless")
            return h3push.Response(200, {}, b"page")
        if request.path != "/endless":
            return h3push.Response(200)
        try:
            self.begun.set()
            if not self.begin:
                await request.wait_disconnected()
            await request.start_response(200)
            while True:
                await request.send(b"x" * 10_000)
        finally:
            self.told.set()


@STACKS
def test_a_push_that_is_stopped_in_the_middle(stack: Stack, certificates: DevelopmentCertificates) -> None:
    """STOP_SENDING on the push stream: our handler is told, the stream is reset, everything else goes on."""

    async def scenario() -> None:
        handler = Endless()
        async with (
            our_server(certificates, handler) as server,
            stranger_client(stack, certificates, server.address[1]) as client,
        ):
            await client.fetch("GET", "/")
            await client.until(lambda: client.pushes and len(client.pushes[0].body) > 50_000)
            message = client.pushes[0]
            client._quic.stop_stream(message.stream_id, 0x10C)
            client.transmit()
            await handler.told.wait()
            await client.until(lambda: message.reset is not None)
            assert message.reset == 0x10C
            assert handler.push is not None
            assert await handler.push.done() is h3push.PushState.CANCELLED
            assert handler.push.cancelled_by is h3push.CancelledBy.PEER
            assert server.counters.pushes_cancelled == 1
            assert (await client.fetch("GET", "/still-there")).status == 200

    run(scenario)


@STACKS
def test_a_push_that_is_cancelled_before_it_begins(stack: Stack, certificates: DevelopmentCertificates) -> None:
    """CANCEL_PUSH for a promise whose stream is not open: the handler is told, and no push stream comes.

    Neither stack has an interface for CANCEL_PUSH: it is written through their internals.
    """

    async def scenario() -> None:
        handler = Endless(begin=False)
        async with (
            our_server(certificates, handler) as server,
            stranger_client(stack, certificates, server.address[1]) as client,
        ):
            await client.fetch("GET", "/")
            await client.until(lambda: client.promises)
            await handler.begun.wait()
            client.cancel_push(0)
            await handler.told.wait()
            assert handler.push is not None
            assert await handler.push.done() is h3push.PushState.CANCELLED
            assert (await client.fetch("GET", "/still-there")).status == 200
            assert client.pushes == {}

    run(scenario)


@STACKS
def test_a_push_that_is_cancelled_after_it_began(stack: Stack, certificates: DevelopmentCertificates) -> None:
    """CANCEL_PUSH where STOP_SENDING was due (RFC 9114 section 7.2.3: SHOULD NOT, and clients do it): it works too."""

    async def scenario() -> None:
        handler = Endless()
        async with (
            our_server(certificates, handler) as server,
            stranger_client(stack, certificates, server.address[1]) as client,
        ):
            await client.fetch("GET", "/")
            await client.until(lambda: client.pushes and client.pushes[0].body)
            client.cancel_push(0)
            await handler.told.wait()
            await client.until(lambda: client.pushes[0].reset is not None)
            assert (await client.fetch("GET", "/still-there")).status == 200

    run(scenario)


@STACKS
def test_a_push_that_the_server_calls_off(stack: Stack, certificates: DevelopmentCertificates) -> None:
    """Before its stream: CANCEL_PUSH, which both stacks ignore without harm. After: the stream is reset, which both tell."""
    going = asyncio.Event()

    async def handler(request: h3push.Request) -> h3push.Response | None:
        if request.path == "/":
            (await request.push("/early")).cancel()
            late = await request.push("/late")
            await going.wait()
            late.cancel()
            return h3push.Response(200, {}, b"page")
        await request.start_response(200)
        await request.send(b"a beginning")
        going.set()
        await request.wait_disconnected()
        return None

    async def scenario() -> None:
        async with (
            our_server(certificates, handler) as server,
            stranger_client(stack, certificates, server.address[1]) as client,
        ):
            page = await client.fetch("GET", "/")
            assert bytes(page.body) == b"page"
            await client.until(lambda: any(message.reset is not None for message in client.messages.values()))
            assert [promise.path for promise in client.promises] == ["/early", "/late"]
            assert 0 not in client.pushes
            assert server.counters.pushes_cancelled == 2

    run(scenario)


@STACKS
def test_more_credit_lets_more_be_pushed(stack: Stack, certificates: DevelopmentCertificates) -> None:
    """A further MAX_PUSH_ID, written through internals: what waited for credit is promised at once."""

    async def handler(request: h3push.Request) -> h3push.Response:
        if request.path == "/":
            for number in range(20):
                await request.push(f"/{number}", wait=True)
        return h3push.Response(200, {}, content(request.path, 5_000))

    async def scenario() -> None:
        async with (
            our_server(certificates, handler) as server,
            stranger_client(stack, certificates, server.address[1]) as client,
        ):
            page = client.send("GET", "/")
            await client.pushed(GRANTED)
            assert not page.ended
            client.http._max_push_id = 19
            client.write_control_frame(0xD, stack.varint(19))
            pushed = await client.pushed(20)
            assert bodies(pushed) == {f"/{number}": content(f"/{number}", 5_000) for number in range(20)}
            await client.until(lambda: page.ended)

    run(scenario)


@STACKS
@pytest.mark.parametrize(
    ("kind", "push_id", "rule"),
    [
        (0xD, 3, "a MAX_PUSH_ID that is smaller than the last one"),
        (0x3, 9, "a CANCEL_PUSH for more than was granted"),
        (0x3, 0, "a CANCEL_PUSH for what was not promised"),
    ],
)
def test_what_the_stack_must_not_do_ends_the_connection(
    stack: Stack, certificates: DevelopmentCertificates, kind: int, push_id: int, rule: str
) -> None:
    """H3_ID_ERROR (RFC 9114 sections 7.2.3 and 7.2.7), and the stack understands our close."""

    async def scenario() -> None:
        async with (
            our_server(certificates, Page({})) as server,
            stranger_client(stack, certificates, server.address[1], may_end=True) as client,
        ):
            await client.fetch("GET", "/")
            client.write_control_frame(kind, stack.varint(push_id))
            ended = await client.until_terminated()
            assert ended.error_code == 0x108, rule
            assert ended.reason_phrase

    run(scenario)


@STACKS
def test_a_shutdown_lets_pushes_finish(stack: Stack, certificates: DevelopmentCertificates) -> None:
    """What was promised before the server stopped arrives whole; then the connection ends without an error."""
    begun = asyncio.Event()

    async def handler(request: h3push.Request) -> h3push.Response:
        if request.path == "/":
            await request.push("/pushed")
            return h3push.Response(200, {}, b"page")
        begun.set()
        return h3push.Response(200, {}, content("/pushed", 2_000_000))

    async def scenario() -> None:
        settings = h3push.ServerSettings(linger_timeout=0.1)
        async with (
            our_server(certificates, handler, settings=settings) as server,
            stranger_client(stack, certificates, server.address[1], may_end=True) as client,
        ):
            client.send("GET", "/")
            await begun.wait()
            shutdown = asyncio.create_task(server.shutdown())
            pushed = await client.pushed(1)
            assert bodies(pushed) == {"/pushed": content("/pushed", 2_000_000)}
            assert (await client.until_terminated()).error_code == 0x100
            await shutdown

    run(scenario)


@STACKS
def test_the_bundled_site(stack: Stack, certificates: DevelopmentCertificates) -> None:
    """A page with more resources than the client grants: nine come as pushes, in the page's order of need, bytes as on disk."""
    site = Path(str(importlib.resources.files("h3push") / "site"))

    async def scenario() -> None:
        handler = DirectoryHandler(Directory(site))
        async with (
            our_server(certificates, handler) as server,
            stranger_client(stack, certificates, server.address[1]) as client,
        ):
            page = await client.fetch("GET", "/")
            assert bytes(page.body) == (site / "index.html").read_bytes()
            pushed = bodies(await client.pushed(GRANTED))
            assert next(iter(pushed)) == "/styles/guide.css"
            assert pushed == {path: (site / path[1:]).read_bytes() for path in pushed}
            assert handler.totals.promised == GRANTED
            assert handler.totals.refused > 0
            await client.fetch("GET", "/")
            assert len(client.promises) == GRANTED

    run(scenario)


@STACKS
def test_a_pushed_answer_to_head(stack: Stack, certificates: DevelopmentCertificates) -> None:
    """HEAD may be pushed (it is safe and cacheable): fields, and no content."""

    async def handler(request: h3push.Request) -> h3push.Response | None:
        if request.path == "/":
            await request.push("/pushed", method="HEAD")
            return h3push.Response(200, {}, b"page")
        await request.start_response(200, {"x-method": request.method})
        return None

    async def scenario() -> None:
        async with (
            our_server(certificates, handler) as server,
            stranger_client(stack, certificates, server.address[1]) as client,
        ):
            await client.fetch("GET", "/")
            message = (await client.pushed(1))["/pushed"]
            assert (message.headers[b"x-method"], bytes(message.body)) == (b"HEAD", b"")

    run(scenario)


def test_aioquic_refuses_a_pushed_answer_to_head_with_a_length(certificates: DevelopmentCertificates) -> None:
    """The fault of `test_head_with_a_length_makes_aioquic_leave`, for pushes: it ends the connection."""

    async def handler(request: h3push.Request) -> h3push.Response:
        if request.path == "/":
            await request.push("/pushed", method="HEAD")
        return h3push.Response(200, {}, b"some")

    async def scenario() -> None:
        async with (
            our_server(certificates, handler) as server,
            stranger_client(AIOQUIC, certificates, server.address[1], may_end=True) as client,
        ):
            client.send("GET", "/")
            assert (await client.until_terminated()).error_code == 0x10E

    run(scenario)
