"""aioquic and qh3 as clients of our server: requests and responses.

Each of these stacks also observes: it parses what our server puts on the wire, and a connection that it ends fails the test.
"""

import asyncio
from typing import Any

import pytest

import h3push
from h3push.server.certificates import DevelopmentCertificates

from .harness import MEGABYTE, content, our_server, run
from .strangers import AIOQUIC, QH3, Stack, stranger_client

STACKS = pytest.mark.parametrize("stack", [AIOQUIC, QH3], ids=repr)

QUIC_V1 = 0x00000001
UNUSED_VERSION = 0x1A2A3A4A
"""Of those that are reserved to exercise version negotiation (RFC 9000 section 15)."""


async def answer(request: h3push.Request) -> h3push.Response:
    """`/bytes/N` is N bytes; everything else is answered with what came."""
    body = await request.read()
    head = {"x-method": request.method, "x-path": request.path}
    if request.path.startswith("/bytes/"):
        return h3push.Response(200, head, content(request.path, int(request.path.removeprefix("/bytes/"))))
    return h3push.Response(200, head, body)


@STACKS
def test_get_and_post(stack: Stack, certificates: DevelopmentCertificates) -> None:
    async def scenario() -> None:
        async with (
            our_server(certificates, answer) as server,
            stranger_client(stack, certificates, server.address[1]) as client,
        ):
            got = await client.fetch("GET", "/a?b=c")
            assert (got.status, bytes(got.body), got.headers[b"x-path"]) == (200, b"", b"/a?b=c")
            posted = await client.fetch("POST", "/", body=content("upload", 100_000))
            assert (posted.headers[b"x-method"], posted.body) == (b"POST", content("upload", 100_000))
            empty = await client.fetch("POST", "/", body=b"")
            assert (empty.status, bytes(empty.body)) == (200, b"")

    run(scenario)


@STACKS
def test_names_and_values_beyond_ascii(stack: Stack, certificates: DevelopmentCertificates) -> None:
    """Percent-encoded paths stay as they are; field values are bytes, and bytes above 0x7f pass in both directions."""

    async def handler(request: h3push.Request) -> h3push.Response:
        return h3push.Response(200, {"x-path": request.path, "x-back": request.headers["x-word"]})

    async def scenario() -> None:
        async with (
            our_server(certificates, handler) as server,
            stranger_client(stack, certificates, server.address[1]) as client,
        ):
            word = "größer".encode()
            got = await client.fetch("GET", "/gr%C3%B6%C3%9Fer%20als?x=%2F", headers=[(b"x-word", word)])
            assert got.headers[b"x-path"] == b"/gr%C3%B6%C3%9Fer%20als?x=%2F"
            assert got.headers[b"x-back"] == word

    run(scenario)


def test_field_values_of_any_bytes_are_fine_for_aioquic(certificates: DevelopmentCertificates) -> None:
    """RFC 9110 section 5.5: a value may have any byte from 0x80 on; Latin-1 is what many servers send."""

    async def scenario() -> None:
        async with (
            our_server(certificates, latin) as server,
            stranger_client(AIOQUIC, certificates, server.address[1]) as client,
        ):
            assert (await client.fetch("GET", "/")).headers[b"x-word"] == b"gr\xf6\xdfer"

    run(scenario)


def test_field_values_that_are_not_utf8_make_qh3_leave(certificates: DevelopmentCertificates) -> None:
    """A fault of qh3 2.1: its QPACK decoder takes UTF-8 only, and ends the connection with QPACK_DECOMPRESSION_FAILED."""

    async def scenario() -> None:
        async with (
            our_server(certificates, latin) as server,
            stranger_client(QH3, certificates, server.address[1], may_end=True) as client,
        ):
            client.send("GET", "/")
            assert (await client.until_terminated()).error_code == 0x200

    run(scenario)


async def latin(request: h3push.Request) -> h3push.Response:
    """A `str` goes out in Latin-1, which is not UTF-8 here."""
    return h3push.Response(200, {"x-word": "größer"})


