"""Over real UDP sockets on the loopback: what virtual time cannot show."""

import asyncio
import resource
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import pytest

import h3push
from h3push import _quic
from h3push.quic.adapter import Driver, SocketDriver
from h3push.runtime.endpoint import Endpoint

from .harness import IDENTITY, client_tls, server_tls

T = TypeVar("T")
MEGABYTE = 1024 * 1024


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run `main`; whatever reaches the loop's exception handler fails the test."""
    complaints: list[dict[str, Any]] = []

    async def guarded() -> T:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
        result = await main
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return result

    result = asyncio.run(guarded(), debug=False)
    assert complaints == []
    return result


def start(handler: h3push.Handler, **options: Any) -> h3push.Server:
    return h3push.serve(handler, port=0, tls=server_tls(), **options)


def reach(server: h3push.Server, **options: Any) -> h3push.ClientConnection:
    options.setdefault("tls", client_tls())
    return h3push.connect(f"https://127.0.0.1:{server.address[1]}/", **options)


def page(request: h3push.Request) -> h3push.Response:
    if request.path == "/":
        request.push_nowait("/pushed")
    return h3push.Response(content=request.path)


@pytest.mark.parametrize("io", ["loop", "thread"])
def test_requests_and_pushes(io: Literal["loop", "thread"]) -> None:
    async def main() -> None:
        async with start(page, io=io) as server, reach(server, io=io, max_pushes=3) as client:
            for _ in range(20):
                async with await client.get("/") as response:
                    assert [await (await push.response()).read() async for push in response.pushes()] == [b"/pushed"]
                    assert await response.read() == b"/"
            assert client.info["alpn"] == b"h3"
            assert client.stats["rtt"] < 1
            while server.counters.pushes_fulfilled < 20:  # noqa: ASYNC110 - the last one is acknowledged soon, or `run` gives up
                await asyncio.sleep(0.01)

    run(main())


