"""The model as JSON, and back: whole, or one page view of it. Anything else is refused, whoever wrote it."""

import json
from typing import Any

from h3push.control.effect import Effect
from h3push.control.kinds import Arm, EvidenceClass
from h3push.control.model import Candidate, Fate, Model, Route, Seen, ViewSeen
from h3push.control.sequence import ConfidenceSequence
from h3push.control.tally import Tally

VERSION = 1
"""Version of the format; another one is not read."""
_encode = json.JSONEncoder(separators=(",", ":")).encode


class SnapshotError(ValueError):
    """The text is neither a model nor a view."""


def view_to_text(view: ViewSeen) -> str:
    """Write a view."""
    members = [[one.path, one.fate.value, one.size, one.position, round(one.since_ms, 1)] for one in view.members]
    arm = None if view.arm is None else view.arm.value
    return _encode(
        [view.route, view.kind.value, view.page_bytes, view.think_ms, members, view.bytes, view.wasted, arm,
         view.share, view.complete_ms, view.stratum, view.pushes, view.unused]
    )  # fmt: skip


def view_of_text(text: str) -> ViewSeen:
    """Read a view. Raises `SnapshotError`."""
    try:
        route, kind, page_bytes, think_ms, members, size, wasted, arm, share, complete_ms, *rest = json.loads(text)
        stratum, pushes, unused = rest
        return ViewSeen(
            route=str(route),
            kind=EvidenceClass(kind),
            page_bytes=float(page_bytes),
            think_ms=float(think_ms),
            members=tuple(_seen(*member) for member in members),
            bytes=float(size),
            wasted=float(wasted),
            arm=None if arm is None else Arm(arm),
            share=float(share),
            complete_ms=None if complete_ms is None else float(complete_ms),
            stratum=str(stratum),
            pushes=int(pushes),
            unused=float(unused),
        )
    except (ValueError, TypeError, RecursionError) as error:
        raise SnapshotError(f"no page view: {error}") from None


def _seen(path: Any, fate: Any, size: Any, position: Any, since_ms: Any) -> Seen:
    return Seen(str(path), Fate(fate), float(size), float(position), float(since_ms))


def model_to_text(model: Model) -> str:
    """Write the model."""
    expectations = [[name, kind.value, *_tally(tally)] for (name, kind), tally in model.expectations.items()]
    return _encode(
        {
            "version": VERSION,
            "price": model.price,
            "bytes": model.bytes,
            "wasted": model.wasted,
            "toll": model.toll,
            "pushes": model.pushes,
            "unused": model.unused,
            "expectations": expectations,
            "paths": [[path, kind.value, *_tally(tally)] for (path, kind), tally in model.paths.items()],
            "routes": [_route(route) for route in model.routes.values()],
        }
    )


def _route(route: Route) -> dict[str, Any]:
    effect = route.effect
    return {
        "name": route.name,
        "views": route.views,
        "page_bytes": route.page_bytes,
        "think_times": route.think_times,
        "candidates": [_candidate(one) for one in route.candidates.values()],
        "saved": [effect.saved.count, effect.saved.mean, effect.saved.squares],
        "arms": effect.views,
        "means": effect.means,
        "since_demoted": effect.since_demoted,
    }


def _candidate(one: Candidate) -> list[Any]:
    tallies = {kind.value: _tally(tally) for kind, tally in one.tallies.items()}
    return [one.path, one.destination, one.size, one.position, one.since_ms, one.seen_at, tallies]


def _tally(tally: Tally) -> list[float]:
    return [tally.uses, tally.trials, tally.run]


def model_of_text(text: str, waste: float) -> Model:
    """Read the model. Raises `SnapshotError`."""
    try:
        said = json.loads(text)
        if said["version"] != VERSION:
            raise SnapshotError(f"version {said['version']}, not {VERSION}")
        model = Model(waste=waste, price=float(said["price"]))
        model.bytes, model.wasted = float(said["bytes"]), float(said["wasted"])
        model.toll, model.pushes, model.unused = float(said["toll"]), float(said["pushes"]), float(said["unused"])
        for name, kind, *figures in said["expectations"]:
            model.expectations[str(name), EvidenceClass(kind)] = _tally_of(figures)
        for path, kind, *figures in said["paths"]:
            model.paths[str(path), EvidenceClass(kind)] = _tally_of(figures)
        for one in said["routes"]:
            model.routes[str(one["name"])] = _route_of(one)
    except SnapshotError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise SnapshotError(f"no model: {error!r}") from None
    return model


def _route_of(said: dict[str, Any]) -> Route:
    count, mean, squares = said["saved"]
    effect = Effect(ConfidenceSequence(int(count), float(mean), float(squares)))
    effect.views.update({Arm(arm).value: int(views) for arm, views in said["arms"].items()})
    effect.means = {str(name): [int(known[0]), float(known[1])] for name, known in said["means"].items()}
    effect.since_demoted = int(said["since_demoted"])
    route = Route(str(said["name"]), int(said["views"]), float(said["page_bytes"]), effect=effect)
    route.think_times = [float(time) for time in said["think_times"]]
    for path, destination, size, position, since_ms, seen_at, tallies in said["candidates"]:
        candidate = Candidate(str(path), str(destination), float(size), float(position), float(since_ms))
        candidate.seen_at = int(seen_at)
        candidate.tallies = {EvidenceClass(kind): _tally_of(figures) for kind, figures in tallies.items()}
        route.candidates[candidate.path] = candidate
    return route


def _tally_of(figures: list[Any]) -> Tally:
    uses, trials, run = figures
    if not 0 <= float(uses) <= float(trials):
        raise SnapshotError(f"{uses} uses of {trials}")
    return Tally(float(uses), float(trials), int(run))
