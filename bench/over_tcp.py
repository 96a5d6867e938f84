"""The third part of `make bench`: what the server does beside HTTP/3 for one client.

HTTP/1.1 and HTTP/2 of `h3push serve` beside uvicorn alone, both with the same application, the same uvicorn and TLS; over HTTP/2
granian too, and beside them the same application over HTTP/3, which is what we would have people pick instead; several workers
beside one; a WebSocket's echo over HTTP/3 beside Hypercorn's. Servers have one core and the client the other, but for the
workers, which have what the machine has.
"""

import argparse
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "peers"))

from report import Target, figure, machine, markdown_table, text_table, write_section
from reverse_proxy import cpu_seconds, free_port
from servers import (
    BINARIES,
    CLIENT_CORE,
    PEERS,
    Running,
    Server,
    Setting,
    compiled_form,
    compiled_python,
    distribution,
    granian,
)

from h3push.server.certificates import DevelopmentCertificates, development_certificates

COMMAND = ["-c", "from h3push.cli import main; main()"]
WORKERS = 4
HTTP2 = "HTTP/2, 10 connections x 5 streams, and 1 x 50 over HTTP/3"
OVER_HTTP3 = "h3push, HTTP/3"
PATIENCE = 60
"""Seconds for a measurement that takes two or three. Hypercorn's WebSocket stands still now and then."""
Measure = Callable[[int, int], tuple[float, float]]
"""Of a port and a process: operations a second, and microseconds of the server's CPU for one."""


def h3push_serve(*flags: str, python: list[str] | None = None) -> Callable[[Setting, int], list[str]]:
    """How `h3push serve` is started with the application of the benchmark."""

    def command(setting: Setting, port: int) -> list[str]:
        files = ["--certfile", str(setting.certificate), "--keyfile", str(setting.key)]
        where = ["--app-dir", str(PEERS), "--host", "127.0.0.1", "--port", str(port), "--no-access-log"]
        return [*(python or [sys.executable]), *COMMAND, "serve", "application:app", *where, *files, *flags]

    return command


def uvicorn_alone(*flags: str) -> Callable[[Setting, int], list[str]]:
    """How uvicorn is started with the same application."""

    def command(setting: Setting, port: int) -> list[str]:
        files = ["--ssl-certfile", str(setting.certificate), "--ssl-keyfile", str(setting.key)]
        where = ["--app-dir", str(PEERS), "--host", "127.0.0.1", "--port", str(port), "--lifespan", "off"]
        return [sys.executable, "-m", "uvicorn", "application:app", *where, "--no-access-log", *files, *flags]

    return command


def h3push_asgi(*python: str) -> Callable[[Setting, int], list[str]]:
    """How h3push is started with the same application over HTTP/3 alone."""

    def command(setting: Setting, port: int) -> list[str]:
        return [*python, str(PEERS / "h3push_asgi.py"), str(port), str(setting.certificate), str(setting.key)]

    return command


def echo_server(script: str) -> Callable[[Setting, int], list[str]]:
    """How the echo is started."""

    def command(setting: Setting, port: int) -> list[str]:
        base = [sys.executable, str(PEERS / script), "websocket_echo", str(port)]
        return [*base, str(setting.certificate), str(setting.key)]

    return command


