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
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "peers"))

from contents import write_site
from report import (
    UNOPTIMISED,
    Target,
    build_of_python,
    figure,
    machine,
    markdown_table,
    text_table,
    write_section,
)
from samples import Figures, Sample
from scenarios import SCENARIOS, Scenario
from servers import BINARIES, CLIENT_CORE, Running, Server, Setting, all_servers
from summary import write_head
from targets import BASE, HEADER, compiled_targets, interpreted_targets

import h3push
from h3push.server.certificates import development_certificates


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
            _, errors = client.communicate("\n", timeout=120)
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


def growth_of_work() -> float | None:
    """Instructions of the interpreted form over those at the revision that it is held to, of the operation that grew most."""
    program = Path(__file__).resolve().with_name("counted_work.py")
    told = subprocess.run(
        [sys.executable, str(program), "--since", BASE], capture_output=True, text=True, check=False
    ).stdout
    changes = [float(found) for found in re.findall(r"opcodes .*?([+-][\d.]+)%", told)]
    return 1 + max(changes) / 100 if changes else None


def versions(servers: Mapping[str, Server]) -> str:
    """The versions of all servers, in one line."""
    return "; ".join(dict.fromkeys(server.version for server in servers.values() if server.version is not None))


def report(
    bench: Bench,
    servers: Mapping[str, Server],
    arguments: argparse.Namespace,
    compiled: list[Target],
    interpreted: list[Target],
) -> str:
    """Print everything, and return it as Markdown."""
    missing = [f"{server.name}: {server.missing}" for server in servers.values() if server.version is None]
    facts = [
        f"Measured {datetime.now(UTC):%Y-%m-%d} on {machine()}; load average {arguments.load:.1f} before, "
        f"{os.getloadavg()[1]:.1f} at the end (1 to 2 is this benchmark alone).",
        f"Versions: {versions(servers)}.",
        f"{arguments.rounds} rounds of {arguments.seconds:g} s, medians; memory: one round. "
        "Server on one core, load client on another.",
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
    for title, held in (("Targets", compiled), ("Targets of the interpreted form", interpreted)):
        rows = [target.row for target in held]
        print(f"\n{title}\n\n{text_table(HEADER, rows)}")
        page.append(f"### {title}\n\n{markdown_table(HEADER, rows)}")
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
    if h3push.compiled:
        raise SystemExit(
            "run this with the interpreted form, which is measured beside the compiled one: .venv/bin/python"
        )
    if build_of_python() == UNOPTIMISED:
        print(f"note: this Python has {UNOPTIMISED}; what people run has it: make bench PYTHON=...", file=sys.stderr)
    arguments.load = os.getloadavg()[0]
    servers = {server.name: server for server in all_servers()}
    with tempfile.TemporaryDirectory(prefix="h3push-bench-") as folder:
        bench = Bench(_setting(Path(folder)), arguments.seconds)
        for turn in range(arguments.rounds):
            for scenario in SCENARIOS:
                if not re.search(arguments.only, scenario.key) or turn >= (scenario.rounds or arguments.rounds):
                    continue
                for name in scenario.servers:
                    if servers[name].version is not None and re.search(arguments.servers, name):
                        print(f"round {turn + 1}: {scenario.key}, {name}", file=sys.stderr, flush=True)
                        bench.measure(scenario, servers[name])
    figures, whole = Figures(bench.results), not (arguments.only or arguments.servers)
    held = compiled_targets(figures, growth_of_work() if whole else None)
    page = report(bench, servers, arguments, held, interpreted_targets(figures))
    if whole and not arguments.no_write:
        write_section("run", page)
        write_head(figures, held)


def _setting(folder: Path) -> Setting:
    write_site(folder / "site")
    certificates = development_certificates(folder / "certificates")
    return Setting(folder, folder / "site", certificates.certfile, certificates.keyfile)


if __name__ == "__main__":
    main()
