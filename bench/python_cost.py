"""Measure what a request or a push costs in Python alone: the real server on a driver that does nothing.

No packets, no TLS, no system calls, so it shows what a change to the Python side is worth; `make bench` measures the whole.
Printed is the CPU of this process, best of many rounds. `--profile` adds where it goes (which makes everything slower).
"""

import argparse
import asyncio
import cProfile
import pstats
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from h3push import Request, Response, _quic, serve
from h3push.asgi.handler import ASGIHandler
from h3push.files.directory import Directory
from h3push.files.handler import DirectoryHandler
from h3push.runtime.endpoint import Endpoint
from h3push.server.runner import Handler
from h3push.wire.frames import encode_frame, encode_single_varint
from h3push.wire.qpack import FieldEncoder
from h3push.wire.registry import FrameType
from h3push.wire.varint import VARINT_MAX

ROUNDS = 40
WAKE_UPS = 40
"""In each round."""
PUSHES = 20
CONNECTION = 1
BODY = b"k" * 1024
HEADERS = {"content-type": "text/plain"}

WHAT = {
    "request": "the same request again and again, a plain function answers it with 1 KB",
    "distinct": "the same, no two requests alike",
    "push": f"a page with {PUSHES} pushes of 1 KB",
    "at_hand": "the same, their responses given with the promises",
    "asgi": "an ASGI application that says hello",
    "static": "a file of 1 KB",
    "site": f"a page of a directory, and the {PUSHES} files of 1 KB that it names, pushed",
}


class Nothing:
    """A driver that takes everything and does nothing."""

    def __init__(self) -> None:
        self.opened: list[int] = []

    def __getattr__(self, _name: str) -> Callable[..., Any]:
        return lambda *_, **__: None

    def flush(self) -> tuple[None, bool]:
        return None, False

    def pending(self) -> bool:
        return False

    def local_address(self) -> tuple[str, int]:
        return "127.0.0.1", 443

    def info(self, _connection: int) -> dict[str, object]:
        return {"alpn": b"h3", "cipher_suite": 4865, "server_name": "localhost", "peer_certificates": []}

    def open(self, _connection: int, _unidirectional: bool) -> int:
        self.opened.append(4 * len(self.opened) + 3)
        return self.opened[-1]

    def stream_credit(self, _connection: int, _unidirectional: bool, wanted: int) -> int:
        return wanted

    def write(self, _connection: int, _stream: int, _data: bytes, _fin: bool) -> int:
        return 0

    def send_stream(self, _connection: int, _priority: int, _data: bytes) -> int:
        self.opened.append(4 * len(self.opened) + 3)
        return self.opened[-1]

    def set_priority(self, _connection: int, _stream: int, _priority: int) -> None:
        pass


PATHS = {"push": b"/page", "at_hand": b"/at_hand", "site": b"/site.html"}
"""Pages: everything else asks for 1 KB."""
AT_HAND = Response(200, HEADERS, BODY)


def respond(request: Request) -> Response:
    """The plain function."""
    if request.path == "/page":
        for _ in range(PUSHES):
            request.push_nowait("/1k")
    elif request.path == "/at_hand":
        for _ in range(PUSHES):
            request.push_nowait("/1k", response=AT_HAND)
    return Response(200, HEADERS, BODY)


async def hello(_scope: Any, _receive: Any, send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
    """The application."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"hello"})


def handler_of(what: str, folder: Path) -> Handler:
    """The handler that answers."""
    if what == "asgi":
        return ASGIHandler(hello)
    if what == "static":
        (folder / "1k").write_bytes(BODY)
        return DirectoryHandler(Directory(folder), scan_settings=None)
    if what == "site":
        for number in range(PUSHES):
            (folder / f"{number}.js").write_bytes(BODY)
        names = "".join(f"<script defer src=/{number}.js></script>" for number in range(PUSHES))
        (folder / "site").with_suffix(".html").write_text(f"<!doctype html><title>site</title>{names}")
        return DirectoryHandler(Directory(folder))
    return respond


def requests(what: str) -> Iterator[tuple[int, bytes]]:
    """Streams, and the HEADERS frame on each."""
    path = PATHS.get(what, b"/1k")
    fields = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"localhost"), (b":path", path)]
    fields.append((b"user-agent", b"load"))
    stream = 0
    while True:
        more = [(b"x-number", b"%d" % stream)] if what == "distinct" else []
        yield stream, encode_frame(FrameType.HEADERS, FieldEncoder(0).encode(0, fields + more)[1])
        stream += 4


async def wake_up(endpoint: Endpoint, driver: Nothing, batch: list[tuple[int, bytes]]) -> None:
    """The requests arrive, what they lead to is done, and the client acknowledges it."""
    before = len(driver.opened)
    endpoint._dispatch([(_quic.DATA, CONNECTION, stream, data, True) for stream, data in batch])
    endpoint.flush()
    for _ in range(3):
        await asyncio.sleep(0)
    sent = [stream for stream, _ in batch] + driver.opened[before:]
    endpoint._dispatch([(_quic.ACKED, CONNECTION, stream) for stream in sent])
    endpoint.flush()


async def measure(what: str, rounds: int, profile: cProfile.Profile | None) -> float:
    """Seconds of CPU for one request, the best round."""
    driver = Nothing()
    with tempfile.TemporaryDirectory() as folder:
        server = serve(handler_of(what, Path(folder)), driver=driver)
        await server.open()
        [endpoint] = server._endpoints
        endpoint._dispatch([(_quic.ACCEPTED, CONNECTION, ("127.0.0.1", 1))])
        endpoint._dispatch([(_quic.CONNECTED, CONNECTION, False)])
        settings = b"\x00" + encode_frame(FrameType.SETTINGS, b"")
        allowed = encode_single_varint(FrameType.MAX_PUSH_ID, VARINT_MAX)
        endpoint._dispatch([(_quic.DATA, CONNECTION, 2, settings + allowed, False)])
        pushes = PUSHES if what in PATHS else 0
        arriving, size, best = requests(what), 1 if what == "site" else 3 if pushes else 50, float("inf")
        for _ in range(rounds):
            batches = [[next(arriving) for _ in range(size)] for _ in range(WAKE_UPS)]
            if profile is not None:
                profile.enable()
            began = time.process_time()
            for batch in batches:
                await wake_up(endpoint, driver, batch)
                for connection in server._connections:
                    connection.tied.clear()  # the client has nothing yet, as on a new connection
            best = min(best, (time.process_time() - began) / WAKE_UPS / size)
            if profile is not None:
                profile.disable()
        answered = server.counters.requests + server.counters.pushes_fulfilled
        assert answered == rounds * WAKE_UPS * size * (1 + pushes), server.counters
    return best


def main() -> None:
    choices = "; ".join(f"{name}: {meaning}" for name, meaning in WHAT.items())
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], epilog=choices)
    parser.add_argument("what", nargs="*", metavar="WHAT", help="all, if none is named")
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, help="how many; the best one counts (default: %(default)s)"
    )
    parser.add_argument("--profile", action="store_true", help="print where the time goes")
    arguments = parser.parse_args()
    for unknown in set(arguments.what) - set(WHAT):
        parser.error(f"{unknown} is not one of {', '.join(WHAT)}")
    for what in arguments.what or WHAT:
        profile = cProfile.Profile() if arguments.profile else None
        seconds = asyncio.run(measure(what, arguments.rounds, profile))
        print(f"{what:10} {seconds * 1e6:8.2f} us   {WHAT[what]}")
        if profile is not None:
            pstats.Stats(profile).sort_stats("tottime").print_stats(40)


if __name__ == "__main__":
    main()