def over_tcp(requests: int, *flags: str) -> Measure:
    """Requests by h2load."""

    def measure(port: int, pid: int) -> tuple[float, float]:
        url = f"https://127.0.0.1:{port}/hello"
        rate, before = 0.0, 0.0
        for count in (requests // 20, requests):  # the first ones warm it up
            before = whole_cpu_seconds(pid)
            said = on_client_core(["h2load", "-n", str(count), *flags, url])
            if f"{count} succeeded" not in said:
                raise RuntimeError(f"not every request succeeded:\n{said}")
            found = re.search(r"finished in [\d.]+m?s, ([\d.]+) req/s", said)
            assert found
            rate = float(found[1])
        return rate, (whole_cpu_seconds(pid) - before) / requests * 1e6

    return measure


def over_either(tcp: Measure, seconds: float) -> Measure:
    """The same requests by whichever protocol the server at that port has: those with HTTP/3 alone take no TCP connection."""

    def measure(port: int, pid: int) -> tuple[float, float]:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except ConnectionRefusedError:
            pass
        else:
            return tcp(port, pid)
        command = [
            str(BINARIES / "load"),
            "requests",
            f"127.0.0.1:{port}",
            "--seconds",
            str(seconds),
            "--pid",
            str(pid),
        ]
        told = json.loads(on_client_core([*command, "--connections", "1", "--streams", "50", "--path", "/hello"]))
        return told["operations"] / told["seconds"], told["server_cpu"] / told["operations"] * 1e6

    return measure


def whole_cpu_seconds(pid: int) -> float:
    """CPU of a server, of its workers too."""
    return sum(cpu_seconds(one) for one in (pid, *children(pid)))


def over_http3(seconds: float) -> Measure:
    """Requests over HTTP/3 on fifty connections, for the workers; no CPU, which is several processes'."""

    def measure(port: int, _pid: int) -> tuple[float, float]:
        command = [str(BINARIES / "load"), "requests", f"127.0.0.1:{port}", "--seconds", str(seconds), "--pid", "1"]
        told = json.loads(on_client_core([*command, "--connections", "50", "--streams", "1"], pinned=False))
        return told["operations"] / told["seconds"], 0.0

    return measure


def echoed(cafile: Path, messages: int) -> Measure:
    """Messages of one WebSocket."""

    def measure(port: int, pid: int) -> tuple[float, float]:
        before = cpu_seconds(pid)
        command = [sys.executable, str(PEERS / "websocket_client.py"), str(port), str(cafile), str(messages)]
        seconds = float(on_client_core(command))
        return messages / seconds, (cpu_seconds(pid) - before) / messages * 1e6

    return measure


def on_client_core(command: list[str], *, pinned: bool = True) -> str:
    """Run a load client; its output."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            preexec_fn=(lambda: os.sched_setaffinity(0, {CLIENT_CORE})) if pinned else None,
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"the server left the client waiting for {PATIENCE} s") from None
    if done.returncode:
        raise RuntimeError(done.stderr.strip()[-500:])
    return done.stdout


def scenarios(made: DevelopmentCertificates, scale: float) -> dict[str, tuple[Measure, list[Server]]]:
    """Heading -> how it is measured, and for whom."""
    version, uvicorn, hypercorn = distribution("h3push"), distribution("uvicorn"), distribution("hypercorn")
    compiled, missing = compiled_form()
    requests = int(10_000 * scale)
    return {
        "HTTP/1.1, 10 connections": (
            over_tcp(requests, "--h1", "-c", "10", "-m", "1"),
            [
                Server("h3push serve", h3push_serve(), version, ready="over TCP"),
                Server("uvicorn", uvicorn_alone(), uvicorn, ready="Uvicorn running"),
            ],
        ),
        HTTP2: (
            over_either(over_tcp(requests, "-c", "10", "-m", "5"), scale),
            [
                Server("h3push serve", h3push_serve(), version, ready="over TCP"),
                Server("uvicorn", uvicorn_alone("--http", "zttp", "--http2"), uvicorn, ready="Uvicorn running"),
                granian(),
                Server(OVER_HTTP3, h3push_asgi(sys.executable), version),
                Server(f"{OVER_HTTP3}, compiled", h3push_asgi(*compiled_python()), compiled, missing),
            ],
        ),
        "HTTP/3, 50 connections x 1 stream": (
            over_http3(3 * scale),
            [
                Server("1 worker", h3push_serve("--tcp", "off"), version, ready="serving"),
                Server(
                    f"{WORKERS} workers",
                    h3push_serve("--tcp", "off", "--workers", str(WORKERS)),
                    version,
                    ready="serving",
                ),
            ],
        ),
        "WebSocket over HTTP/3, echo of 100 bytes, 50 under way": (
            echoed(made.cafile, int(5_000 * scale)),
            [
                Server("h3push", echo_server("h3push_asgi.py"), version),
                Server("Hypercorn", echo_server("hypercorn_asgi.py"), hypercorn),
            ],
        ),
    }


def main() -> None:
    """Measure, print, and write the section of the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="less is shorter")
    parser.add_argument("--only", default="", help="scenarios whose heading has this")
    parser.add_argument("--no-write", action="store_true", help="print only")
    given = parser.parse_args()
    if shutil.which("h2load") is None:
        raise SystemExit("h2load is needed: on Debian, apt-get install nghttp2-client")
    results: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    failures: dict[tuple[str, str], str] = {}
    with tempfile.TemporaryDirectory() as folder:
        made = development_certificates(Path(folder))
        setting = Setting(Path(folder), Path(folder), made.certfile, made.keyfile)
        found = {title: one for title, one in scenarios(made, given.scale).items() if given.only in title}
        for _ in range(given.rounds):
            for title, (measure, servers) in found.items():
                for server in servers:
                    run(title, measure, server, setting, results, failures)
    report(found, results, failures, write=not given.no_write and not given.only)


