"""The plan as a file: a push manifest with what was counted beside each entry, for `--push-manifest` and for people.

What is not pushed stands there too, with `"push": false` and its reason: so `h3push learn --explain` needs no logs.
"""

import json
import os
import posixpath
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from h3push.control.decision import Verdict
from h3push.control.routes import template_pattern
from h3push.control.seed import PlanError, read_plan
from h3push.judge.decision import Judged, Plan
from h3push.judge.explanation import link, reason
from h3push.plans.links import guess_destination

VERSION = 1
"""Version of the entries' fields."""


def to_document(plans: Sequence[Plan]) -> dict[str, Any]:
    """The plan as one JSON object; routes with nothing to tell are left out."""
    document: dict[str, Any] = {"$learned": {"version": VERSION}}
    for plan in plans:
        if plan.judged:
            document[plan.route.route] = {"$route": _figures(plan)} | {
                judged.candidate.path: _entry(judged) for judged in plan.judged
            }
    return document


def _figures(plan: Plan) -> dict[str, Any]:
    route = plan.route
    return {"views": route.views, "link": link(plan), "page_bytes": route.page_bytes, "think_ms": route.think_ms}


def _entry(judged: Judged) -> dict[str, Any]:
    candidate = judged.candidate
    return {
        "type": guess_destination(posixpath.basename(candidate.path)),
        "push": judged.verdict is Verdict.PUSH,
        "verdict": judged.verdict.value,
        "reason": reason(judged),
        "uses": candidate.total.uses,
        "trials": candidate.total.trials,
        "bound": round(judged.bound, 4),
        "classes": {
            kind.value: {"uses": count.uses, "trials": count.trials, "bound": round(judged.bounds[kind], 4)}
            for kind, count in candidate.by_class.items()
        },
        "bytes": round(candidate.size),
        "position": candidate.position,
        "since_page_ms": round(candidate.since_page_ms, 1),
        "saves_ms": round(judged.saved_ms, 1),
        "expected_ms": round(judged.expected_ms, 1),
        "break_even": round(judged.break_even, 4),
    }


def write_plan(plans: Sequence[Plan], path: Path) -> None:
    """Write the plan: aside first, then in one step, so that a server never reads half of it. Raises `OSError`."""
    text = json.dumps(to_document(plans), indent=2, ensure_ascii=False) + "\n"
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise


def explain_file(path: Path, page: str) -> str:
    """Say in words what a plan has for the page at the path `page`.

    Raises: PlanError: there is no such plan, or nothing in it for the page.
    """
    document = read_plan(path)
    route = page if page in document else next((name for name in document if _fits(name, page)), None)
    entries = None if route is None else document[route]
    if not isinstance(entries, dict):
        raise PlanError(f"{path} has nothing for {page}")
    lines = [f"{route}"]
    for name, entry in entries.items():
        if not isinstance(entry, dict):
            continue
        if name == "$route":
            lines.append(f"  {entry.get('link')}")
        elif not name.startswith("$"):
            lines.append(f"  {'push' if entry.get('push', True) else 'leave':<5}  {name}: {entry.get('reason')}")
    return "\n".join(lines)


def _fits(route: str, page: str) -> bool:
    return "{" in route and template_pattern(route).fullmatch(page) is not None