def test_head_with_a_length_is_fine_for_qh3(certificates: DevelopmentCertificates) -> None:
    """RFC 9110 section 8.6: a response to HEAD may say the length that GET would have had. Ours does."""

    async def scenario() -> None:
        async with (
            our_server(certificates, answer) as server,
            stranger_client(QH3, certificates, server.address[1]) as client,
        ):
            got = await client.fetch("HEAD", "/bytes/1000")
            assert (got.status, got.headers[b"content-length"], bytes(got.body)) == (200, b"1000", b"")

    run(scenario)


def test_head_with_a_length_makes_aioquic_leave(certificates: DevelopmentCertificates) -> None:
    """A fault of aioquic 1.7: it misses the 1000 bytes that a response to HEAD must not have, and ends the connection.

    RFC 9114 section 4.1.2 excepts such responses by name. Our server loses that connection and nothing else.
    """

    async def scenario() -> None:
        async with our_server(certificates, answer) as server:
            async with stranger_client(AIOQUIC, certificates, server.address[1], may_end=True) as client:
                client.send("HEAD", "/bytes/1000")
                ended = await client.until_terminated()
                assert (ended.error_code, ended.reason_phrase) == (0x10E, "content-length does not match data size")
            async with stranger_client(AIOQUIC, certificates, server.address[1]) as client:
                assert (await client.fetch("GET", "/bytes/1000")).body == content("/bytes/1000", 1000)

    run(scenario)


def test_head_without_a_length_is_fine_for_aioquic(certificates: DevelopmentCertificates) -> None:
    """The way out for those whose clients use aioquic: a handler that streams says no length."""

    async def handler(request: h3push.Request) -> None:
        await request.start_response(200, {"x-method": request.method})
        await request.send(b"dropped, as HEAD has no content")

    async def scenario() -> None:
        async with (
            our_server(certificates, handler) as server,
            stranger_client(AIOQUIC, certificates, server.address[1]) as client,
        ):
            got = await client.fetch("HEAD", "/")
            assert (got.status, got.headers[b"x-method"], bytes(got.body)) == (200, b"HEAD", b"")

    run(scenario)


@STACKS
def test_a_hundred_at_once(stack: Stack, certificates: DevelopmentCertificates) -> None:
    """As many as the server runs at once, each with content of its own, all sent in one go."""

    async def scenario() -> None:
        async with (
            our_server(certificates, answer) as server,
            stranger_client(stack, certificates, server.address[1]) as client,
        ):
            sizes = [size * 37 for size in range(100)]
            messages = [client.send("GET", f"/bytes/{size}") for size in sizes]
            await client.until(lambda: all(message.ended for message in messages))
            for size, message in zip(sizes, messages, strict=True):
                assert message.body == content(f"/bytes/{size}", size)
            assert server.counters.requests == 100
            assert server.counters.rejected == 0

    run(scenario)


def test_aioquic_holds_requests_back_at_the_limit_on_streams(certificates: DevelopmentCertificates) -> None:
    """350 requests in one go where 100 streams are allowed: it holds the rest back, and our credit moves on."""

    async def scenario() -> None:
        async with (
            our_server(certificates, answer) as server,
            stranger_client(AIOQUIC, certificates, server.address[1]) as client,
        ):
            messages = [client.send("GET", f"/bytes/{number}") for number in range(350)]
            await client.until(lambda: all(message.ended for message in messages))
            assert [len(message.body) for message in messages] == list(range(350))
            assert server.counters.requests == 350
            assert server.counters.rejected == 0

    run(scenario)


def test_qh3_refuses_requests_at_the_limit_on_streams(certificates: DevelopmentCertificates) -> None:
    """The 101st request at once is a `ValueError` of qh3's own; as responses end, our credit moves on: 350 in all."""

    async def scenario() -> None:
        async with (
            our_server(certificates, answer) as server,
            stranger_client(QH3, certificates, server.address[1]) as client,
        ):
            messages = []
            refused = 0
            while len(messages) < 350:
                try:
                    messages.append(client.send("GET", f"/bytes/{len(messages)}"))
                except ValueError as error:
                    assert "stream limit" in str(error)  # noqa: PT017 - an expected pause, not the end
                    refused += 1
                    await client.ping()
            assert refused
            await client.until(lambda: all(message.ended for message in messages))
            assert [len(message.body) for message in messages] == list(range(350))
            assert server.counters.rejected == 0

    run(scenario)


