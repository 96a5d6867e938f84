"""`make bench`: h3push beside its peers, on the same cores, with the same load client, in one run.

Each scenario is run for each server in turn, and the whole is repeated (`--rounds`), so that whatever else the machine does
falls on all of them. Servers are started afresh for each measurement and run on one core, the load client on another. What is
printed is the median of the rounds with the smallest and the largest, and beside each rate the CPU time that the server's process
took for one operation: on a shared machine that is the steadier figure.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "peers"))

from contents import PUSHES, write_site
from report import Target, figure, machine, markdown_table, text_table, write_section
from servers import BINARIES, CLIENT_CORE, Running, Server, Setting, all_servers

from h3push.server.certificates import development_certificates

IDLE_CONNECTIONS = 2_000
GROWTH = (1, 10, 100, 1_000)
"""Connections of the growth scenario."""

PYTHON = ("h3push", "aioquic", "aioquic, no task", "qh3")
ASGI = ("h3push, ASGI", "Hypercorn")
WEB = ("Caddy", "nginx")
NATIVE = "quinn + h3 (native)"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One thing to measure."""

    key: str
    """Its name in `--only`."""
    title: str
    """Its heading."""
    load: tuple[str, ...]
    """Arguments of the load client."""
    servers: tuple[str, ...]
    """Who takes part, in the order of the table."""
    unit: str = "requests/s"
    """Of the rate: operations, or "MB/s"."""


