"""A server whose clients come and go costs the same in the end as in the beginning, and the soak can tell when it does not."""

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

BENCH = Path(__file__).resolve().parent.parent.parent / "bench"
sys.path.insert(0, str(BENCH))

import soak  # noqa: E402 - found by the path above


@pytest.mark.skipif(sys.platform != "linux", reason="workers and /proc need Linux")
def test_a_short_soak_leaves_nothing_behind() -> None:
    """A reload and every kind of client: threads and descriptors are what they were, no visit fails, and all processes end."""
    command = [
        sys.executable,
        str(BENCH / "soak.py"),
        "--minutes",
        "0.06",
        "--rounds",
        "3",
        "--clients",
        "4",
        "--calm",
        "0.1",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " visits" in done.stdout


def looks(
    supervisor: tuple[float, int, int] = (0, 0, 0), worker: tuple[float, int, int] = (0, 0, 0), *, pid: int = 0
) -> list[soak.Look]:
    """Thirty looks at processes of which memory, descriptors and threads grow by so much each time, or worker 1 is replaced."""

    def process(number: int, grows: tuple[float, int, int], at: int) -> soak.Process:
        memory, descriptors, threads = (base + at * more for base, more in zip((30, 20, 1), grows, strict=True))
        return soak.Process(number, memory + at % 2 / 5, int(descriptors), int(threads))

    return [
        soak.Look(
            at, 100 * at, 0, process(1, supervisor, at), (process(2, worker, at), process(3 + pid * at, (0, 0, 0), at))
        )
        for at in range(30)
    ]


@pytest.mark.parametrize(
    ("history", "failures", "told"),
    [
        (looks(), {}, []),
        (looks(supervisor=(0.2, 0, 0)), {}, ["memory of the supervisor grows by 3.8"]),
        (looks(worker=(0.3, 0, 0)), {}, ["memory of worker 0 grows by 2.7"]),
        (looks(worker=(0, 1, 0)), {}, ["descriptors of worker 0 grow from 35 to 49"]),
        (looks(supervisor=(0, 0, 1)), {}, ["threads of the supervisor grow from 1 to 30"]),
        (looks(pid=1), {}, ["workers came and went without a reload, or old ones did not end"]),
        (looks(), {"why": 3}, ["3 visits failed: why"]),
    ],
)
def test_what_is_not_flat_is_told(history: list[soak.Look], failures: dict[str, int], told: list[str]) -> None:
    """Each rule, broken alone; noise of 0.2 MiB is none."""
    churn = SimpleNamespace(failures=Counter(failures), crossed=Counter())
    assert [said[: len(sentence)] for said, sentence in zip(soak.judge(history, churn), told, strict=True)] == told


@pytest.mark.parametrize(("each", "told"), [(0.0, False), (0.1, False), (0.25, True), (1.0, True)])
def test_memory_may_level_off_and_not_go_on(each: float, told: bool) -> None:
    """A worker that takes 6 MiB in its first looks and then stays is flat; one that goes on by 0.25 MiB a look is not."""
    values = [30 + 6 * (1 - 0.5**at) + each * at for at in range(15)]
    assert bool(soak.judge_memory("worker", values)) is told


@pytest.mark.parametrize(("crossed", "told"), [(1, False), (2, True)])
def test_requests_that_lose_their_connection_are_bounded(crossed: int, told: bool) -> None:
    """One in ten reloads may; more is a server that closes connections under requests."""
    history = [replace(look, reloads=15) for look in looks()]
    churn = SimpleNamespace(failures=Counter(), crossed=Counter({"http1: closed": crossed}))
    assert bool(soak.judge(history, churn)) is told
