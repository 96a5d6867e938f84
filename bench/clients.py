"""The second half of `make bench`: the CPU that clients take for a GET, beside their peers, in one run.

Each client is a process of its own on one core; a server runs on the other, a fast one for its protocol: ours for HTTP/3, granian
for HTTP/1.1 and HTTP/2. Rounds are interleaved. Printed is the median of the rounds: CPU of the client's process for one GET (or
for a megabyte), and the rate beside it, which tells more of the server and of the machine's other work.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "peers"))

from report import Target, figure, machine, markdown_table, text_table, write_section
from servers import (
    CLIENT_CORE,
    PEERS,
    Running,
    Server,
    Setting,
    client_servers,
    compiled_form,
    compiled_python,
    distribution,
)

from h3push.server.certificates import development_certificates

BULK = 200_000_000
"""Bytes of the download."""


@dataclass(frozen=True, slots=True)
class Client:
    """One client of the comparison."""

    name: str
    """Its name in the tables."""
    function: str
    """Its function in `peers/http_clients.py`."""
    protocol: str
    """The protocol that it speaks, which picks the server."""
    packages: tuple[str, ...]
    """What has to be installed."""
    compiled: bool = False
    """True for the compiled form of h3push, which has a Python of its own."""

    @property
    def python(self) -> list[str]:
        """How its script is begun."""
        return compiled_python() if self.compiled else [sys.executable]

    @property
    def version(self) -> str | None:
        """Names and versions of the packages; `None` when one is missing."""
        if self.compiled:
            return compiled_form()[0]
        found = [distribution(package) for package in self.packages]
        return None if None in found else ", ".join(str(one) for one in found)


OURS, TRANSPORT = "h3push.connect", "httpx2 with h3push"
HTTPX2, AIOHTTP = "httpx2, HTTP/2", "aiohttp, HTTP/1.1"
OURS_COMPILED, TRANSPORT_COMPILED = f"{OURS}, compiled", f"{TRANSPORT}, compiled"
CLIENTS = (
    Client(OURS_COMPILED, "h3push_connect", "HTTP/3", ("h3push",), compiled=True),
    Client(OURS, "h3push_connect", "HTTP/3", ("h3push",)),
    Client(TRANSPORT_COMPILED, "h3push_transport", "HTTP/3", ("h3push", "httpx2"), compiled=True),
    Client(TRANSPORT, "h3push_transport", "HTTP/3", ("h3push", "httpx2")),
    Client(HTTPX2, "httpx2_http2", "HTTP/2", ("httpx2",)),
    Client("niquests, HTTP/3", "niquests_http3", "HTTP/3", ("niquests", "qh3")),
    Client("aioquic", "aioquic", "HTTP/3", ("aioquic",)),
    Client("qh3", "qh3", "HTTP/3", ("qh3",)),
    Client(AIOHTTP, "aiohttp_http1", "HTTP/1.1", ("aiohttp",)),
)
SCENARIOS = {
    "one": "A GET of 1 KB, one at a time",
    "fifty": "A GET of 1 KB, 50 at once",
    "bulk": f"{BULK // 1_000_000} MB in one response",
}


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement."""

    cpu: float
    """Of the client's process: microseconds for a GET, milliseconds for a megabyte."""
    rate: float
    """GETs or megabytes in a second."""


class Bench:
    """One run of everything."""

    def __init__(self, setting: Setting, cafile: Path, seconds: float) -> None:
        self.results: dict[tuple[str, str], list[Sample]] = defaultdict(list)
        """Samples, by scenario and client."""
        self.failures: dict[tuple[str, str], str] = {}
        """Why there is none."""
        self._setting = setting
        self._cafile = cafile
        self._seconds = seconds
        self._port = 21_000 + os.getpid() % 20_000

    def measure(self, scenario: str, client: Client, server: Server) -> None:
        """Run one scenario for one client; a failure is kept and told in the table."""
        self._port += 1
        try:
            running = Running(server, self._setting, self._port)
        except RuntimeError as error:
            self.failures[scenario, client.name] = str(error)
            return
        try:
            self._run(scenario, client)
        finally:
            running.stop()

    def _run(self, scenario: str, client: Client) -> None:
        url = f"https://localhost:{self._port}/{'bulk' if scenario == 'bulk' else '1k'}"
        script = [*client.python, str(PEERS / "http_clients.py"), client.function, scenario, url]
        try:
            done = subprocess.run(
                [*script, str(self._cafile), str(self._seconds)],
                capture_output=True,
                text=True,
                timeout=150 if scenario == "bulk" else 30,
                check=False,
                preexec_fn=lambda: os.sched_setaffinity(0, {CLIENT_CORE}),
            )
        except subprocess.TimeoutExpired:
            self.failures[scenario, client.name] = "not done in time"
            return
        if done.returncode:
            self.failures[scenario, client.name] = done.stderr.strip().rpartition("\n")[2][-300:]
            return
        told = json.loads(done.stdout)
        size = BULK if scenario == "bulk" else 1024
        if told["bytes"] != told["operations"] * size:
            self.failures[scenario, client.name] = f"{told['bytes']} bytes came in {told['operations']} responses"
            return
        unit = told["bytes"] / 1e6 if scenario == "bulk" else told["operations"]
        each = 1e3 if scenario == "bulk" else 1e6
        self.results[scenario, client.name].append(Sample(told["cpu"] * each / unit, unit / told["seconds"]))

    def cpu(self, scenario: str, client: str) -> float | None:
        """Median CPU of an operation."""
        samples = self.results.get((scenario, client))
        return statistics.median(sample.cpu for sample in samples) if samples else None