@pytest.mark.parametrize("io", ["loop", "thread"])
def test_a_hundred_megabytes_each_way_are_never_held(io: Literal["loop", "thread"]) -> None:
    size = 100 * MEGABYTE

    async def content() -> AsyncIterator[bytes]:
        piece = bytes(64 * 1024)
        for _ in range(size // len(piece)):
            yield piece

    async def handler(request: h3push.Request) -> h3push.Response:
        received = 0
        async for chunk in request.stream():
            received += len(chunk)
        return h3push.Response(200, {"received": str(received)}, content())

    async def main() -> int:
        async with start(handler, io=io) as server, reach(server, io=io) as client:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            async with await client.post("/", content=content()) as response:
                assert response.headers["received"] == str(size)
                received = 0
                async for chunk in response.stream():
                    received += len(chunk)
                assert received == size
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before

    assert run(main()) < 60 * 1024  # KiB; both ends, their windows and buffers


def test_a_file_of_a_hundred_megabytes_is_pushed(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(100 * MEGABYTE)

    def handler(request: h3push.Request) -> h3push.Response:
        if request.path == "/":
            request.push_nowait("/large")
            return h3push.Response()
        return h3push.Response(content=h3push.FileContent(path))

    async def main() -> int:
        received = 0
        async with start(handler) as server, reach(server, max_pushes=1) as client:
            response = await client.get("/")
            async for push in response.pushes():
                async for chunk in (await push.response()).stream():
                    received += len(chunk)
        return received

    assert run(main()) == 100 * MEGABYTE


def test_sessions_are_resumed_with_the_same_tls_object() -> None:
    async def main() -> list[object]:
        tls = client_tls()
        resumed = []
        async with start(page) as server:
            for _ in range(2):
                async with reach(server, tls=tls) as client:
                    await (await client.get("/x")).read()
                    resumed.append(client.info["resumed"])
        return resumed

    assert run(main()) == [False, True]


def test_the_key_log_file_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    authority = tmp_path / "ca.pem"
    authority.write_bytes(IDENTITY.authority)

    async def main() -> None:
        async with start(page) as server, reach(server, tls=None, cafile=authority) as client:
            await (await client.get("/x")).read()

    run(main())
    assert "CLIENT_TRAFFIC_SECRET_0" in (tmp_path / "keys").read_text()


def test_certificate_files(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_bytes(IDENTITY.certificate)
    (tmp_path / "key.pem").write_bytes(IDENTITY.key)

    async def main() -> int:
        server = h3push.serve(page, port=0, certfile=tmp_path / "cert.pem", keyfile=tmp_path / "key.pem")
        async with server, reach(server, tls=None, verify=False) as client:
            return (await client.get("/x")).status

    assert run(main()) == 200
    with pytest.raises(ValueError, match=r"cannot read the certificate .*none\.pem"):
        h3push.serve(page, certfile=tmp_path / "none.pem", keyfile=tmp_path / "key.pem")
    with pytest.raises(ValueError, match="needs a certificate"):
        h3push.serve(page)
    with pytest.raises(ValueError, match=r"."):
        h3push.serve(page, certfile=tmp_path / "key.pem", keyfile=tmp_path / "key.pem")
    with pytest.raises(ValueError, match="cannot read the authorities"):
        h3push.connect("https://x/", cafile=tmp_path / "none.pem")


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_nobody_listening_is_known_at_once() -> None:
    async def main(host: str) -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(h3push.ConnectFailed, match="refused the connection"):
            await h3push.connect(f"https://{host}:{_free_port()}/", verify=False).open()
        return loop.time() - began

    assert run(main("127.0.0.1")) < 2
    assert run(main("localhost")) < 2


def test_somebody_who_speaks_no_quic_does_not_answer() -> None:
    async def main() -> None:
        settings = h3push.ClientSettings(connect_timeout=0.3)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            url = f"https://127.0.0.1:{silent.getsockname()[1]}/"
            with pytest.raises(h3push.ConnectFailed, match=r"nothing answers at 127\.0\.0\.1.*within 0\.3 s"):
                await h3push.connect(url, verify=False, settings=settings).open()

    run(main())


def test_the_first_address_that_answers_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> tuple[str, int]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.2", 0))
            port = silent.getsockname()[1]

            async def getaddrinfo(*_: object, **__: object) -> list[Any]:
                return [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", (f"127.0.0.{last}", port)) for last in (2, 1)]

            monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
            server = h3push.serve(page, port=port, tls=server_tls())
            async with server, h3push.connect(f"https://localhost:{port}/", tls=client_tls()) as client:
                await (await client.get("/x")).read()
                return client.session.address

    assert run(main())[0] == "127.0.0.1"


def test_a_port_that_is_taken_is_said() -> None:
    async def main() -> None:
        async with start(page) as server:
            with pytest.raises(OSError, match=rf"cannot listen on 127.0.0.1:{server.address[1]} over UDP"):
                await h3push.serve(page, port=server.address[1], tls=server_tls()).open()

    run(main())


def test_the_server_survives_its_clients_and_garbage() -> None:
    async def main() -> None:
        async with start(page) as server:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as noise:
                for size in (0, 1, 50, 1200):
                    noise.sendto(b"\xc0" * size, server.address)
            clients = [reach(server) for _ in range(20)]
            await asyncio.gather(*(client.open() for client in clients))
            answers = await asyncio.gather(*(client.get(f"/{number}") for number, client in enumerate(clients)))
            assert [await answer.read() for answer in answers] == [f"/{number}".encode() for number in range(20)]
            await asyncio.gather(*(client.close() for client in clients))
            while server.connections:  # noqa: ASYNC110 - the server has no event for it
                await asyncio.sleep(0.01)

    run(main())


def test_the_server_says_when_it_does_not_run() -> None:
    async def main() -> None:
        server = start(page)
        with pytest.raises(RuntimeError, match="does not run"):
            _ = server.address
        with pytest.raises(RuntimeError, match="not connected"):
            await h3push.connect("https://localhost/", verify=False).get("/")
        await server.shutdown()
        await server.wait_closed()

    run(main())


class FullAtFirst:
    """A driver whose socket is full until it is told to be writable; it counts what is asked of it."""

    def __init__(self) -> None:
        self.flushes = 0
        self.full = True
        self.on_writable: list[Callable[[], None]] = []

    def watch(self, _loop: object, _on_readable: object) -> None:
        pass

    def pending(self) -> bool:
        return False

    def watch_writable(self, _loop: object, on_writable: Callable[[], None]) -> None:
        self.on_writable.append(on_writable)

    def flush(self) -> tuple[float | None, int]:
        self.flushes += 1
        assert self.flushes < 100, "it spins"
        return None, _quic.FLUSH_FULL if self.full else _quic.FLUSH_DONE


def test_a_full_socket_is_waited_for_and_not_asked_again() -> None:
    """EAGAIN is no reason to come back at once: the loop tells when there is room (issue 9, point 2)."""

    async def main() -> None:
        driver = FullAtFirst()
        endpoint = Endpoint(cast("Driver", driver))
        endpoint.schedule_flush()
        for _ in range(50):
            await asyncio.sleep(0)
        assert driver.flushes == 1
        driver.full = False
        driver.on_writable.pop()()
        assert driver.flushes == 2
        assert not driver.on_writable

    run(main())


@pytest.mark.parametrize("io", ["loop", "thread"])
def test_a_client_goes_on_after_its_socket_moved(io: Literal["loop", "thread"]) -> None:
    """The connection is not tied to the address it began with, and the loop watches the new socket (issue 9, point 7)."""

    async def main() -> None:
        async with start(page, io=io) as server, reach(server, io=io) as client:
            assert await (await client.get("/before")).read() == b"/before"
            connection = client._session
            assert connection is not None
            driver = connection.endpoint.driver
            before = driver.local_address()
            assert before[0] == "0.0.0.0"
            cast("SocketDriver", driver).rebind()
            assert driver.local_address() != before
            assert await (await client.get("/after")).read() == b"/after"
            assert connection is client._session

    run(main())


@pytest.mark.parametrize("io", ["loop", "thread"])
def test_uploads_that_are_cancelled_cost_no_connection(io: Literal["loop", "thread"]) -> None:
    """Content, its RESET_STREAM and what control streams say share wake-ups: whatever their order, the connection lives."""

    async def handler(request: h3push.Request) -> h3push.Response:
        request.push_nowait("/pushed")
        await request.read()
        return h3push.Response(content=b"ok")

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(20_000)

    async def upload(client: h3push.ClientConnection) -> None:
        task = asyncio.ensure_future(client.post("/", content=endless()))
        await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def main() -> None:
        async with start(handler, io=io) as server, reach(server, max_pushes=8) as client:
            for _ in range(15):
                await asyncio.gather(*(upload(client) for _ in range(4)))
            async with await client.post("/", content=b"end") as response:
                assert await response.read() == b"ok"
            assert server.counters.connections == 1

    run(main())
