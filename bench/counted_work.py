"""Count the work of a fixed workload, by a means that noise does not touch, and compare it with what is stored.

The workload runs client and server in virtual time, on a connection that has been used before: a request with 1 KB of response,
the same with one push of 1 KB, the same with its response given with the promise, a page with 20 of these, a response of 1 MB,
and one of an ASGI application. What `python_cost.py` times is counted too: the server alone, on a driver that does nothing.

Counted are the bytecode instructions and the calls of functions in h3push (those of the standard library differ between patch
releases, and native code is not counted: `make bench` measures it), and what went over the link. The same code counts the same on
every machine with the same version of Python, but for a few octets.

`counted_work.py` compares and exits with 1 when something has become dearer than the tolerance; `--write` stores new figures: do
that, and say why in the commit, when the work is worth its price, or when it has become cheaper. `--since REVISION` compares with
what was stored at that revision.
"""

import argparse
import asyncio
import cProfile
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import FrameType
from typing import Any

import python_cost

import h3push
from h3push import ClientConnection, Request, Response
from h3push.asgi.handler import ASGIHandler
from h3push.lab.emulation import HOST, AccessLink
from h3push.testing import World, in_world

STORED = Path(__file__).resolve().with_suffix(".json")
"""The stored counts, by version of Python."""
TOLERANCE = 0.05
"""Part by which a figure may grow. Small things cost a per cent; a loop in the wrong place costs ten."""
SINCE_TOLERANCE = 0.02
"""The same, of a comparison with a revision."""
REPEAT = {"request": 20, "push": 20, "at_hand": 20, "page": 5, "megabyte": 2, "asgi": 20}
"""Times that each operation is done; what is told is the mean."""
SERVER_ALONE = {"request": 50, "distinct": 50, "push": 3, "at_hand": 3, "asgi": 50}
"""Operations of `python_cost.py`, and its requests in a round; not those with files, which are looked at anew after a second."""
LINK = AccessLink(round_trip=0.02, rate=50_000_000)
PACKAGE = str(Path(h3push.__file__).parent) + os.sep

KILOBYTE = b"k" * 1024
MEGABYTE = b"m" * 1_000_000

AT_HAND = {"/at_hand": 1, "/page": 20}
"""Pages, and how many responses at hand are pushed with each."""
RESOURCE = Response(200, {"content-type": "text/plain"}, KILOBYTE)

Counts = dict[str, dict[str, float]]
"""By operation: opcodes, calls, datagrams, octets."""