@STACKS
@pytest.mark.parametrize("direction", ["down", "up"])
def test_ten_megabytes(stack: Stack, certificates: DevelopmentCertificates, direction: str) -> None:
    """Flow control of both sides moves on, and every byte arrives."""

    async def handler(request: h3push.Request) -> h3push.Response:
        if request.method == "POST":
            assert await request.read() == content("upload", 10 * MEGABYTE)
        return await answer(request)

    async def scenario() -> None:
        async with (
            our_server(certificates, handler) as server,
            stranger_client(stack, certificates, server.address[1]) as client,
        ):
            if direction == "down":
                path = f"/bytes/{10 * MEGABYTE}"
                got = await client.fetch("GET", path)
                assert bytes(got.body) == content(path, 10 * MEGABYTE)
            else:
                got = await client.fetch("POST", "/bytes/1", body=content("upload", 10 * MEGABYTE))
                assert bytes(got.body) == content("/bytes/1", 1)

    run(scenario)


@STACKS
def test_early_hints_come_before_the_response(stack: Stack, certificates: DevelopmentCertificates) -> None:
    """Two interim responses (RFC 8297), then the final one."""

    async def handler(request: h3push.Request) -> h3push.Response:
        await request.send_informational(103, {"link": "</a.css>; rel=preload"})
        await request.send_informational(103, {"link": "</b.js>; rel=preload"})
        return h3push.Response(200, {}, b"page")

    async def scenario() -> None:
        async with (
            our_server(certificates, handler) as server,
            stranger_client(stack, certificates, server.address[1]) as client,
        ):
            got = await client.fetch("GET", "/")
            assert [dict(section)[b":status"] for section in got.sections] == [b"103", b"103", b"200"]
            assert [dict(section).get(b"link") for section in got.sections[:2]] == [
                b"</a.css>; rel=preload",
                b"</b.js>; rel=preload",
            ]
            assert got.body == b"page"

    run(scenario)


@STACKS
def test_trailers_in_both_directions(stack: Stack, certificates: DevelopmentCertificates) -> None:
    seen: list[Any] = []

    async def handler(request: h3push.Request) -> h3push.Response:
        body = await request.read()
        seen.append((body, request.trailers))
        return h3push.Response(200, {}, b"with trailers", trailers={"x-sum": "42"})

    async def scenario() -> None:
        async with (
            our_server(certificates, handler) as server,
            stranger_client(stack, certificates, server.address[1]) as client,
        ):
            message = client.send("POST", "/", body=b"half", end=False)
            client.http.send_headers(message.stream_id, [(b"x-up", b"1")], end_stream=True)
            client.transmit()
            await client.until(lambda: message.ended)
            assert seen == [(b"half", h3push.Headers({"x-up": "1"}))]
            assert (bytes(message.body), message.sections[-1]) == (b"with trailers", [(b"x-sum", b"42")])

    run(scenario)


@STACKS
def test_a_request_given_up_reaches_the_handler(stack: Stack, certificates: DevelopmentCertificates) -> None:
    """The stack stops the response in mid-content: our handler is told, the stream is reset, the connection goes on."""
    told = asyncio.Event()

    async def handler(request: h3push.Request) -> h3push.Response | None:
        if request.path != "/endless":
            return h3push.Response(200)
        await request.start_response(200)
        await request.send(b"x" * 1000)
        try:
            await request.wait_disconnected()
        finally:
            told.set()
        return None

    async def scenario() -> None:
        async with (
            our_server(certificates, handler) as server,
            stranger_client(stack, certificates, server.address[1]) as client,
        ):
            message = client.send("GET", "/endless")
            await client.until(lambda: message.body)
            client._quic.stop_stream(message.stream_id, 0x10C)
            client.transmit()
            await told.wait()
            await client.until(lambda: message.reset is not None)
            assert (await client.fetch("GET", "/")).status == 200

    run(scenario)