def run(
    title: str,
    measure: Measure,
    server: Server,
    setting: Setting,
    results: dict[tuple[str, str], list[tuple[float, float]]],
    failures: dict[tuple[str, str], str],
) -> None:
    """Measure one server once; a failure is kept, and told in the table."""
    if server.version is None:
        failures[title, server.name] = server.missing
        return
    port = free_port()
    try:
        running = Running(server, setting, port)
    except RuntimeError as error:
        failures[title, server.name] = str(error)
        return
    if "workers" in server.name or "worker" in server.name:
        for process in (running.pid, *children(running.pid)):
            os.sched_setaffinity(process, range(os.cpu_count() or 1))
    try:
        results[title, server.name].append(measure(port, running.pid))
    except (RuntimeError, OSError) as error:
        failures[title, server.name] = str(error)
    finally:
        running.terminate()


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(one) for one in path.read_text(encoding="ascii").split()] if path.exists() else []


def report(
    found: dict[str, tuple[Measure, list[Server]]],
    results: dict[tuple[str, str], list[tuple[float, float]]],
    failures: dict[tuple[str, str], str],
    *,
    write: bool,
) -> None:
    """Print the tables, and write them where they belong."""
    sections = []
    for title, (_, servers) in found.items():
        header = ["", "a second", "us of CPU each"]
        rows = [[one.name, *cells(results.get((title, one.name)), failures.get((title, one.name)))] for one in servers]
        print(f"\n{title}\n{text_table(header, rows)}")
        sections += [f"### {title}", markdown_table(header, rows)]
    for (title, name), failure in failures.items():
        print(f"\n{title}, {name}: {failure}")
        sections.append(f"{title}, {name}: {failure}")
    targets = [target for target in targets_of(results) if target.measured is not None or write]
    header = ["target", "measured", "by CPU", "wanted", ""]
    print(f"\n{text_table(header, [one.row for one in targets])}")
    if write:
        text = [markdown_table(header, [one.row for one in targets]), *sections, f"{machine()}."]
        write_section("over_tcp", "\n\n".join(text))


def cells(samples: list[tuple[float, float]] | None, failure: str | None) -> list[str]:
    """Median rate and CPU."""
    if not samples:
        return ["missing or failed" if failure else "not measured", ""]
    cost = statistics.median(cost for _, cost in samples)
    return [figure(statistics.median(rate for rate, _ in samples)), figure(cost) if cost else ""]


def targets_of(results: dict[tuple[str, str], list[tuple[float, float]]]) -> list[Target]:
    """What the project holds itself to."""

    def ratio(title: str, ours: str, theirs: str, index: int) -> float | None:
        found = [
            [
                sample[index]
                for (heading, name), all_ in results.items()
                if title in heading and name == one
                for sample in all_
            ]
            for one in (ours, theirs)
        ]
        if not all(found) or not statistics.median(found[1]):
            return None
        return statistics.median(found[0]) / statistics.median(found[1])

    def target(title: str, ours: str, theirs: str, wanted: float) -> Target:
        rate, cost = ratio(title, ours, theirs, 0), ratio(title, theirs, ours, 1)
        return Target(f"{title}: {ours} / {theirs}", rate, wanted, beside=cost)

    return [
        target("HTTP/1.1", "h3push serve", "uvicorn", 0.9),
        target("HTTP/2", "h3push serve", "uvicorn", 0.9),
        target("WebSocket", "h3push", "Hypercorn", 5),
    ]


if __name__ == "__main__":
    main()
