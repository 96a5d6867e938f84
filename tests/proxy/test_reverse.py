"""The far relay: a request goes to an upstream and its answer comes back, over every version of HTTP."""

import asyncio
import contextlib
import gzip
import hashlib
from typing import Any

import pytest

import h3push
from h3push.errors import StreamFailed
from h3push.proxy.settings import ProxySettings

VERSIONS = ("3", "2", "1.1")


async def read_head(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


def answering(*answers: bytes) -> Any:
    """A raw upstream that gives these answers on each connection, one a request, and notes what it was asked."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            handle.asked.append(await read_head(reader))  # type: ignore[attr-defined]
            writer.write(answer)
            await writer.drain()

    handle.asked = []  # type: ignore[attr-defined]
    return handle


def whole(body: bytes = b"hello", fields: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\n" + fields + b"Content-Length: %d\r\n\r\n" % len(body) + body


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Says what was asked, and gives the request's content back as it comes."""
    headers = [(b"x-seen-" + name, value) for name, value in scope["headers"]]
    await send(
        {"type": "http.response.start", "status": 200, "headers": [*headers, (b"x-method", scope["method"].encode())]}
    )
    more = True
    while more:
        message = await receive()
        more = message.get("more_body", False)
        await send({"type": "http.response.body", "body": message.get("body", b""), "more_body": more})


def fields_of(answer: Any) -> dict[bytes, bytes]:
    return {name.lower(): value for name, value in answer.headers}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_request_goes_through(proxied: Any, version: str) -> None:
    """Method, path, query, fields and content reach the upstream; Host is the one that was asked for; the hop is said."""

    async def scenario(one: Any) -> None:
        body = b"x" * 16_000
        answer = await one.get(version, "/a%20b?c=d", method="POST", headers=[(b"x-own", b"1")], content=body)
        seen = fields_of(answer)
        assert answer.status == 200
        assert answer.content == body
        assert seen[b"x-method"] == b"POST"
        assert seen[b"x-seen-host"] == b"localhost:%d" % one.port
        assert seen[b"x-seen-x-own"] == b"1"
        assert seen[b"x-seen-via"] == f"{version} h3push".encode()
        assert seen[b"x-seen-x-forwarded-proto"] == b"https"
        assert seen[b"via"] == b"1.1 h3push"

    proxied(scenario, app=echo)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_response_has_one_date(proxied: Any, version: str) -> None:
    """The upstream's Date goes on, and no second one is added: caches compute ages from it."""

    async def scenario(one: Any) -> None:
        answer = await one.get(version)
        assert answer.all(b"date") == ["Sun, 06 Nov 1994 08:49:37 GMT"]

    proxied(scenario, raw=answering(whole(fields=b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n")))


def test_a_connection_is_used_again(proxied: Any) -> None:
    """Requests one after the other go over one connection, whether the length is said or the content is chunked."""
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    connections = []

    async def handle(reader: Any, writer: Any) -> None:
        connections.append(writer)
        for answer in (whole(), chunked, whole(b""), b"HTTP/1.1 204 No Content\r\n\r\n", whole()):
            await read_head(reader)
            writer.write(answer)

    async def scenario(one: Any) -> None:
        for expected in (b"hello", b"hello", b"", b"", b"hello"):
            assert (await one.get("3")).content == expected

    proxied(scenario, raw=handle)
    assert len(connections) == 1


def test_a_connection_that_the_upstream_closed_is_not_noticed(proxied: Any) -> None:
    """A kept connection may close at any time; a request that can be repeated then goes over a new one."""
    count = 0

    async def handle(reader: Any, writer: Any) -> None:
        nonlocal count
        count += 1
        await read_head(reader)
        writer.write(whole())
        if count == 1:
            await read_head(reader)  # and closes without an answer

    async def scenario(one: Any) -> None:
        for _ in range(2):
            assert (await one.get("3")).status == 200

    proxied(scenario, raw=handle)
    assert count == 2


def test_what_cannot_be_repeated_is_not_sent_twice(proxied: Any) -> None:
    """A POST on a connection that dies may have been acted on: 502, and one request at the upstream."""
    asked = []

    async def handle(reader: Any, writer: Any) -> None:
        head = await read_head(reader)
        asked.append(head)
        if b"GET" in head:
            writer.write(whole())
            asked.append(await read_head(reader))

    async def scenario(one: Any) -> None:
        assert (await one.get("3")).status == 200
        answer = await one.get("3", method="POST", content=b"once")
        assert answer.status == 502
        assert fields_of(answer)[b"proxy-status"] == b"h3push; error=connection_terminated"

    proxied(scenario, raw=handle)
    assert len(asked) == 2


@pytest.mark.parametrize("version", VERSIONS)
def test_an_answer_streams(proxied: Any, version: str) -> None:
    """A piece of an answer goes on when it comes, not when the answer is complete."""
    told = asyncio.Event()

    async def handle(reader: Any, writer: Any) -> None:
        await read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        await told.wait()
        writer.write(b"6\r\nsecond\r\n0\r\n\r\n")

    async def scenario(one: Any) -> None:
        async with h3push.connect(f"https://localhost:{one.port}/", cafile=one.cafile) as client:
            response = await client.request("GET", "/")
            pieces = response.stream()
            assert await anext(pieces) == b"first"
            told.set()
            assert b"".join([piece async for piece in pieces]) == b"second"

    proxied(scenario, raw=handle)


def test_an_upstream_that_breaks_off_never_passes_for_whole(proxied: Any) -> None:
    """A short body raises at the client, in every version and framing."""
    short = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort"
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n"

    async def scenario(one: Any) -> None:
        with pytest.raises(StreamFailed):
            await one.get("3")
        for version in ("2", "1.1"):
            with pytest.raises((ConnectionError, EOFError, Exception)) as caught:
                await one.get(version)
            assert "Timeout" not in type(caught.value).__name__

    proxied(scenario, raw=answering(short))
    proxied(scenario, raw=answering(chunked))


@pytest.mark.parametrize(
    ("answer", "status", "error"),
    [
        (b"", 502, b"connection_terminated"),
        (b"nonsense\r\n\r\n", 502, b"http_protocol_error"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 502, b"http_protocol_error"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc", 502, b"http_protocol_error"),
        (b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n", 502, b"http_protocol_error"),
        (b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", 502, b"http_protocol_error"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 502, b"http_protocol_error"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", 502, b"http_protocol_error"),
    ],
)
def test_an_upstream_that_makes_no_sense(proxied: Any, answer: bytes, status: int, error: bytes) -> None:
    """What could be read in two ways is not forwarded: the client gets a status, a word of Proxy-Status, a sentence."""

    async def scenario(one: Any) -> None:
        got = await one.get("3")
        assert got.status == status
        assert fields_of(got)[b"proxy-status"] == b"h3push; error=" + error
        assert fields_of(got)[b"cache-control"] == b"no-store"
        assert got.content.startswith(b"502: the upstream")
        assert b"127.0.0.1" not in got.content

    proxied(scenario, raw=answering(answer))


def test_bytes_that_nobody_asked_for_answer_nobody(proxied: Any) -> None:
    """An answer behind the answer would be taken for that of the next request, of somebody else: the connection ends."""
    count = 0

    async def handle(reader: Any, writer: Any) -> None:
        nonlocal count
        count += 1
        await read_head(reader)
        writer.write(whole(b"right") + (whole(b"wrong") if count == 1 else b""))
        await reader.read()

    async def scenario(one: Any) -> None:
        assert [(await one.get("3")).content for _ in range(2)] == [b"right", b"right"]

    proxied(scenario, raw=handle)
    assert count == 2


def test_nobody_listens(proxied: Any) -> None:
    """A refused connection is 502, at once."""

    async def scenario(one: Any) -> None:
        one.proxy.upstreams.members.pop()
        answer = await one.get("3")
        assert answer.status == 502
        assert fields_of(answer)[b"proxy-status"] == b"h3push; error=connection_refused"

    proxied(scenario, raw=answering(), more=("127.0.0.1:1",))


def test_an_upstream_that_says_nothing(proxied: Any) -> None:
    """An answer that does not begin in time is 504."""

    async def silent(reader: Any, writer: Any) -> None:
        await reader.read()

    async def scenario(one: Any) -> None:
        answer = await one.get("3")
        assert answer.status == 504
        assert fields_of(answer)[b"proxy-status"] == b"h3push; error=connection_read_timeout"

    proxied(scenario, raw=silent, response_timeout=0.05)


def test_requests_beyond_the_bound_wait_then_get_503(proxied: Any) -> None:
    """`max_requests` bounds what one upstream gets at once; who waits too long is told when to come again."""
    free, asked = asyncio.Event(), asyncio.Event()

    async def slow(reader: Any, writer: Any) -> None:
        await read_head(reader)
        asked.set()
        await free.wait()
        writer.write(whole())

    async def scenario(one: Any) -> None:
        first = asyncio.create_task(one.get("3"))
        await asked.wait()
        answer = await one.get("3")
        assert answer.status == 503
        assert b"retry-after" in fields_of(answer)
        free.set()
        assert (await first).status == 200

    proxied(scenario, raw=slow, max_requests=1, pool_timeout=0.05)


def test_an_upstream_that_is_down_is_left_out(proxied: Any) -> None:
    """A request that certainly reached nobody goes to another upstream, POST as well; the next ones go there at once."""

    async def scenario(one: Any) -> None:
        assert (await one.get("3", method="POST", content=b"x")).status == 200
        assert one.proxy.upstreams.members[0].down_until > 0
        assert (await one.get("3")).status == 200

    proxied(scenario, app=echo, more=("127.0.0.1:1",))


def test_a_client_that_leaves_ends_its_request_at_the_upstream(proxied: Any) -> None:
    """Nobody works for a client that has gone."""
    left, asked = asyncio.Event(), asyncio.Event()

    async def slow(reader: Any, writer: Any) -> None:
        await read_head(reader)
        asked.set()
        await reader.read()
        left.set()

    async def scenario(one: Any) -> None:
        async with h3push.connect(f"https://localhost:{one.port}/", cafile=one.cafile) as client:
            task = asyncio.create_task(client.request("GET", "/"))
            await asked.wait()
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            async with asyncio.timeout(5):
                await left.wait()
        assert one.proxy.upstreams.members[0].connections.under_way == 0

    proxied(scenario, raw=slow)


def test_a_slow_client_holds_up_the_upstream(proxied: Any) -> None:
    """Back-pressure reaches the upstream: it cannot send much more than the buffers on the way hold."""
    size, sent = 64 << 20, 0

    async def eager(reader: Any, writer: Any) -> None:
        nonlocal sent
        await read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        piece = bytes(1 << 16)
        while sent < size:
            writer.write(piece)
            await writer.drain()
            sent += len(piece)

    async def scenario(one: Any) -> None:
        async with h3push.connect(f"https://localhost:{one.port}/", cafile=one.cafile) as client:
            response = await client.request("GET", "/")
            before = -1
            while before != sent:  # until nothing moves any more
                before = sent
                await asyncio.sleep(0.3)
            assert sent < size // 2
            digest = hashlib.sha256()
            async for piece in response.stream():
                digest.update(piece)
            assert digest.hexdigest() == hashlib.sha256(bytes(size)).hexdigest()

    proxied(scenario, raw=eager)


def test_trailers_come_through(proxied: Any) -> None:
    """A trailer section behind chunked content reaches a client that takes trailers."""
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 42\r\n\r\n"

    async def scenario(one: Any) -> None:
        async with h3push.connect(f"https://localhost:{one.port}/", cafile=one.cafile) as client:
            response = await client.request("GET", "/", headers={"te": "trailers"})
            assert await response.read() == b"hello"
            assert response.trailers is not None
            assert response.trailers["x-sum"] == "42"

    proxied(scenario, raw=answering(answer))


@pytest.mark.parametrize("version", VERSIONS)
def test_head_and_no_content(proxied: Any, version: str) -> None:
    """A length without content is not waited for: HEAD, 304."""

    async def scenario(one: Any) -> None:
        answer = await one.get(version, method="HEAD")
        assert (answer.status, answer.content, fields_of(answer)[b"content-length"]) == (200, b"", b"5")

    proxied(scenario, raw=answering(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("answer", "lengths"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", [b"3"]),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n", []),
    ],
)
def test_a_length_is_said_once_and_never_with_204(proxied: Any, version: str, answer: bytes, lengths: Any) -> None:
    """What an upstream says twice, or of no content, reaches the client as RFC 9110 section 8.6 has it."""

    async def scenario(one: Any) -> None:
        got = await one.get(version)
        assert [value for name, value in got.headers if name.lower() == b"content-length"] == lengths
        assert got.content == (b"abc" if lengths else b"")

    proxied(scenario, raw=answering(answer))


@pytest.mark.parametrize("version", ["3", "2"])
def test_the_upstream_is_not_blamed_for_what_the_client_sent(proxied: Any, version: str) -> None:
    """A target that HTTP/1.1 cannot say is an error of the client: 400, and the next request goes through."""

    async def scenario(one: Any) -> None:
        refused = await one.get(version, '/a"b')
        assert refused.status == 400
        assert fields_of(refused)[b"proxy-status"] == b"h3push; error=http_request_error"
        assert (await one.get(version)).status == 200

    proxied(scenario, raw=answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))


@pytest.mark.parametrize("version", ["3", "2"])
def test_the_upstream_gets_one_cookie(proxied: Any, version: str) -> None:
    """Browsers split Cookie over HTTP/2 and 3; whoever speaks HTTP/1.1 gets it whole (RFC 9113 section 8.2.3)."""

    async def scenario(one: Any) -> None:
        answer = await one.get(version, headers=[(b"cookie", b"a=1"), (b"cookie", b"b=2")])
        assert fields_of(answer)[b"x-seen-cookie"] == b"a=1; b=2"

    proxied(scenario, app=echo)


def test_a_unix_socket_and_a_prefix(proxied: Any, tmp_path: Any) -> None:
    """An upstream may be a socket in the file system; a prefix stands before every path, and not in what clients see."""
    handle = answering(whole(fields=b"Location: http://localhost/base/x\r\n"))

    async def scenario(one: Any) -> None:
        answer = await one.get("3", "/y")
        assert answer.content == b"hello"

    proxied(scenario, raw=handle, path=str(tmp_path / "s"))
    assert handle.asked[0].startswith(b"GET /y HTTP/1.1\r\n")


def test_the_upstream_s_own_address_is_not_shown(proxied: Any) -> None:
    """A Location at the upstream's own address becomes a path: nobody else can reach it there."""

    async def handle(reader: Any, writer: Any) -> None:
        await read_head(reader)
        port = writer.get_extra_info("sockname")[1]
        writer.write(
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%d/base/there\r\nContent-Length: 0\r\n\r\n" % port
        )

    async def scenario(one: Any) -> None:
        answer = await one.get("3", "/here")
        assert fields_of(answer)[b"location"] == b"/there"

    proxied(scenario, raw=handle, prefix="/base")


def test_host_is_set_where_that_is_asked_for(proxied: Any) -> None:
    """`host`: the upstream's own, or a given one."""

    async def scenario(one: Any) -> None:
        answer = await one.get("3")
        seen.append(fields_of(answer)[b"x-seen-host"])

    seen: list[bytes] = []
    proxied(scenario, app=echo, settings=ProxySettings(host="upstream"))
    proxied(scenario, app=echo, settings=ProxySettings(host="inner.example"))
    assert seen[0].startswith(b"127.0.0.1:")
    assert seen[1] == b"inner.example"


def test_a_circle_ends(proxied: Any) -> None:
    """A proxy that leads back to itself answers 508 when the request has gone round often enough."""

    async def scenario(one: Any) -> None:
        one.proxy.upstreams.members[0].connections.upstream = parse_upstream_of(one)
        answer = await one.get("3", headers=[(b"via", b", ".join([b"1.1 x"] * 20))])
        assert answer.status == 508

    def parse_upstream_of(one: Any) -> Any:
        from h3push.proxy.upstream import parse_upstream

        return parse_upstream(f"localhost:{one.port}")

    proxied(scenario, app=echo)


# what goes with a page

PAGE = b'<html><head><link rel="stylesheet" href="/a.css"><script src="/b.js"></script></head><body>hello</body></html>'
FILES = {
    "/": (b"text/html", PAGE),
    "/a.css": (b"text/css", b"body{background:url(/bg.png)}"),
    "/b.js": (b"text/javascript", b"1"),
}


async def site(scope: Any, receive: Any, send: Any) -> None:
    """A site that knows nothing of pushes."""
    kind, body = FILES.get(scope["path"], (b"image/png", b"png"))
    headers = [(b"content-type", kind)]
    if b"gzip" in dict(scope["headers"]).get(b"accept-encoding", b""):
        body = gzip.compress(body)
        headers.append((b"content-encoding", b"gzip"))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.mark.parametrize("coding", [b"identity", b"gzip"])
def test_what_a_page_names_is_pushed_while_it_passes(proxied: Any, coding: bytes) -> None:
    """The first time, what the page itself names; from then on what its style sheets name too. Compressed pages as well."""

    async def scenario(one: Any) -> None:
        headers = [(b"accept-encoding", coding)]
        first = await one.get("3", pushes=True, headers=headers)
        assert first.pushed == ["/a.css", "/b.js"]
        second = await one.get("3", pushes=True, headers=headers)
        assert second.pushed == ["/a.css", "/b.js", "/bg.png"]

    proxied(scenario, app=site)


def test_browsers_get_early_hints_for_a_page_that_is_known(proxied: Any) -> None:
    """A client that takes no pushes gets 103 before the upstream has answered."""

    async def scenario(one: Any) -> None:
        await one.get("2")
        answer = await one.get("2")
        assert [value.partition(";")[0] for value in answer.hints] == ["</a.css>", "</b.js>"]

    proxied(scenario, app=site)


def test_preloads_and_hints_of_the_upstream_are_pushed(proxied: Any) -> None:
    """Link: rel=preload in a response, and in a 103, are pushes for a client that takes them."""
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </early.css>; rel=preload; as=style\r\n\r\n"
    late = whole(fields=b"Link: </late.css>; rel=preload; as=style\r\n")

    async def handle(reader: Any, writer: Any) -> None:
        while head := await read_head(reader):
            writer.write(early + late if head.startswith(b"GET / ") else whole())

    async def scenario(one: Any) -> None:
        answer = await one.get("3", pushes=True)
        assert answer.pushed == ["/early.css", "/late.css"]
        assert [value.partition(";")[0] for value in (await one.get("2")).hints] == ["</early.css>"]

    proxied(scenario, raw=handle)


@pytest.mark.parametrize(
    "field",
    [b"Cache-Control: private\r\n", b"Set-Cookie: a=1\r\n", b"Vary: Cookie\r\n", b"Cache-Control: no-store\r\n"],
)
def test_a_page_for_one_person_is_not_remembered(proxied: Any, field: bytes) -> None:
    """What a person's own page names may tell of that person: it is pushed to nobody else."""
    page = b'<link rel="stylesheet" href="/a.css">'

    async def handle(reader: Any, writer: Any) -> None:
        while head := await read_head(reader):
            own = b"Content-Type: text/html\r\n" + field
            writer.write(whole(page, own) if head.startswith(b"GET / ") else whole())

    async def scenario(one: Any) -> None:
        assert (await one.get("3", pushes=True)).pushed == ["/a.css"]
        assert not one.proxy.passages.is_page("/")

    proxied(scenario, raw=handle)


def test_what_is_not_there_is_not_promised(proxied: Any) -> None:
    """A path that the upstream answered with 404 is not pushed again, until it is there."""

    async def missing(scope: Any, receive: Any, send: Any) -> None:
        there = scope["path"] == "/" or present
        status, kind, body = (200, b"text/html", PAGE) if there else (404, b"text/plain", b"")
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind)]})
        await send({"type": "http.response.body", "body": body})

    present = False

    async def scenario(one: Any) -> None:
        nonlocal present
        assert (await one.get("3", "/b.js")).status == 404
        assert (await one.get("3", pushes=True)).pushed == ["/a.css"]
        present = True
        assert (await one.get("3", "/b.js")).status == 200
        assert "/b.js" in (await one.get("3", pushes=True)).pushed

    proxied(scenario, app=missing)


# HTTP/2 behind


def test_an_upstream_of_http2(proxied: Any, certificates: Any) -> None:
    """Requests, contents and trailers over one connection of HTTP/2, at once."""
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    async def scenario(_one: Any) -> None:
        import socket

        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        config = Config()
        config.bind = [f"127.0.0.1:{port}"]
        config.accesslog = config.errorlog = None
        over = asyncio.Event()
        server = asyncio.create_task(serve(echo, config, shutdown_trigger=over.wait))  # type: ignore[arg-type]
        _one.proxy.upstreams.members[:] = upstreams_of(f"h2c://127.0.0.1:{port}").members
        bodies = [bytes([number]) * 200_000 for number in range(20)]
        async with asyncio.timeout(20):
            while (await _one.get("3")).status != 200:  # noqa: ASYNC110 - it is not listening yet
                await asyncio.sleep(0.01)
            answers = await asyncio.gather(*(_one.get("3", method="POST", content=body) for body in bodies))
        assert [answer.content for answer in answers] == bodies
        assert fields_of(answers[0])[b"via"] == b"2 h3push"
        assert len(_one.proxy.upstreams.members[0].connections._open) == 1
        await _one.proxy.upstreams.close()
        over.set()
        await server

    def upstreams_of(address: str) -> Any:
        from h3push.proxy.settings import UpstreamSettings
        from h3push.proxy.upstream import parse_upstream
        from h3push.proxy.upstreams import Upstreams

        return Upstreams([parse_upstream(address)], UpstreamSettings(fail_timeout=0.0))

    proxied(scenario, app=echo)
