"""Count the machine instructions that the compiled form takes for a fixed workload, and compare them with what is stored.

`counted_work.py` counts the bytecode of the interpreted form; compiled code has none. Here valgrind's callgrind counts every
instruction of the process, those of CPython and libc too: of the server alone for the operations of `python_cost.py`, and of both
ends with QUIC between them for some of `counted_work.py`. Time is virtual in both, so the load of the machine does not touch the
figures: those of the server alone differ by a few thousandths, those with TLS, whose keys are random, by a per cent. The build of
CPython, the C compiler and the processor do (libc picks its memcpy by it), so figures are stored by interpreter and compiler, and
nothing is compared elsewhere.

`counted_instructions.py` compares and exits with 1 when something has become dearer than the tolerance; `--write` stores new
figures: do that, and say why in the commit, when the work is worth its price, or when it has become cheaper.
"""

import argparse
import asyncio
import cProfile
import gc
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import counted_work
import python_cost
from report import build_of_python

import h3push
from h3push.testing import World, in_world
from h3push.testing.virtual import run_virtual

STORED = Path(__file__).resolve().with_suffix(".json")
"""The stored counts, by `key`."""
TOLERANCE = 0.03
"""Part by which a figure may grow: random keys change one by a per cent, another processor's memcpy by little more."""

SERVER_ALONE = counted_work.SERVER_ALONE
BOTH_ENDS = {"request": 10, "at_hand": 5, "page": 2}
"""Operations of `counted_work.py`, and how often each is done."""
WARM = 3
"""Rounds of the server alone before the one that counts; each has `WAKE_UPS` batches."""
WAKE_UPS = 4

Counts = dict[str, float]
"""Instructions, by operation."""


def key() -> str:
    """What the figures depend on besides the source, as far as it has a name."""
    return (
        f"CPython {platform.python_version()} ({build_of_python()}), {platform.python_compiler()}, {platform.machine()}"
    )


def mark() -> None:
    """Make callgrind write down what it has counted, and begin anew: it watches for this function of libc."""
    os.getpriority(os.PRIO_PROCESS, 0)


class LastRound(cProfile.Profile):
    """Stands for the profile of `python_cost.measure`, which switches it on for each round: marks the last one."""

    def __init__(self) -> None:
        super().__init__()
        self._rounds = 0

    def enable(self, *_: Any, **__: Any) -> None:
        self._rounds += 1
        self._mark()

    def disable(self) -> None:
        self._mark()

    def _mark(self) -> None:
        if self._rounds > WARM:
            mark()


async def both_ends(world: World) -> None:
    """Do each operation a few times, and then between two marks."""
    for name, times in BOTH_ENDS.items():
        for measured in (False, True):
            if measured:
                mark()
            for _ in range(times):
                await counted_work.OPERATIONS[name](world.client)
            await asyncio.sleep(0.2)
        mark()


def work() -> None:
    """The workload: two marks for each operation, in the order of `OPERATIONS`."""
    gc.disable()  # when it runs is nobody's work
    now = time.time()
    time.time = lambda: now  # under callgrind a second passes in the middle of little
    python_cost.WAKE_UPS = WAKE_UPS
    for name in SERVER_ALONE:
        run_virtual(lambda name=name: python_cost.measure(name, WARM + 1, LastRound()))
    link = counted_work.LINK.settings()
    in_world(counted_work.handler, both_ends, host=counted_work.HOST, link=link, max_pushes=100)


OPERATIONS = {f"server {name}": WAKE_UPS * size for name, size in SERVER_ALONE.items()} | BOTH_ENDS
"""How often each operation is done between its marks."""


def count() -> Counts:
    """Run the workload under callgrind.

    Raises:
        SystemExit: it failed; the sentence has what it printed.
    """
    with tempfile.TemporaryDirectory(prefix="h3push-counted-") as folder:
        out = Path(folder) / "out"
        tool = ["valgrind", "--tool=callgrind", "--dump-before=getpriority", f"--callgrind-out-file={out}"]
        done = subprocess.run(
            [*tool, sys.executable, str(Path(__file__).resolve()), "--work"],
            env={**os.environ, "PYTHONHASHSEED": "0"},
            capture_output=True,
            text=True,
            check=False,
        )
        dumps = sorted(Path(folder).glob("out.*"), key=lambda path: int(path.suffix[1:]))
        if done.returncode or len(dumps) < 2 * len(OPERATIONS):
            raise SystemExit(f"callgrind told {len(dumps)} counts: {done.stderr[-2000:]}")
        totals = [_total(path) for path in dumps]
    return {name: totals[2 * number + 1] / times for number, (name, times) in enumerate(OPERATIONS.items())}


def _total(dump: Path) -> int:
    found = re.search(r"^totals: (\d+)", dump.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
    if found is None:
        raise SystemExit(f"{dump.name} of callgrind has no totals")
    return int(found.group(1))


def why_not() -> str:
    """Why nothing can be counted here; empty when it can."""
    if not h3push.compiled:
        return "this is the interpreted form: counted_work.py counts its work"
    if shutil.which("valgrind") is None:
        return "valgrind is not installed: apt-get install valgrind"
    return ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="store what is counted")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work()
        return
    if reason := why_not():
        raise SystemExit(reason)
    everything: dict[str, Counts] = json.loads(STORED.read_text(encoding="utf-8")) if STORED.exists() else {}
    now, stored = count(), everything.get(key(), {})
    dearer = compare(now, stored)
    if arguments.write:
        rounded = {name: round(figure) for name, figure in now.items()}
        text = json.dumps({**everything, key(): rounded}, indent=2, sort_keys=True)
        STORED.write_text(text + "\n", encoding="utf-8")
    elif not stored:
        print(f"nothing is stored for {key()}: compare on another machine, or store with --write")
    elif dearer:
        print("\nDearer than before:\n" + "\n".join(dearer))
        print(f"When that is worth it: {Path(sys.argv[0]).name} --write, and the reason in the commit message.")
        sys.exit(1)


def compare(now: Counts, stored: Counts) -> list[str]:
    """Print both; returns a sentence for each figure that grew beyond the tolerance."""
    dearer = []
    for name, figure in now.items():
        before = stored.get(name)
        change = "new" if before is None else f"{figure / before - 1:+.1%}"
        print(f"{name:16} {figure:12,.0f}  {change}")
        if before is not None and figure > before * (1 + TOLERANCE):
            dearer.append(f"{name}: {figure:,.0f} instructions, {change} over the {before:,.0f} that are stored")
    return dearer


if __name__ == "__main__":
    main()
