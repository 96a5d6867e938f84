"""An experiment on several processes: what an interrupt does to it."""

import multiprocessing
import time
from typing import Any

import pytest
from sites import resource

from h3push.lab import experiment
from h3push.lab.experiment import Experiment, run_experiment
from h3push.lab.site import Site


def interrupted(_futures: Any) -> Any:
    """In place of waiting: Ctrl-C, when the processes are at work."""
    deadline = time.monotonic() + 20
    while len(multiprocessing.active_children()) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    raise KeyboardInterrupt


def test_nobody_waits_for_visits_that_are_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends processes in the middle of their visits, which are of 60 MB here and take a minute each."""
    monkeypatch.setattr(experiment, "as_completed", interrupted)
    large = Site(name="large", path="/", size=60_000_000, resources=(resource("/more", "/", 60_000_000),))
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        list(run_experiment(Experiment(site=large), jobs=2))
    assert time.monotonic() - began < 25
    assert not multiprocessing.active_children()
