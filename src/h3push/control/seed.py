"""A plan that `h3push learn` wrote, as the beginning of a model: what the logs taught counts until the server has seen more."""

import json
from pathlib import Path
from typing import Any

from h3push.control.kinds import EvidenceClass
from h3push.control.model import Candidate, Model, Route
from h3push.control.tally import FADING, Tally
from h3push.errors import H3PushError
from h3push.plans.links import guess_destination

MAX_BYTES = 64 << 20
"""Largest plan that is read, in bytes."""
MEMORY = 1 / (1 - FADING)
"""Views that a memory holds: more of a log count as this many."""


class PlanError(H3PushError):
    """A plan that cannot be read; the sentence says which and why."""


def read_plan(path: Path) -> dict[str, Any]:
    """Read the file. Raises `PlanError`."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        document = json.loads(data) if len(data) <= MAX_BYTES else None
    except OSError as error:
        raise PlanError(f"cannot read the plan {path}: {(error.strerror or str(error)).lower()}") from None
    except (ValueError, RecursionError):
        raise PlanError(f"{path} is not JSON") from None
    if not isinstance(document, dict) or "$learned" not in document:
        raise PlanError(f"{path} is no plan that h3push learn wrote")
    return document


def model_of_plan(path: Path, waste: float) -> Model:
    """A model that knows what a plan knows. Raises `PlanError`."""
    document = read_plan(path)
    model = Model(waste=waste)
    for name, entries in document.items():
        if name.startswith("$"):
            continue
        try:
            model.routes[name] = _route(name, entries)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise PlanError(f"{path}, route {name}: {error!r} is not what h3push learn writes") from None
    for route in model.routes.values():
        for candidate in route.candidates.values():
            for kind, tally in candidate.tallies.items():
                known = model.expectation(candidate.destination, kind)
                known.uses, known.trials = known.uses + tally.uses, known.trials + tally.trials
    return model


def _route(name: str, entries: dict[str, Any]) -> Route:
    said = entries.get("$route", {})
    route = Route(name, int(said.get("views", 0)), float(said.get("page_bytes", 0)))
    if said.get("think_ms") is not None:
        route.think_times = [float(said["think_ms"])]
    for path, entry in entries.items():
        if path.startswith("$"):
            continue
        candidate = Candidate(
            path,
            guess_destination(path),
            float(entry["bytes"]),
            float(entry["position"]),
            float(entry["since_page_ms"]),
            seen_at=max(1, route.views),
        )
        classes = dict(entry["classes"])
        if "unknown" in classes:  # logs that do not tell: taken for the commonest class
            classes.setdefault("new", classes.pop("unknown"))
        for kind, count in classes.items():
            uses, trials = float(count["uses"]), float(count["trials"])
            if not 0 <= uses <= trials:
                raise ValueError(f"{uses:g} uses of {trials:g}")
            faded = min(1.0, MEMORY / trials) if trials else 0.0
            candidate.tallies[EvidenceClass(kind)] = Tally(uses * faded, trials * faded)
        route.candidates[path] = candidate
    return route