def targets(bench: Bench) -> list[Target]:
    """Every target, with what this run says to it."""

    def ratio(scenario: str, ours: str, theirs: str) -> float | None:
        one, other = bench.cpu(scenario, ours), bench.cpu(scenario, theirs)
        return one / other if one is not None and other else None

    downloads = [bench.cpu("bulk", client.name) for client in CLIENTS if "h3push" not in client.name]
    best = min((cpu for cpu in downloads if cpu is not None), default=None)
    held = []
    for connect, transport, form in ((OURS_COMPILED, TRANSPORT_COMPILED, ", compiled"), (OURS, TRANSPORT, "")):
        ours = bench.cpu("bulk", connect)
        level = ours / best if ours is not None and best else None
        held += [
            Target(f"a GET, 50 at once: connect{form} / aiohttp", ratio("fifty", connect, AIOHTTP), 0.5, at_most=True),
            Target(
                f"a GET, 50 at once: httpx2 with h3push{form} / its own HTTP/2",
                ratio("fifty", transport, HTTPX2),
                0.35,
                at_most=True,
            ),
            Target(f"a download: connect{form} / the best other client", level, 1.0, at_most=True),
        ]
    return held


def tables(bench: Bench) -> list[tuple[str, list[str], list[list[str]]]]:
    """(heading, header, rows) of each scenario."""
    made = []
    for key, title in SCENARIOS.items():
        rows = []
        for client in CLIENTS:
            samples = bench.results.get((key, client.name))
            if samples:
                cpus, rates = [sample.cpu for sample in samples], [sample.rate for sample in samples]
                spread = f"{_cpu(min(cpus), key)} - {_cpu(max(cpus), key)}"
                rows.append([client.name, _cpu(statistics.median(cpus), key), spread, figure(statistics.median(rates))])
            elif client.version is None:
                rows.append([client.name, "missing", "", ""])
            elif (key, client.name) in bench.failures:
                rows.append([client.name, "failed", "", ""])
        unit = ["CPU ms/MB", "min - max", "MB/s"] if key == "bulk" else ["CPU us each", "min - max", "GETs/s"]
        made.append((title, ["", *unit], rows))
    return made


def _cpu(value: float, scenario: str) -> str:
    return f"{value:,.2f}" if scenario == "bulk" else f"{value:,.0f}"


def report(bench: Bench, servers: dict[str, Server], arguments: argparse.Namespace) -> str:
    """Print everything, and return it as Markdown."""
    versions = [client.version for client in CLIENTS] + [server.version for server in servers.values()]
    known = dict.fromkeys(name for version in versions if version for name in version.split(", "))
    missing = dict.fromkeys(
        f"{one.name}: {compiled_form()[1]}" for one in CLIENTS if one.compiled and one.version is None
    )
    facts = [
        f"Measured {datetime.now(UTC):%Y-%m-%d} on {machine()}; load average {arguments.load:.1f} before, "
        f"{os.getloadavg()[1]:.1f} at the end (1 to 2 is this benchmark alone).",
        f"Versions: {', '.join(known)}.",
        f"{arguments.rounds} rounds of {arguments.seconds:g} s, medians; server on one core, client on another.",
        *(f"Missing: {sentence}." for sentence in missing),
    ]
    page = ["  \n".join(facts)]
    print("\n".join(facts))
    for title, header, rows in tables(bench):
        print(f"\n{title}\n\n{text_table(header, rows)}")
        page.append(f"### {title}\n\n{markdown_table(header, rows)}")
    for (key, name), failure in bench.failures.items():
        print(f"\n{key}, {name} failed: {failure}")
        page.append(f"{key}, {name} failed: {failure}")
    rows = [target.row for target in targets(bench)]
    header = ["", "by CPU", "", "target", ""]
    print(f"\nTargets\n\n{text_table(header, rows)}")
    page.append(f"### Targets of the clients\n\n{markdown_table(header, rows)}")
    return "\n\n".join(page)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    parser.add_argument("--only", default="", help="regular expression on names of scenarios")
    parser.add_argument("--clients", default="", help="regular expression on names of clients")
    parser.add_argument("--no-write", action="store_true", help="leave docs/reference/benchmarks.md as it is")
    arguments = parser.parse_args()
    if (os.cpu_count() or 1) <= CLIENT_CORE:
        raise SystemExit("the benchmark needs two cores: one for the server, one for the client")
    arguments.load = os.getloadavg()[0]
    os.environ["BENCH_BULK"] = str(BULK)
    servers = client_servers()
    with tempfile.TemporaryDirectory(prefix="h3push-bench-") as folder:
        certificates = development_certificates(Path(folder) / "certificates")
        setting = Setting(Path(folder), Path(folder), certificates.certfile, certificates.keyfile)
        bench = Bench(setting, certificates.cafile, arguments.seconds)
        for turn in range(arguments.rounds):
            for scenario in SCENARIOS:
                if not re.search(arguments.only, scenario):
                    continue
                for client in CLIENTS:
                    server = servers[client.protocol]
                    if client.version and server.version and re.search(arguments.clients, client.name):
                        print(f"round {turn + 1}: {scenario}, {client.name}", file=sys.stderr, flush=True)
                        bench.measure(scenario, client, server)
        page = report(bench, servers, arguments)
    if not (arguments.no_write or arguments.only or arguments.clients):
        write_section("clients", page)


if __name__ == "__main__":
    main()
