"""The blocking transport, anyio, and servers that die: on loopback sockets."""

import asyncio
import socket
import ssl
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import anyio
import httpx
import httpx2
import pytest

import h3push
from h3push.httpx import AsyncTransport, Transport
from h3push.server.certificates import development_certificates

BOTH = pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
RESOURCES = [f"/r{number}.css" for number in range(20)]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return development_certificates(tmp_path_factory.mktemp("certificates"), ["localhost"])


class Site:
    def __init__(self):
        self.log = []

    async def __call__(self, request):
        if request.push_id is None:
            self.log.append(request.path)
        if request.path == "/":
            for path in RESOURCES:
                await request.push(path)
            return h3push.Response(200, {}, b"page")
        if request.path == "/echo":
            return h3push.Response(200, {}, await request.read())
        return h3push.Response(200, {}, request.path.encode() * 100)


@contextmanager
def served(certificates, site, port=0):
    """A server in a thread of its own; gives its port, and a function that kills it."""
    began = threading.Event()
    place = {}

    async def main():
        server = h3push.serve(site, "127.0.0.1", port, certfile=certificates.certfile, keyfile=certificates.keyfile)
        async with server:
            place.update(port=server.address[1], loop=asyncio.get_running_loop(), end=asyncio.Event())
            began.set()
            await place["end"].wait()

    thread = threading.Thread(target=asyncio.run, args=(main(),), daemon=True)
    thread.start()
    assert began.wait(10)
    try:
        yield place["port"]
    finally:
        place["loop"].call_soon_threadsafe(place["end"].set)
        thread.join(10)


@BOTH
def test_the_blocking_transport_takes_pushes_too(library, certificates):
    """A page of twenty resources: one request goes out."""
    site = Site()
    with served(certificates, site) as port, library.Client(
        transport=Transport(verify=str(certificates.cafile), fallback=False), base_url=f"https://localhost:{port}"
    ) as client:  # fmt: skip
        page = client.get("/")
        assert [promise.path for promise in page.extensions["pushes"]] == RESOURCES
        for path in RESOURCES:
            answer = client.get(path)
            assert answer.content == path.encode() * 100
            assert answer.extensions["pushed"]
    assert site.log == ["/"]


@BOTH
def test_the_blocking_transport_streams_and_is_used_from_threads(library, certificates):
    """Content from a generator, content piece by piece, many threads at once."""
    with served(certificates, Site()) as port, library.Client(
        transport=Transport(verify=str(certificates.cafile), fallback=False), base_url=f"https://localhost:{port}"
    ) as client:  # fmt: skip
        assert client.post("/echo", content=(b"%d" % number for number in range(3))).content == b"012"
        with client.stream("GET", "/r1.css") as response:
            assert b"".join(response.iter_bytes()) == b"/r1.css" * 100
        with ThreadPoolExecutor(10) as threads:
            answers = list(threads.map(lambda number: client.get(f"/{number}").content, range(50)))
        assert answers == [f"/{number}".encode() * 100 for number in range(50)]