async def hello(_scope: Any, _receive: Any, send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
    """The application."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"hello"})


application = ASGIHandler(hello)


def handler(request: Request) -> Response | Awaitable[None]:
    """The server's side."""
    if request.path == "/asgi":
        return application(request)
    if request.path == "/push":
        request.push_nowait("/resource")
    elif request.path in AT_HAND:
        for number in range(AT_HAND[request.path]):
            request.push_nowait(f"/resource/{number}", response=RESOURCE)
    return Response(200, {"content-type": "text/plain"}, MEGABYTE if request.path == "/megabyte" else KILOBYTE)


async def get(client: ClientConnection, path: str) -> None:
    """One response."""
    await (await client.get(path, headers={"accept": "*/*", "user-agent": "counted-work"})).read()


async def get_with_pushes(client: ClientConnection, path: str) -> None:
    """One response, and the pushes that come with it."""
    response = await client.get(path, headers={"accept": "*/*", "user-agent": "counted-work"})
    await response.read()
    async for push in response.pushes():
        await (await push.response()).read()


OPERATIONS: dict[str, Callable[[ClientConnection], Awaitable[None]]] = {
    "request": lambda client: get(client, "/resource"),
    "push": lambda client: get_with_pushes(client, "/push"),
    "at_hand": lambda client: get_with_pushes(client, "/at_hand"),
    "page": lambda client: get_with_pushes(client, "/page"),
    "megabyte": lambda client: get(client, "/megabyte"),
    "asgi": lambda client: get(client, "/asgi"),
}


class Counter:
    """Counts instructions and calls of h3push while it is on."""

    def __init__(self) -> None:
        self.opcodes = 0
        self.calls = 0

    def __enter__(self) -> "Counter":
        sys.settrace(self._call)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _call(self, frame: FrameType, event: str, _: Any) -> Callable[[FrameType, str, Any], Any] | None:
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        self.calls += 1
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        return self._opcode

    def _opcode(self, frame: FrameType, event: str, _: Any) -> Callable[[FrameType, str, Any], Any]:
        if event == "opcode":
            self.opcodes += 1
        return self._opcode


async def count(world: World) -> Counts:
    """Do every operation and count."""
    client, network = world.client, world.network
    counted: Counts = {}
    for operation in OPERATIONS.values():
        await operation(client)
    await asyncio.sleep(1)
    for name, operation in OPERATIONS.items():
        network.capture = []
        times = REPEAT[name]
        with Counter() as counter:
            for _ in range(times):
                await operation(client)
            await asyncio.sleep(0.2)
        counted[name] = {
            "opcodes": counter.opcodes / times,
            "calls": counter.calls / times,
            "datagrams": len(network.capture) / times,
            "octets": sum(datagram.size for datagram in network.capture) / times,
        }
    return counted


class CountedRounds(cProfile.Profile):
    """Stands for the profile of `python_cost.measure`, which switches it on for each round: counts those after the first few."""

    WARM = 4

    def __init__(self, counter: Counter) -> None:
        super().__init__()
        self._counter = counter
        self._rounds = 0

    def enable(self, *_: Any, **__: Any) -> None:
        self._rounds += 1
        if self._rounds > self.WARM:
            self._counter.__enter__()

    def disable(self) -> None:
        self._counter.__exit__()


def count_server() -> Counts:
    """Count the operations of `python_cost.py`, by request."""
    python_cost.WAKE_UPS = 1
    counted: Counts = {}
    for name, size in SERVER_ALONE.items():
        counter = Counter()
        rounds = 12
        asyncio.run(python_cost.measure(name, rounds, CountedRounds(counter)))
        times = (rounds - CountedRounds.WARM) * size
        counted[f"server {name}"] = {"opcodes": counter.opcodes / times, "calls": counter.calls / times}
    return counted


def compare(now: Counts, stored: Counts, tolerance: float = TOLERANCE) -> list[str]:
    """Print both; returns a sentence for each figure that grew beyond the tolerance."""
    dearer = []
    for operation, figures in now.items():
        for what, figure in figures.items():
            before = stored.get(operation, {}).get(what)
            change = "new" if before is None else f"{figure / before - 1:+.1%}"
            print(f"{operation:15} {what:10} {figure:12,.1f}  {change}")
            if before is not None and figure > before * (1 + tolerance):
                dearer.append(f"{operation}: {figure:,.1f} {what}, {change} over the {before:,.1f} that are stored")
    return dearer


def stored_at(revision: str) -> dict[str, Counts]:
    """What was stored at a revision of this repository."""
    name = f"{revision}:./{STORED.name}"
    done = subprocess.run(["git", "show", name], cwd=STORED.parent, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"git does not show {name}: {done.stderr.strip()}")
    at: dict[str, Counts] = json.loads(done.stdout)
    return at


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--write", action="store_true", help="store what is counted")
    choice.add_argument("--since", metavar="REVISION", help="compare with what was stored at a revision, by 2 per cent")
    arguments = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of sets must not decide what happens first
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "PYTHONHASHSEED": "0"})
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    everything: dict[str, Counts] = json.loads(STORED.read_text(encoding="utf-8")) if STORED.exists() else {}
    now = in_world(handler, count, host=HOST, link=LINK.settings(), max_pushes=100) | count_server()
    if arguments.since:
        before = stored_at(arguments.since).get(version, {})
        since = compare({name: now[name] for name in before if name in now}, before, SINCE_TOLERANCE)
        if since or not before:
            raise SystemExit("\n".join(since) or f"nothing was stored for Python {version} at {arguments.since}")
        return
    dearer = compare(now, everything.get(version, {}))
    if arguments.write:
        STORED.write_text(json.dumps({**everything, version: now}, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    elif version not in everything:
        print(f"nothing is stored for Python {version}: compare on another version, or store with --write")
    elif dearer:
        print("\nDearer than before:\n" + "\n".join(dearer))
        print(f"When that is worth it: {Path(sys.argv[0]).name} --write, and the reason in the commit message.")
        sys.exit(1)


if __name__ == "__main__":
    main()
