"""A server whose clients come and go costs the same in the end as in the beginning, and the soak can tell when it does not."""

import subprocess
import sys
from collections import Counter
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
        "0.1",
        "--rounds",
        "4",
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
    churn = SimpleNamespace(failures=Counter(failures))
    assert [said[: len(sentence)] for said, sentence in zip(soak.judge(history, churn), told, strict=True)] == told