SERVER = """
import asyncio, sys, h3push

async def pieces():
    while True:
        yield b"x" * 1000
        await asyncio.sleep(0.05)

async def site(request):
    if request.path == "/endless":
        return h3push.Response(200, {"content-length": "1000000"}, pieces())
    if request.path == "/endless-of-unknown-length":
        return h3push.Response(200, {}, pieces())
    if request.path.startswith("/in-parts"):
        return h3push.Response(200, {}, parts(request.path))
    return h3push.Response(200, {}, request.path.encode() * 100)

async def parts(path):
    for _ in range(5):
        yield path.encode() * 200
        await asyncio.sleep(0.1)

async def main(port, certfile, keyfile):
    async with h3push.serve(site, "127.0.0.1", int(port), certfile=certfile, keyfile=keyfile) as server:
        print(server.address[1], flush=True)
        await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""


@contextmanager
def process(certificates, port=0):
    """A server in a process of its own, killed at the end."""
    command = [sys.executable, "-c", SERVER, str(port), str(certificates.certfile), str(certificates.keyfile)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield int(server.stdout.readline()), server
        finally:
            server.kill()


def read_and_kill(client, url, server):
    """Read an answer, and kill its server in the middle."""
    with client.stream("GET", url) as some:
        received = 0
        for piece in some.iter_raw():
            received += len(piece)
            if received > 3_000:
                server.kill()


@BOTH
def test_a_server_that_is_killed_and_restarted_gives_errors_or_answers_and_never_a_short_body(library, certificates):
    """Within seconds. The body that was under way raises."""
    transport = Transport(verify=str(certificates.cafile), fallback=False)
    with library.Client(transport=transport, timeout=2) as client:
        with process(certificates) as (port, server):
            assert client.get(f"https://localhost:{port}/a").content == b"/a" * 100
            with pytest.raises(library.TransportError):
                read_and_kill(client, f"https://localhost:{port}/endless", server)
        began = time.monotonic()
        with pytest.raises(library.TransportError):
            client.get(f"https://localhost:{port}/b")
        with process(certificates, port):
            while True:
                try:
                    assert client.get(f"https://localhost:{port}/c").content == b"/c" * 100
                    break
                except library.TransportError:
                    assert time.monotonic() - began < 20


async def answers(whole):
    """Wait for a hundred answers that begin to count now."""
    while not whole.empty():
        whole.get_nowait()
    async with asyncio.timeout(40):
        for _ in range(100):
            await whole.get()


@BOTH
def test_a_hundred_at_once_through_two_crashes_get_whole_bodies_or_errors(library, certificates):
    """Content of unknown length, cut by SIGKILL: it raises. All that is called an answer is one, before, during and after."""
    late = []

    async def ask(client, port, number, whole, end):
        while not end.is_set():
            path = f"/in-parts-{number}"
            began = time.monotonic()
            try:
                content = (await client.get(f"https://localhost:{port}{path}")).content
            except library.TransportError:
                await asyncio.sleep(0.2)
            else:
                assert content == path.encode() * 1000
                whole.put_nowait(number)
            late.append(time.monotonic() - began)

    async def cut_off(client, port, server):
        async with client.stream("GET", f"https://localhost:{port}/endless-of-unknown-length") as some:
            async for _ in some.aiter_raw():
                server.kill()

    async def main():
        transport = AsyncTransport(verify=str(certificates.cafile), fallback=False)
        whole, end = asyncio.Queue(), asyncio.Event()
        limits = library.Limits(max_connections=None)
        async with library.AsyncClient(transport=transport, timeout=3, limits=limits) as client:
            with process(certificates) as (port, server):
                tasks = [asyncio.create_task(ask(client, port, number, whole, end)) for number in range(100)]
                await answers(whole)
                assert len(transport._sender.pool.connections) == 1
                with pytest.raises(library.TransportError):
                    await cut_off(client, port, server)
            with process(certificates, port) as (_, server):
                await answers(whole)
                with pytest.raises(library.TransportError):
                    await cut_off(client, port, server)
            with process(certificates, port):
                await answers(whole)
                end.set()
                await asyncio.gather(*tasks)

    asyncio.run(main())
    assert max(late) < 20


@BOTH
def test_the_library_itself_takes_over_when_nobody_listens_on_udp(library, certificates):
    """By default, and with the same authorities."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.certfile, certificates.keyfile)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def answer():
            connection, _ = listener.accept()
            with context.wrap_socket(connection, server_side=True) as secure:
                secure.recv(4096)
                secure.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\ntcp")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        with library.Client(transport=Transport(verify=str(certificates.cafile))) as client:
            answered = client.get(f"https://localhost:{port}/")
        assert (answered.content, answered.http_version) == (b"tcp", "HTTP/1.1")
        thread.join(5)


@BOTH
def test_a_certificate_that_is_not_trusted_is_an_error_and_no_reason_for_another_way(library, certificates):
    """TCP would fail for the same reason, or worse, would not."""
    with (
        served(certificates, Site()) as port,
        library.Client(transport=Transport()) as client,
        pytest.raises(library.ConnectError, match="certificate"),
    ):
        client.get(f"https://localhost:{port}/")


def test_anyio_on_asyncio_works(certificates):
    """A program in anyio's words, on the event loop of asyncio."""
    site = Site()

    async def main(port):
        transport = AsyncTransport(verify=str(certificates.cafile), fallback=False)
        async with httpx2.AsyncClient(transport=transport, base_url=f"https://localhost:{port}") as client:
            await client.get("/")
            with anyio.fail_after(10):
                async with anyio.create_task_group() as group:
                    for path in RESOURCES:
                        group.start_soon(client.get, path)

    with served(certificates, site) as port:
        anyio.run(main, port, backend="asyncio")
    assert site.log == ["/"]


def test_one_get(certificates):
    """`h3push.get` and `h3push.Client` are httpx2's."""
    with served(certificates, Site()) as port:
        cafile = str(certificates.cafile)
        answer = h3push.get(f"https://localhost:{port}/a", verify=cafile, fallback=False)
        assert isinstance(answer, httpx2.Response)
        assert (answer.content, answer.http_version) == (b"/a" * 100, "HTTP/3")
        with h3push.Client(verify=cafile, base_url=f"https://localhost:{port}") as client:
            client.get("/")
            assert client.get(RESOURCES[0]).extensions["pushed"]
            assert client.push_stats.claimed == 1


def test_a_closed_transport_says_so_and_ends_its_thread(certificates):
    """A response that is closed after its client does no harm, and no thread is left."""
    with served(certificates, Site()) as port:
        transport = Transport(verify=str(certificates.cafile), fallback=False)
        client = httpx.Client(transport=transport)
        response = client.send(client.build_request("GET", f"https://localhost:{port}/a"), stream=True)
        client.close()
        response.close()
        with pytest.raises(RuntimeError, match="closed"):
            transport.handle_request(httpx.Request("GET", f"https://localhost:{port}/a"))
    assert "h3push" not in {thread.name for thread in threading.enumerate()}
