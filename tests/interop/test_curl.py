"""curl (libcurl with ngtcp2 and nghttp3, as curl_cffi ships it) against our server, over HTTP/3 and nothing else."""

import asyncio
from pathlib import Path

import pytest
from curl_cffi.requests import AsyncSession
from curl_cffi.requests.exceptions import RequestException

import h3push
from h3push.server.certificates import DevelopmentCertificates, development_certificates

from .harness import MEGABYTE, content, our_server, run

HTTP3 = 30
"""CURLINFO_HTTP_VERSION of HTTP/3."""


async def answer(request: h3push.Request) -> h3push.Response:
    """`/bytes/N` is N bytes, `/hop/N` redirects N times, `/hints` has two 103 before; everything else echoes."""
    head = {"x-method": request.method, "x-path": request.path}
    kind, _, number = request.path.removeprefix("/").partition("/")
    if kind == "hints":
        await request.send_informational(103, {"link": "</a.css>; rel=preload"})
        await request.send_informational(103, {"link": "</b.css>; rel=preload"})
    if kind == "bytes":
        return h3push.Response(200, head, content(request.path, int(number)))
    if kind == "hop":
        target = f"/hop/{int(number) - 1}" if int(number) > 1 else "/bytes/5"
        return h3push.Response(302, {"location": target})
    if kind == "page":
        await request.push("/bytes/10")
    if kind == "trailers":
        return h3push.Response(200, head, b"content", trailers={"x-sum": "42"})
    return h3push.Response(200, head, await request.read())


class Session(AsyncSession[object]):
    """curl that takes HTTP/3 only, and our authority only."""

    def __init__(self, certificates: DevelopmentCertificates, server: h3push.Server) -> None:
        super().__init__(
            verify=str(certificates.cafile),
            http_version="v3only",
            timeout=20,
            trust_env=False,
            max_clients=200,
        )
        self.origin = f"https://localhost:{server.address[1]}"


def test_get_post_and_head(certificates: DevelopmentCertificates) -> None:
    async def scenario() -> None:
        async with our_server(certificates, answer) as server, Session(certificates, server) as curl:
            got = await curl.get(f"{curl.origin}/a%20b?c=%C3%A9")
            assert (got.status_code, got.http_version, got.content) == (200, HTTP3, b"")
            assert got.headers["x-path"] == "/a%20b?c=%C3%A9"
            posted = await curl.post(curl.origin, data=content("upload", 100_000))
            assert (posted.headers["x-method"], posted.content) == ("POST", content("upload", 100_000))
            put = await curl.put(curl.origin, data=b"")
            assert (put.status_code, put.headers["x-method"]) == (200, "PUT")
            head = await curl.head(f"{curl.origin}/bytes/1000")
            assert (head.status_code, head.headers["content-length"], head.content) == (200, "1000", b"")

    run(scenario)


@pytest.mark.parametrize("size", [0, 1, 16_384, 10 * MEGABYTE])
def test_content_of_any_size(certificates: DevelopmentCertificates, size: int) -> None:
    async def scenario() -> None:
        async with our_server(certificates, answer) as server, Session(certificates, server) as curl:
            got = await curl.get(f"{curl.origin}/bytes/{size}")
            assert got.content == content(f"/bytes/{size}", size)

    run(scenario)


def test_ten_megabytes_up(certificates: DevelopmentCertificates) -> None:
    async def scenario() -> None:
        data = content("upload", 10 * MEGABYTE)
        async with our_server(certificates, answer) as server, Session(certificates, server) as curl:
            posted = await curl.post(f"{curl.origin}/echo", data=data)
            assert posted.content == data

    run(scenario)


def test_many_at_once(certificates: DevelopmentCertificates) -> None:
    """150 at the same time; curl shares connections among them or opens further ones as it likes."""

    async def scenario() -> None:
        async with our_server(certificates, answer) as server, Session(certificates, server) as curl:
            sizes = [number * 97 for number in range(150)]
            responses = await asyncio.gather(*(curl.get(f"{curl.origin}/bytes/{size}") for size in sizes))
            for size, response in zip(sizes, responses, strict=True):
                assert response.content == content(f"/bytes/{size}", size)
                assert response.http_version == HTTP3
            assert server.counters.requests == 150
            assert server.counters.rejected == 0

    run(scenario)


def test_a_connection_is_used_again(certificates: DevelopmentCertificates) -> None:
    async def scenario() -> None:
        async with our_server(certificates, answer) as server, Session(certificates, server) as curl:
            for number in range(5):
                assert (await curl.get(f"{curl.origin}/bytes/{number}")).status_code == 200
            assert server.counters.connections == 1

    run(scenario)


def test_redirects(certificates: DevelopmentCertificates) -> None:
    async def scenario() -> None:
        async with our_server(certificates, answer) as server, Session(certificates, server) as curl:
            got = await curl.get(f"{curl.origin}/hop/3")
            assert (got.status_code, got.redirect_count, got.url) == (200, 3, f"{curl.origin}/bytes/5")
            assert got.content == content("/bytes/5", 5)
            seen = await curl.get(f"{curl.origin}/hop/3", allow_redirects=False)
            assert (seen.status_code, seen.headers["location"]) == (302, "/hop/2")

    run(scenario)


def test_early_hints_and_trailers(certificates: DevelopmentCertificates) -> None:
    """It reads past 103, and takes trailers without harm."""

    async def scenario() -> None:
        async with our_server(certificates, answer) as server, Session(certificates, server) as curl:
            hinted = await curl.get(f"{curl.origin}/hints")
            assert (hinted.status_code, hinted.content) == (200, b"")
            trailed = await curl.get(f"{curl.origin}/trailers")
            assert (trailed.status_code, trailed.content) == (200, b"content")

    run(scenario)


def test_nothing_is_pushed(certificates: DevelopmentCertificates) -> None:
    """It sends no MAX_PUSH_ID: the push is refused here, counted, and it sees an ordinary page."""

    async def scenario() -> None:
        async with our_server(certificates, answer) as server, Session(certificates, server) as curl:
            assert (await curl.get(f"{curl.origin}/page")).status_code == 200
            assert (server.counters.pushes, server.counters.pushes_refused) == (0, 1)

    run(scenario)


def test_an_authority_that_curl_does_not_know(certificates: DevelopmentCertificates, tmp_path: Path) -> None:
    """It checks our certificate: with another authority there is no connection."""
    other = development_certificates(tmp_path)

    async def scenario() -> None:
        async with our_server(certificates, answer) as server, Session(other, server) as curl:
            with pytest.raises(RequestException, match=r"(?i)certificate|SSL"):
                await curl.get(curl.origin)
            assert server.counters.connections == 0

    run(scenario)


def test_a_response_given_up(certificates: DevelopmentCertificates) -> None:
    """It gives up a response in mid-content, after a time-out of its own: the handler is told.

    Closing a streamed response would not do: curl_cffi 0.16 then waits for the end of what it should stop.
    """
    told = asyncio.Event()

    async def handler(request: h3push.Request) -> None:
        await request.start_response(200)
        await request.send(b"a beginning")
        try:
            await request.wait_disconnected()
        finally:
            told.set()

    async def scenario() -> None:
        async with our_server(certificates, handler) as server, Session(certificates, server) as curl:
            with pytest.raises(RequestException, match="timed out"):
                await curl.get(curl.origin, timeout=0.3)
            await told.wait()

    run(scenario)