SCENARIOS = (
    Scenario(
        "requests-1x50",
        "Responses of 1 KB, 1 connection x 50 streams",
        ("requests", "--connections", "1", "--streams", "50"),
        (*PYTHON[:1], NATIVE, *PYTHON[1:], *ASGI, *WEB),
    ),
    Scenario(
        "distinct-1x50",
        "Responses of 1 KB, 1 connection x 50 streams, no two requests the same",
        ("requests", "--connections", "1", "--streams", "50", "--distinct", "1"),
        (*PYTHON[:1], NATIVE, *PYTHON[1:], *ASGI, *WEB),
    ),
    Scenario(
        "requests-50x1",
        "Responses of 1 KB, 50 connections x 1 stream",
        ("requests", "--connections", "50", "--streams", "1"),
        (*PYTHON[:1], NATIVE, *PYTHON[1:], *ASGI, *WEB),
    ),
    Scenario(
        "requests-1x1",
        "Responses of 1 KB, 1 connection x 1 stream",
        ("requests", "--connections", "1", "--streams", "1"),
        (*PYTHON[:1], NATIVE, *PYTHON[1:], *ASGI, *WEB),
    ),
    Scenario(
        "hello-asgi",
        "ASGI hello, 1 connection x 50 streams",
        ("requests", "--connections", "1", "--streams", "50", "--path", "/hello"),
        (*ASGI, *WEB),
    ),
    Scenario(
        "static",
        "Static file of 1 KB, 1 connection x 50 streams",
        ("requests", "--connections", "1", "--streams", "50", "--path", "/static/1k"),
        ("h3push, static files", *WEB),
    ),
    Scenario(
        "bulk",
        "200 MB in one response (what 5 s bring, where that is less)",
        ("bulk", "--path", "/bulk"),
        (*PYTHON[:1], "h3push, static files", NATIVE, *PYTHON[1:], *ASGI, *WEB),
        "MB/s",
    ),
    Scenario(
        "upload",
        "Uploads of 20 MB",
        ("upload", "--path", "/upload"),
        (*PYTHON[:1], NATIVE, *PYTHON[1:], *ASGI),
        "MB/s",
    ),
    Scenario(
        "connects",
        "New connections with one request, 16 at once",
        ("connects", "--streams", "16"),
        (*PYTHON[:1], NATIVE, *PYTHON[1:], *ASGI, *WEB),
        "connections/s",
    ),
    Scenario(
        "page-1k-requested",
        f"A page and {PUSHES} resources of 1 KB, all requested, 4 connections",
        ("pages", "--push", "0", "--path", "/page", "--resource", "/1k"),
        ("h3push", "aioquic, no task", "qh3"),
        "pages/s",
    ),
    Scenario(
        "page-1k-pushed",
        f"A page and {PUSHES} resources of 1 KB, pushed",
        ("pages", "--push", "1", "--path", "/push-1k"),
        ("h3push", "aioquic, no task", "qh3"),
        "pages/s",
    ),
    Scenario(
        "page-100k-requested",
        f"A page and {PUSHES} resources of 100 KB, all requested, 4 connections",
        ("pages", "--push", "0", "--path", "/page", "--resource", "/100k"),
        ("h3push", "aioquic, no task", "qh3"),
        "pages/s",
    ),
    Scenario(
        "page-100k-pushed",
        f"A page and {PUSHES} resources of 100 KB, pushed",
        ("pages", "--push", "1", "--path", "/push-100k"),
        ("h3push", "aioquic, no task", "qh3"),
        "pages/s",
    ),
    *(
        Scenario(
            f"growth-{connections}",
            f"1 KB, {connections:,} connections x 1 stream",
            ("requests", "--connections", str(connections), "--streams", "1", "--warm", "1.0"),
            ("h3push", NATIVE),
        )
        for connections in GROWTH
    ),
    Scenario(
        "idle",
        f"Memory of {IDLE_CONNECTIONS:,} idle connections that made one request each",
        ("idle", "--connections", str(IDLE_CONNECTIONS)),
        ("h3push", "h3push, ASGI", NATIVE, "aioquic", "qh3", "Hypercorn", *WEB),
        "KB each",
    ),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement."""

    rate: float
    """In the scenario's unit."""
    cost: float | None
    """CPU of the server, in microseconds for an operation or milliseconds for a megabyte."""
    p50: float | None = None
    """Median time of one operation, in microseconds."""
    p99: float | None = None
    """The same, of 99 of 100."""
    client_share: float | None = None
    """Part of its core that the load client used: near 1 it would be the limit."""


class MeasurementError(RuntimeError):
    """A measurement that came to nothing; the sentence says why."""


class Bench:
    """One run of everything."""

    def __init__(self, setting: Setting, seconds: float) -> None:
        self.results: dict[tuple[str, str], list[Sample]] = defaultdict(list)
        """Samples, by scenario and server."""
        self.failures: dict[tuple[str, str], str] = {}
        """Why there is none."""
        self._setting = setting
        self._seconds = seconds
        self._port = 20_000 + os.getpid() % 20_000

    def measure(self, scenario: Scenario, server: Server) -> None:
        """Run one scenario for one server; a failure is kept and told in the table."""
        self._port += 1
        try:
            running = Running(server, self._setting, self._port)
        except RuntimeError as error:
            self.failures[scenario.key, server.name] = str(error)
            return
        try:
            sample = self._idle(scenario, running) if scenario.load[0] == "idle" else self._load(scenario, running)
            self.results[scenario.key, server.name].append(sample)
        except MeasurementError as error:
            self.failures[scenario.key, server.name] = str(error)
        finally:
            running.stop()

    def _command(self, scenario: Scenario, running: Running) -> list[str]:
        name, *options = scenario.load
        span = ["--seconds", str(self._seconds), "--pid", str(running.pid)]
        return [str(BINARIES / "load"), name, f"127.0.0.1:{running.port}", *span, *options]

    def _load(self, scenario: Scenario, running: Running) -> Sample:
        done = subprocess.run(
            self._command(scenario, running),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            preexec_fn=lambda: os.sched_setaffinity(0, {CLIENT_CORE}),
        )
        if done.returncode:
            raise MeasurementError(done.stderr.strip()[-300:])
        told = json.loads(done.stdout)
        if told["errors"] or not told["operations"]:
            raise MeasurementError(told["failure"] or "nothing was completed")
        seconds, cpu = told["seconds"], told["server_cpu"]
        if scenario.unit == "MB/s":
            megabytes = told["bytes"] / 1e6
            rate, cost = megabytes / seconds, cpu * 1e3 / megabytes
        else:
            rate, cost = told["operations"] / seconds, cpu * 1e6 / told["operations"]
        return Sample(rate, cost, told["p50"], told["p99"], told["client_cpu"] / seconds)

    def _idle(self, scenario: Scenario, running: Running) -> Sample:
        before = running.resident
        with subprocess.Popen(
            self._command(scenario, running),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {CLIENT_CORE}),
        ) as client:
            assert client.stdout is not None
            said = client.stdout.readline()
            time.sleep(0.5)
            after = running.resident
            _, errors = client.communicate("\n", timeout=60)
        if not said:
            raise MeasurementError(errors.strip()[-300:] or "the connections could not be opened")
        return Sample((after - before) / 1000 / json.loads(said)["connections"], None)


