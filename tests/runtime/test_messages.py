"""Requests and responses: every kind of content, in both directions."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

import h3push

from .harness import World, in_world

MEGABYTE = 1024 * 1024


def get(handler: h3push.Handler, method: str = "GET", content: object = None) -> tuple[h3push.ClientResponse, bytes]:
    async def scenario(world: World) -> tuple[h3push.ClientResponse, bytes]:
        response = await world.client.request(method, "/a?b=c", content=content, headers={"X-Token": "t"})
        return response, await response.read()

    return in_world(handler, scenario)


async def pieces(*some: bytes) -> AsyncIterator[bytes]:
    for piece in some:
        yield piece


def test_the_request_reaches_the_handler() -> None:
    seen: list[h3push.Request] = []

    def handler(request: h3push.Request) -> h3push.Response:
        seen.append(request)
        return h3push.Response()

    response, content = get(handler)
    (request,) = seen
    assert (request.method, request.scheme, request.authority, request.path) == (
        "GET",
        "https",
        "origin.example",
        "/a?b=c",
    )
    assert request.headers["X-TOKEN"] == "t"
    assert request.http_version == "3"
    assert request.client == ("198.51.100.1", 50_000)
    assert request.push_id is None
    assert request.initiator is None
    assert not request.can_push
    assert (response.status, content) == (200, b"")
    assert response.headers["content-length"] == "0"
    assert "date" in response.headers


@pytest.mark.parametrize("size", [0, 1, 1000, 70_000, 3 * MEGABYTE])
def test_bytes_of_any_size(size: int) -> None:
    response, content = get(lambda _: h3push.Response(content=b"x" * size))
    assert content == b"x" * size
    assert response.headers["content-length"] == str(size)


def test_text_is_utf8() -> None:
    assert get(lambda _: h3push.Response(content="é"))[1] == b"\xc3\xa9"


def test_an_iterator_is_streamed() -> None:
    response, content = get(lambda _: h3push.Response(content=iter([b"a", b"", b"bc"])))
    assert content == b"abc"
    assert "content-length" not in response.headers


def test_an_async_iterator_is_streamed() -> None:
    assert get(lambda _: h3push.Response(content=pieces(b"a", b"b" * 200_000)))[1] == b"a" + b"b" * 200_000


@pytest.mark.parametrize(("offset", "length"), [(0, None), (5, None), (5, 7), (200_000, None), (0, 0)])
def test_a_file_goes_out_without_python(tmp_path: Path, offset: int, length: int | None) -> None:
    path = tmp_path / "file"
    data = bytes(range(256)) * 782
    path.write_bytes(data)
    expected = data[offset:] if length is None else data[offset : offset + length]
    response, content = get(lambda _: h3push.Response(content=h3push.FileContent(path, offset, length)))
    assert content == expected
    assert response.headers["content-length"] == str(len(expected))


def test_a_file_that_is_not_there_is_a_500(tmp_path: Path) -> None:
    response, _ = get(lambda _: h3push.Response(content=h3push.FileContent(tmp_path / "none")))
    assert response.status == 500


def test_trailers_both_ways() -> None:
    async def handler(request: h3push.Request) -> h3push.Response:
        return h3push.Response(content=b"x", trailers={"Checksum": "1"})

    response, content = get(handler)
    assert content == b"x"
    assert response.trailers is not None
    assert response.trailers["checksum"] == "1"


def test_step_by_step_with_early_hints_and_trailers() -> None:
    async def handler(request: h3push.Request) -> None:
        await request.send_informational(103, {"link": "</a.css>; rel=preload"})
        await request.start_response(201, {"x": "y"})
        await request.send(b"one ")
        await request.send(b"two")
        await request.send_trailers({"t": "1"})

    response, content = get(handler)
    assert (response.status, content) == (201, b"one two")
    assert [(status, headers["link"]) for status, headers in response.informational] == [(103, "</a.css>; rel=preload")]
    assert response.trailers == h3push.Headers({"t": "1"})


def test_a_response_left_open_is_ended() -> None:
    async def handler(request: h3push.Request) -> None:
        await request.start_response(200)
        await request.send(b"all")

    assert get(handler)[1] == b"all"


@pytest.mark.rfc("SEM-9.3-01", "SEM-8.6-01")
@pytest.mark.parametrize(("method", "status", "length"), [("HEAD", 200, "4"), ("GET", 204, None), ("GET", 304, None)])
def test_no_content_where_there_can_be_none(method: str, status: int, length: str | None) -> None:
    response, content = get(lambda _: h3push.Response(status, content=b"none"), method)
    assert (response.status, content) == (status, b"")
    assert response.headers.get("content-length") == length


@pytest.mark.rfc("SEM-9.3-01")
@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_no_content_step_by_step_either(method: str, status: int) -> None:
    async def handler(request: h3push.Request) -> None:
        await request.start_response(status)
        await request.send(b"dropped")
        await request.send_trailers({"dropped": "too"})

    response, content = get(handler, method)
    assert (response.status, content, response.trailers) == (status, b"", None)


def test_a_reused_response_is_the_same_each_time() -> None:
    shared = h3push.Response(200, {"x": "y"}, b"shared")

    async def scenario(world: World) -> list[bytes]:
        return [await (await world.client.get("/")).read() for _ in range(3)]

    assert in_world(lambda _: shared, scenario) == [b"shared"] * 3


@pytest.mark.parametrize("content", [b"", b"x", b"y" * 300_000, "text", [b"a", b"b"]])
def test_uploads(content: object) -> None:
    async def handler(request: h3push.Request) -> h3push.Response:
        return h3push.Response(content=await request.read())

    expected = content.encode() if isinstance(content, str) else content if isinstance(content, bytes) else b"ab"
    assert get(handler, "POST", content)[1] == expected


def test_a_file_is_uploaded(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"z" * 100_000)

    async def handler(request: h3push.Request) -> h3push.Response:
        return h3push.Response(content=str(len(await request.read())))

    assert get(handler, "PUT", h3push.FileContent(tmp_path / "f", 1))[1] == b"99999"


def test_content_beyond_the_limit_is_a_413() -> None:
    async def handler(request: h3push.Request) -> h3push.Response:
        return h3push.Response(content=await request.read(10))

    assert get(handler, "POST", b"x" * 11)[0].status == 413


@pytest.mark.rfc("H3-4.1-15", "H3-4.1-16")
def test_an_early_response_stops_the_upload() -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b"x" * 10_000

    async def scenario(world: World) -> tuple[int, bytes]:
        response = await world.client.post("/", content=endless())
        return response.status, await response.read()

    assert in_world(lambda _: h3push.Response(413, content=b"too much"), scenario) == (413, b"too much")
    assert sent < 1000


def test_an_upload_that_fails_fails_the_request() -> None:
    def broken() -> Iterator[bytes]:
        yield b"x"
        raise ZeroDivisionError

    async def handler(request: h3push.Request) -> h3push.Response:
        return h3push.Response(content=await request.read())

    async def scenario(world: World) -> int:
        with pytest.raises(ZeroDivisionError):
            await world.client.post("/", content=broken())
        return (await world.client.post("/", content=b"still fine")).status

    assert in_world(handler, scenario) == 200


def test_a_slow_reader_holds_the_server_back() -> None:
    made = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal made
        for _ in range(100):
            made += MEGABYTE // 4
            yield b"x" * (MEGABYTE // 4)

    async def scenario(world: World) -> int:
        response = await world.client.get("/")
        await asyncio.sleep(20)
        held = made
        assert len(await response.read()) == 25 * MEGABYTE
        return held

    settings = h3push.ClientSettings(receive_high_water=MEGABYTE, stream_receive_window=MEGABYTE)
    held = in_world(lambda _: h3push.Response(content=endless()), scenario, client_settings=settings)
    assert held <= 5 * MEGABYTE


def test_a_slow_handler_holds_the_client_back() -> None:
    made = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal made
        for _ in range(100):
            made += MEGABYTE // 4
            yield b"x" * (MEGABYTE // 4)

    async def handler(request: h3push.Request) -> h3push.Response:
        await asyncio.sleep(20)
        held = made
        assert len(await request.read()) == 25 * MEGABYTE
        return h3push.Response(content=str(held))

    async def scenario(world: World) -> bytes:
        return await (await world.client.post("/", content=endless())).read()

    settings = h3push.ClientSettings(send_window=MEGABYTE)
    assert int(in_world(handler, scenario, client_settings=settings)) <= 4 * MEGABYTE


def test_a_slow_handler_can_still_be_uploaded_to_in_pieces() -> None:
    async def handler(request: h3push.Request) -> h3push.Response:
        sizes = 0
        async for chunk in request.stream():
            sizes += len(chunk)
            await asyncio.sleep(0.01)
        return h3push.Response(content=str(sizes))

    async def scenario(world: World) -> bytes:
        return await (await world.client.post("/", content=b"x" * 3_000_000)).read()

    assert in_world(handler, scenario) == b"3000000"


def test_many_requests_at_once_wait_for_their_turn() -> None:
    running = most = 0

    async def handler(request: h3push.Request) -> h3push.Response:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.5)
        running -= 1
        return h3push.Response(content=request.path)

    async def scenario(world: World) -> list[bytes]:
        async def one(number: int) -> bytes:
            return await (await world.client.get(f"/{number}")).read()

        return await asyncio.gather(*map(one, range(500)))

    settings = h3push.ServerSettings(max_concurrent_requests=20)
    assert in_world(handler, scenario, server_settings=settings) == [f"/{number}".encode() for number in range(500)]
    assert most == 20


def test_request_headers_that_cannot_be_sent_are_refused_here() -> None:
    async def scenario(world: World) -> None:
        with pytest.raises(h3push.LocalProtocolError):
            await world.client.get("/", headers={"bad name": "x"})
        with pytest.raises(ValueError, match="latin-1"):
            await world.client.get("/", headers={"x": "\N{SNOWMAN}"})

    in_world(lambda _: h3push.Response(), scenario)


def test_a_reader_is_done_at_content_length_although_the_stream_goes_on() -> None:
    """A server may keep a response open for promises; that does not delay who reads the content (law: a push never delays)."""

    async def handler(request: h3push.Request) -> None:
        await request.start_response(200, {"content-length": "5"})
        await request.send(b"hello")
        await asyncio.sleep(10)
        await request.send(b"", end_stream=True)

    async def scenario(world: World) -> tuple[bytes, float, float]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        response = await world.client.get("/")
        content = await response.read()
        read = loop.time() - began
        async for _ in response.pushes():
            pass
        return content, read, loop.time() - began

    content, read, ended = in_world(handler, scenario, max_pushes=1)
    assert content == b"hello"
    assert read < 0.2
    assert ended > 10


def test_content_can_be_read_again() -> None:
    """A second `read` gives the same content, not nothing."""

    async def scenario(world: World) -> tuple[bytes, bytes]:
        response = await world.client.get("/")
        return await response.read(), await response.read()

    assert in_world(lambda _: h3push.Response(content=b"once"), scenario) == (b"once", b"once")


def test_what_a_handler_does_to_its_headers_is_its_own_affair() -> None:
    """Requests that are alike share a parsed header section; changing one must not reach another."""
    seen: list[list[tuple[bytes, bytes]]] = []

    def handler(request: h3push.Request) -> h3push.Response:
        seen.append(list(request.headers.raw))
        request.headers.raw.append((b"x-spoiled", b"1"))
        return h3push.Response()

    async def scenario(world: World) -> None:
        for _ in range(4):
            await (await world.client.get("/")).read()

    in_world(handler, scenario, server_config=h3push.H3Config(qpack_max_table_capacity=0))
    assert len(seen) == 4
    assert all(fields == seen[0] for fields in seen)
