"""Push manifests: the JSON that push-manifest tools write, as a source of push plans.

Two layouts are in use and both are read. One page, the site's index::

    {"/css/app.css": {"type": "style", "weight": 1}, "/js/app.js": {"type": "script"}}

or many, each by its file or its route::

    {"index.html": {"css/app.css": {"type": "style"}}, "/docs/": {"/docs.css": {"type": "style"}}}

Paths may lack their first slash, as in what build tools write. A page named `index.html` is also its directory. The order in
the file is the order of the pushes; `weight` is HTTP/2's and is not used. Entries of other origins are left out and counted.

A plan that `h3push learn` wrote is such a file, with more in it. A page may be a template, and what goes with it may repeat its
values; an entry with `"push": false` says why something is not pushed; a name that begins with `$` is a remark::

    {"/orders/{1}": {"/orders/{1}/items": {"type": "fetch"}, "/logo.svg": {"push": false, "reason": "too unlikely"}}}
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from h3push.http.url import origin_of, resolve, target_of
from h3push.plans.links import planned
from h3push.plans.plan import PlannedResource, PlanSource, PushPlan

_BASE = "https://manifest.invalid/"
_ORIGIN = origin_of(_BASE)
_INDEX = "index.html"
_PLACEHOLDER = re.compile(r"\{([1-9]\d*)\}")
_MAX_BYTES = 16 * 1024 * 1024


class ManifestError(ValueError):
    """The manifest cannot be used; the sentence says where it is wrong."""


@dataclass(frozen=True, slots=True)
class Template:
    """The plan of every page whose path fits."""

    pattern: re.Pattern[str]
    """The paths that fit; a group for each placeholder."""
    resources: Mapping[str, Any]
    """As the file says them, with placeholders."""

    def plan(self, path: str) -> PushPlan | None:
        """The plan for the page at `path`; `None` when it does not fit."""
        match = self.pattern.fullmatch(path)
        if match is None:
            return None
        values = match.groups()
        named = {_filled(name, values): description for name, description in self.resources.items()}
        return _plan(path, named)


@dataclass(frozen=True, slots=True)
class Manifest:
    """Plans by page, as a file says them."""

    plans: Mapping[str, PushPlan] = field(default_factory=dict)
    """By the page's path, percent-encoded, without query."""
    templates: tuple["Template", ...] = ()
    """For pages that have no plan of their own, in the order of the file."""

    def plan(self, target: str) -> PushPlan | None:
        """The plan for a request of `target` (a `:path`; its query does not count), if there is one."""
        path = target.partition("?")[0]
        plan = self.plans.get(path)
        if plan is not None or not self.templates:
            return plan
        return next((plan for template in self.templates if (plan := template.plan(path)) is not None), None)

    @property
    def left_out(self) -> int:
        """Entries that no plan holds, because they lie on another origin."""
        return sum(plan.left_out for plan in {id(plan): plan for plan in self.plans.values()}.values())


def load_manifest(path: str | os.PathLike[str]) -> Manifest:
    """Read a manifest file. `ManifestError` with one sentence when it is not there or not a manifest."""
    name = os.fspath(path)
    try:
        with Path(path).open("rb") as opened:
            data = opened.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ManifestError(f"cannot read the push manifest {name}: {error.strerror or error}") from None
    if len(data) > _MAX_BYTES:
        raise ManifestError(f"the push manifest {name} is larger than {_MAX_BYTES} bytes")
    try:
        return parse_manifest(data)
    except ManifestError as error:
        raise ManifestError(f"{name}: {error}") from None


def parse_manifest(data: bytes) -> Manifest:
    """Read a manifest from its bytes. Raises `ManifestError`."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"not JSON: {error}") from None
    if not isinstance(content, dict):
        raise ManifestError("a push manifest is a JSON object: pages, or the resources of one page")
    if _is_one_page(content):
        content = {_INDEX: content}
    plans: dict[str, PushPlan] = {}
    templates: list[Template] = []
    for page, resources in content.items():
        if page.startswith("$"):
            continue
        if not isinstance(resources, dict):
            raise ManifestError(f'page {page!r}: expected {{"/path": {{"type": "style"}}, ...}}')
        if _PLACEHOLDER.search(page):
            templates.append(_template(page, resources))
            continue
        path = _local_path(page)
        if path is None:
            raise ManifestError(f"page {page!r}: a page is a path on this server")
        plan = plans[path] = _plan(path, resources)
        if path.endswith("/" + _INDEX):
            plans.setdefault(path.removesuffix(_INDEX), plan)
    return Manifest(plans, tuple(templates))


def _template(page: str, resources: Mapping[str, Any]) -> Template:
    """A page with placeholders. `ManifestError` when its resources are none, or name a placeholder that it has not."""
    literals = _PLACEHOLDER.split(page)
    numbers = [int(number) for number in literals[1::2]]
    if numbers != list(range(1, len(numbers) + 1)):
        raise ManifestError(f"page {page!r}: placeholders are {{1}}, {{2}}, ... from the left")
    for name in resources:
        for number in _PLACEHOLDER.findall(name):
            if int(number) > len(numbers):
                raise ManifestError(f"page {page!r}, resource {name!r}: the page has no {{{number}}}")
    template = Template(re.compile("([^/]+)".join(map(re.escape, literals[::2]))), resources)
    template.plan(_filled(page, ["1"] * len(numbers)))  # says what is wrong with the resources
    return template


def _filled(text: str, values: Sequence[str]) -> str:
    return _PLACEHOLDER.sub(lambda number: values[int(number[1]) - 1], text)


def _is_one_page(content: Mapping[str, Any]) -> bool:
    """True when the values describe resources: none of them maps paths to descriptions."""
    return (
        bool(content)
        and all(
            isinstance(entry, dict) and not any(isinstance(value, dict) for value in entry.values())
            for entry in content.values()
        )
        and any(content.values())
    )


def _plan(page: str, resources: Mapping[str, Any]) -> PushPlan:
    found: dict[str, PlannedResource] = {}
    left_out = 0
    for name, description in resources.items():
        if name.startswith("$"):
            continue
        if not isinstance(description, dict):
            raise ManifestError(f'page {page!r}, resource {name!r}: expected {{"type": ...}}')
        kind = description.get("type")
        if kind is not None and not isinstance(kind, str):
            raise ManifestError(f"page {page!r}, resource {name!r}: type is a string such as 'style'")
        path = _local_path(name)
        if path is None:
            left_out += 1
        elif path != page and description.get("push") is not False:
            found.setdefault(path, planned(path, kind, page))
    return PushPlan(page, PlanSource.MANIFEST, tuple(found.values()), left_out)


def _local_path(name: str) -> str | None:
    """A path as it stands in `:path`; `None` when `name` is not on this server."""
    url = resolve(_BASE, name)
    return target_of(url) if url is not None and origin_of(url) == _ORIGIN else None