def tables(bench: Bench, servers: Mapping[str, Server]) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """(heading, header, rows) of each scenario that was run."""
    for scenario in SCENARIOS:
        rows = []
        for name in scenario.servers:
            samples = bench.results.get((scenario.key, name))
            failure = bench.failures.get((scenario.key, name))
            if samples:
                rows.append([name, *_cells(samples, scenario)])
            elif failure is not None:
                rows.append([name, "failed", "", "", "", ""])
            elif servers[name].version is None:
                rows.append([name, "missing", "", "", "", ""])
        cost = "CPU ms/MB" if scenario.unit == "MB/s" else "CPU us each"
        header = ["", scenario.unit, "min - max", cost, "p50 / p99 us", "client's core"]
        if any(len(row) > 1 and row[1] not in {"missing", "failed"} for row in rows):
            yield scenario.title, header, rows


def _cells(samples: list[Sample], scenario: Scenario) -> list[str]:
    rates = [sample.rate for sample in samples]
    costs = [sample.cost for sample in samples if sample.cost is not None]
    middle = sorted(samples, key=lambda sample: sample.rate)[len(samples) // 2]
    times = "" if middle.p50 is None or scenario.unit == "MB/s" else f"{middle.p50:,.0f} / {middle.p99 or 0:,.0f}"
    cost = statistics.median(costs) if costs else None
    return [
        figure(statistics.median(rates)),
        f"{figure(min(rates))} - {figure(max(rates))}",
        "" if cost is None else f"{cost:,.2f}" if scenario.unit == "MB/s" else figure(cost),
        times,
        "" if middle.client_share is None else f"{middle.client_share:.0%}",
    ]


def targets(bench: Bench) -> list[Target]:
    """Every target, with what this run says to it."""

    def rate(scenario: str, server: str) -> float | None:
        samples = bench.results.get((scenario, server))
        return statistics.median(sample.rate for sample in samples) if samples else None

    def cost(scenario: str, server: str) -> float | None:
        samples = bench.results.get((scenario, server))
        return statistics.median(sample.cost for sample in samples if sample.cost is not None) if samples else None

    def ratio(one: float | None, other: float | None) -> float | None:
        return one / other if one is not None and other else None

    def versus(text: str, scenario: str, ours: str, theirs: str, wanted: float) -> Target:
        by_cpu = ratio(cost(scenario, theirs), cost(scenario, ours))
        return Target(text, ratio(rate(scenario, ours), rate(scenario, theirs)), wanted, by_cpu=by_cpu)

    growth = ratio(cost("growth-1000", "h3push"), cost("growth-10", "h3push"))
    return [
        versus("requests/s, 1 x 50: h3push / aioquic", "requests-1x50", "h3push", "aioquic", 10),
        versus("requests/s, 1 x 50: h3push / native", "requests-1x50", "h3push", NATIVE, 0.8),
        versus("requests/s, 1 x 50, all distinct: h3push / aioquic", "distinct-1x50", "h3push", "aioquic", 10),
        versus("requests/s, 1 x 50, all distinct: h3push / native", "distinct-1x50", "h3push", NATIVE, 0.8),
        versus("requests/s, 50 x 1: h3push / aioquic", "requests-50x1", "h3push", "aioquic", 10),
        versus("requests/s, 50 x 1: h3push / native", "requests-50x1", "h3push", NATIVE, 0.8),
        versus("ASGI hello: h3push / Hypercorn", "hello-asgi", "h3push, ASGI", "Hypercorn", 8),
        versus("bulk: h3push / aioquic", "bulk", "h3push", "aioquic", 20),
        versus("bulk: h3push / native", "bulk", "h3push", NATIVE, 0.9),
        Target("CPU of a 1 KB response: pushed / requested", _pushed_cost(cost), 0.6, at_most=True),
        versus("new connections/s: h3push / aioquic", "connects", "h3push", "aioquic", 3),
        Target("KB of memory for an idle connection", rate("idle", "h3push"), 40, at_most=True),
        Target("CPU per request: 1,000 connections / 10", growth, 1.5, at_most=True),
        versus("requests/s, 1 x 50: h3push / Caddy", "requests-1x50", "h3push", "Caddy", 3),
        versus("requests/s, 1 x 50: h3push / nginx", "requests-1x50", "h3push", "nginx", 1),
        versus("bulk: h3push / nginx", "bulk", "h3push", "nginx", 1),
    ]


def _pushed_cost(cost) -> float | None:
    """CPU of one pushed response of 1 KB over that of the same response requested.

    A page with its resources requested is 21 requests; what a page costs more than one request when it is pushed is 20 pushes.
    """
    requested, pushed = cost("page-1k-requested", "h3push"), cost("page-1k-pushed", "h3push")
    if requested is None or pushed is None:
        return None
    one = requested / (PUSHES + 1)
    return (pushed - one) / PUSHES / one


def versions(servers: Mapping[str, Server]) -> str:
    """The versions of all servers, in one line."""
    return "; ".join(dict.fromkeys(server.version for server in servers.values() if server.version is not None))


def report(bench: Bench, servers: Mapping[str, Server], arguments: argparse.Namespace) -> str:
    """Print everything, and return it as Markdown."""
    missing = [f"{server.name}: {server.missing}" for server in servers.values() if server.version is None]
    facts = [
        f"Measured {datetime.now(UTC):%Y-%m-%d} on {machine()}; load average {arguments.load:.1f} before, "
        f"{os.getloadavg()[1]:.1f} at the end (1 to 2 is this benchmark alone).",
        f"Versions: {versions(servers)}.",
        f"{arguments.rounds} rounds of {arguments.seconds:g} s, medians; server on one core, load client on another.",
        *(f"Missing: {sentence}." for sentence in missing),
    ]
    page = ["  \n".join(facts)]
    print("\n".join(facts))
    for title, header, rows in tables(bench, servers):
        print(f"\n{title}\n\n{text_table(header, rows)}")
        page.append(f"### {title}\n\n{markdown_table(header, rows)}")
    for (key, name), failure in bench.failures.items():
        print(f"\n{key}, {name} failed: {failure}")
        page.append(f"{key}, {name} failed: {failure}")
    rows = [target.row for target in targets(bench)]
    header = ["", "measured", "by CPU", "target", ""]
    print(f"\nTargets\n\n{text_table(header, rows)}")
    page.append(f"### Targets\n\n{markdown_table(header, rows)}")
    return "\n\n".join(page)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    parser.add_argument("--only", default="", help="regular expression on names of scenarios")
    parser.add_argument("--servers", default="", help="regular expression on names of servers")
    parser.add_argument("--no-write", action="store_true", help="leave docs/reference/benchmarks.md as it is")
    arguments = parser.parse_args()
    if (os.cpu_count() or 1) <= CLIENT_CORE:
        raise SystemExit("the benchmark needs two cores: one for the server, one for the load client")
    arguments.load = os.getloadavg()[0]
    servers = {server.name: server for server in all_servers()}
    with tempfile.TemporaryDirectory(prefix="h3push-bench-") as folder:
        bench = Bench(_setting(Path(folder)), arguments.seconds)
        for turn in range(arguments.rounds):
            for scenario in SCENARIOS:
                if not re.search(arguments.only, scenario.key):
                    continue
                for name in scenario.servers:
                    if servers[name].version is not None and re.search(arguments.servers, name):
                        print(f"round {turn + 1}: {scenario.key}, {name}", file=sys.stderr, flush=True)
                        bench.measure(scenario, servers[name])
    page = report(bench, servers, arguments)
    if not (arguments.no_write or arguments.only or arguments.servers):
        write_section("run", page)


def _setting(folder: Path) -> Setting:
    write_site(folder / "site")
    certificates = development_certificates(folder / "certificates")
    return Setting(folder, folder / "site", certificates.certfile, certificates.keyfile)


if __name__ == "__main__":
    main()