@STACKS
def test_keys_may_change(stack: Stack, certificates: DevelopmentCertificates) -> None:
    """A key update by the client, twice, with requests between and a download across the second (RFC 9001 section 6)."""

    async def scenario() -> None:
        async with (
            our_server(certificates, answer) as server,
            stranger_client(stack, certificates, server.address[1]) as client,
        ):
            assert (await client.fetch("GET", "/bytes/10")).status == 200
            client._quic.request_key_update()
            client.transmit()
            assert (await client.fetch("GET", "/bytes/20")).status == 200
            await client.ping()
            message = client.send("GET", f"/bytes/{MEGABYTE}")
            await client.until(lambda: len(message.body) > 100_000)
            client._quic.request_key_update()
            client.transmit()
            await client.until(lambda: message.ended)
            assert message.body == content(f"/bytes/{MEGABYTE}", MEGABYTE)

    run(scenario)


@STACKS
def test_the_connection_id_may_change(stack: Stack, certificates: DevelopmentCertificates) -> None:
    """The client goes on under another of the connection IDs that we gave it (RFC 9000 section 5.1)."""

    async def scenario() -> None:
        async with (
            our_server(certificates, answer) as server,
            stranger_client(stack, certificates, server.address[1]) as client,
        ):
            assert (await client.fetch("GET", "/bytes/10")).status == 200
            client._quic.change_connection_id()
            client.transmit()
            assert (await client.fetch("GET", "/bytes/200000")).body == content("/bytes/200000", 200_000)
            assert server.counters.connections == 1

    run(scenario)


@STACKS
def test_a_name_or_an_address(stack: Stack, certificates: DevelopmentCertificates) -> None:
    """The development certificate is good for both."""

    async def scenario() -> None:
        async with our_server(certificates, answer) as server:
            for host in ("localhost", "127.0.0.1"):
                async with stranger_client(stack, certificates, server.address[1], host=host) as client:
                    assert (await client.fetch("GET", "/", authority=host)).status == 200

    run(scenario)


@STACKS
def test_a_version_that_we_do_not_speak_is_negotiated(stack: Stack, certificates: DevelopmentCertificates) -> None:
    """The client begins with an unknown version, gets our list, and goes on with version 1 (RFC 9000 section 6)."""

    async def scenario() -> None:
        async with (
            our_server(certificates, answer) as server,
            stranger_client(
                stack,
                certificates,
                server.address[1],
                original_version=UNUSED_VERSION,
                supported_versions=[UNUSED_VERSION, QUIC_V1],
            ) as client,
        ):
            assert (await client.fetch("GET", "/bytes/10")).status == 200

    run(scenario)


@STACKS
def test_a_session_is_resumed(stack: Stack, certificates: DevelopmentCertificates) -> None:
    """The second connection uses the ticket of the first."""

    async def scenario() -> None:
        tickets: list[Any] = []
        async with our_server(certificates, answer) as server:
            for expected in (False, True):
                ticket = {"session_ticket": tickets[0]} if tickets else {}
                async with stranger_client(
                    stack,
                    certificates,
                    server.address[1],
                    connecting={"session_ticket_handler": tickets.append},
                    **ticket,
                ) as client:
                    assert (await client.fetch("GET", "/bytes/10")).status == 200
                    await client.until(lambda: tickets)
                    assert resumed(client) is expected

    def resumed(client: Any) -> bool:
        event = next(one for one in client.quic_events if type(one).__name__ == "HandshakeCompleted")
        return bool(event.session_resumed)

    run(scenario)


@STACKS
def test_a_shutdown_lets_requests_finish(stack: Stack, certificates: DevelopmentCertificates) -> None:
    """GOAWAY, the rest of what is under way, then a close without an error, as soon as the client has everything."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def handler(request: h3push.Request) -> None:
        await request.start_response(200)
        await request.send(b"one ")
        begun.set()
        await go_on.wait()
        await request.send(b"two")

    async def scenario() -> None:
        settings = h3push.ServerSettings(linger_timeout=0.1)
        async with (
            our_server(certificates, handler, settings=settings) as server,
            stranger_client(stack, certificates, server.address[1], may_end=True) as client,
        ):
            message = client.send("GET", "/")
            await begun.wait()
            await client.until(lambda: message.body)
            shutdown = asyncio.create_task(server.shutdown())
            await client.ping()
            go_on.set()
            await client.until(lambda: message.ended)
            assert bytes(message.body) == b"one two"
            ended = await client.until_terminated()
            assert ended.error_code == 0x100, "H3_NO_ERROR"
            await shutdown

    run(scenario)
