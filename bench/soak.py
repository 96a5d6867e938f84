"""`h3push serve --workers 2` under clients that come and go, with reloads: memory, descriptors and threads stay flat.

Real processes on this machine's loopback. Clients of every version of HTTP connect, take pages with pushes, cancel pushes, leave
in the middle of downloads, open WebSockets and vanish (`churn.py`). In the first half the server is reloaded (SIGHUP) in every
round, in the second it is left alone, so that its last workers grow old. After each round everybody leaves for a moment, and the
processes are looked at: threads and descriptors of each, and its share of memory (Pss).

The rules:

* Supervisor: threads and descriptors are never more than at the first look; memory is flat over the whole time.
* Workers, in the half without reloads: the same processes at every look; threads and descriptors never more than at the first of
  them; memory is flat.
* Flat: a third of the looks is left to warm up. Through the others a line is laid (least squares). From the first to the last it
  may rise by 3 per cent of their mean and 1 MiB: what an allocator does not give back at once. So in half an hour, a worker that
  grows by more than some 2 MiB in ten minutes is told.
* No visit fails. During a reload, a request may be one that the worker says it did not process; a WebSocket over TCP may be
  closed (1012). A request over TCP may cross the end of its connection, in one reload of ten: HTTP/1.1 has no word for it.

The exit code is 1 when a rule is broken.
"""

import argparse
import asyncio
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from churn import Churn

from h3push.server.certificates import development_certificates

MIB = 1024 * 1024
BENCH = Path(__file__).resolve().parent
WORKERS = 2
GRACE = 5.0
"""Seconds that a worker has to finish at a stop."""
ROUNDS = 30
"""Looks, evenly spread."""
CALM = 1.0
"""Seconds without clients before a look, at most: until descriptors stop to change."""
CROSSED = 0.1
"""Requests over TCP that may cross the end of their connection, for each reload."""
SLACK, TOLERANCE = 0.03, 1.0
"""What a flat line may rise by: this part of the mean, and so many MiB."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process at one look."""

    pid: int
    memory: float
    """Proportional set size, in MiB."""
    descriptors: int
    threads: int


@dataclass(frozen=True, slots=True)
class Look:
    """The processes at one moment of rest."""

    minute: float
    visits: int
    reloads: int
    supervisor: Process
    workers: tuple[Process, ...]

    def row(self) -> str:
        """The look as a line of the table."""
        each = "".join(
            f"   {one.pid:8} {one.memory:7.2f} {one.descriptors:4} {one.threads:4}"
            for one in (self.supervisor, *self.workers)
        )
        return f"{self.minute:6.1f} {self.visits:8,} {self.reloads:8}{each}"


HEAD = "minute   visits  reloads" + "        pid     MiB   fd thrd" * 3


def measure(pid: int) -> Process:
    """Read what the kernel says of a process."""
    place = Path("/proc") / str(pid)
    rollup = (place / "smaps_rollup").read_text()
    memory = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return Process(pid, memory / 1024, _entries(place / "fd"), _entries(place / "task"))


def _entries(directory: Path) -> int:
    return sum(1 for _ in directory.iterdir())


def children(pid: int) -> list[int]:
    """The children of a process."""
    return [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]


class Served:
    """The server's processes, and what they say.

    Args:
        place: a directory for what they need.
    """

    def __init__(self, place: Path) -> None:
        self.certificates = development_certificates(place)
        self._log = place / "log"
        command = [sys.executable, "-c", "from h3push.cli import main; main()", "serve"]
        application = ["soak_app:app", "--app-dir", str(BENCH)]
        files = ["--certfile", str(self.certificates.certfile), "--keyfile", str(self.certificates.keyfile)]
        bounds = ["--workers", str(WORKERS), "--graceful-timeout", str(GRACE), "--port", "0", "--log-format", "json"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, *application, *files, *bounds], stderr=log, stdout=subprocess.DEVNULL
            )
        self.pid = self._process.pid
        self.port = int(self._wait_for(" at https://localhost:", 60).split("/")[0])
        self.reloads = 0

    def _said(self) -> str:
        return self._log.read_text(errors="replace")

    def _wait_for(self, words: str, seconds: float, *, after: int = 0) -> str:
        """What follows some words, once the server says them."""
        end = time.monotonic() + seconds
        while words not in (said := self._said()[after:]):
            if time.monotonic() > end or self._process.poll() is not None:
                raise SystemExit(f"the server does not say {words!r}:\n{said}")
            time.sleep(0.05)
        return said.split(words, 1)[1]

    async def reload(self) -> None:
        """SIGHUP, and wait until others serve."""
        after = len(self._said())
        self._process.send_signal(signal.SIGHUP)
        await asyncio.to_thread(self._wait_for, "reloaded: new connections go to", 60, after=after)
        self.reloads += 1

    async def are_gone(self) -> None:
        """Wait until the workers from before have ended; those who look will tell when they do not."""
        end = time.monotonic() + 2 * GRACE
        while len(children(self.pid)) > WORKERS and time.monotonic() < end:  # noqa: ASYNC110 - other processes
            await asyncio.sleep(0.1)

    async def look(self, minute: float, visits: int, calm: float) -> Look:
        """Wait until there are no more processes than should be and their descriptors stay, then look."""
        before: list[Process] = []
        end = time.monotonic() + calm
        while True:
            await asyncio.sleep(calm / 10)
            now = [measure(pid) for pid in (self.pid, *sorted(children(self.pid)))]
            settled = [(one.pid, one.descriptors) for one in now] == [(one.pid, one.descriptors) for one in before]
            if (settled and len(now) == WORKERS + 1) or time.monotonic() > end:
                return Look(minute, visits, self.reloads, now[0], tuple(now[1:]))
            before = now

    def stop(self) -> str:
        """Stop it; a sentence when it does not stop as it should."""
        self._process.terminate()
        try:
            code = self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return "the server does not stop"
        return "" if code == 0 else f"the server ended with {code}:\n{self._said()[-2000:]}"


async def soak(served: Served, churn: Churn, options: argparse.Namespace) -> list[Look]:
    """Run it; the looks."""
    looks: list[Look] = []
    began = time.monotonic()
    seconds = options.minutes * 60
    a_round = seconds / options.rounds
    print(HEAD)
    for number in range(options.rounds):
        tasks = [
            asyncio.create_task(churn.come_and_go(a_round - options.calm, options.pause))
            for _ in range(options.clients)
        ]
        if number < options.rounds // 2:
            await asyncio.sleep(a_round / 4)  # clients are there
            churn.reloading = True
            await served.reload()
            await served.are_gone()
            churn.reloading = False
        await asyncio.gather(*tasks)
        elapsed = time.monotonic() - began
        looks.append(await served.look(elapsed / 60, churn.done["visits"], options.calm * 20))
        print(looks[-1].row(), flush=True)
    return looks


def rise(values: list[float]) -> float:
    """By how much a line through the values rises, from the first to the last."""
    places = list(range(len(values)))
    return statistics.linear_regression(places, values).slope * (len(values) - 1)


def judge_memory(name: str, values: list[float]) -> str:
    """A sentence when memory is not flat."""
    judged = values[len(values) // 3 :]
    if len(judged) < 3:
        return ""
    mean, rises = statistics.mean(judged), rise(judged)
    allowed = mean * SLACK + TOLERANCE
    print(
        f"{name}: {mean:.2f} MiB on average; the line rises by {rises:+.3f} MiB, and may by {allowed:.2f} ({len(judged)} looks)"
    )
    return f"memory of {name} grows by {rises:.2f} MiB" if rises > allowed else ""


def judge(looks: list[Look], churn: Churn) -> list[str]:
    """A sentence for each rule that is broken."""
    half = len(looks) // 2
    late = looks[half:]
    wrong = [judge_memory("the supervisor", [look.supervisor.memory for look in looks])]
    wrong.append(judge_counts("the supervisor", [look.supervisor for look in looks]))
    if any([one.pid for one in look.workers] != [one.pid for one in late[0].workers] for look in late):
        wrong.append("workers came and went without a reload, or old ones did not end")
    else:
        for number in range(len(late[0].workers)):
            history = [look.workers[number] for look in late]
            wrong.append(judge_memory(f"worker {number}", [one.memory for one in history]))
            wrong.append(judge_counts(f"worker {number}", history))
    if any(len(look.workers) != WORKERS for look in looks):
        wrong.append("there were more workers, or fewer, than should be")
    wrong += [f"{count} visits failed: {why}" for why, count in churn.failures.items()]
    reloads = looks[-1].reloads
    crossed = churn.crossed.total()
    print(
        f"{crossed} requests over TCP crossed the end of their connection in {reloads} reloads{told_of(churn.crossed)}"
    )
    if crossed > reloads * CROSSED:
        wrong.append(f"{crossed} requests over TCP lost their connection in {reloads} reloads")
    return [sentence for sentence in wrong if sentence]


def told_of(counts: Counter[str]) -> str:
    """Sentences and how often."""
    return "".join(f"; {count} x {why}" for why, count in counts.items())


def judge_counts(name: str, history: list[Process]) -> str:
    """A sentence when descriptors or threads are more than at the beginning."""
    first, most = history[0], max(one.descriptors for one in history)
    threads = max(one.threads for one in history)
    if most > first.descriptors:
        return f"descriptors of {name} grow from {first.descriptors} to {most}"
    return f"threads of {name} grow from {first.threads} to {threads}" if threads > first.threads else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=30.0, help="how long (default: 30)")
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, help=f"looks, and half as many reloads (default: {ROUNDS})"
    )
    parser.add_argument("--clients", type=int, default=8, help="clients at once (default: 8)")
    parser.add_argument("--pause", type=float, default=0.1, help="seconds between visits of a client (default: 0.1)")
    parser.add_argument("--calm", type=float, default=CALM, help=f"seconds without clients (default: {CALM})")
    parser.add_argument("--seed", type=int, default=0, help="of what clients do (default: 0)")
    parser.add_argument("--only", action="append", default=[], help="a kind of visit, to find who leaks")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        served = Served(Path(place))
        churn = Churn(served.port, served.certificates, options.seed, options.only)
        try:
            looks = asyncio.run(soak(served, churn, options))
        finally:
            end = served.stop()
    print(", ".join(f"{count:,} {word}" for word, count in churn.done.items()))
    wrong = [*judge(looks, churn), *([end] if end else [])]
    for sentence in wrong:
        print(f"not flat: {sentence}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
