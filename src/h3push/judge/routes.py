"""Routes: templates of the paths of pages, so that pages which differ in a number or a name count as one.

    /orders/17, /orders/18, ...      ->  /orders/{1}

A template is given, or found: a segment that looks like an identifier (a number, a UUID, a long hexadecimal word) is a
placeholder at once, any other place in a path becomes one when more than `MAX_SIBLINGS` different segments were seen there behind
the same beginning. Placeholders are numbered from the left. What goes with a page may have the same values in its own path
(`/orders/17/items`), and is then learned as `/orders/{1}/items`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from h3push.errors import H3PushError

MAX_SIBLINGS = 100
"""Different segments in one place that are still sections or pages of their own."""
MAX_VALUES = 2
"""Placeholders whose values are looked for in the paths of what goes with a page."""

_IDENTIFIER = re.compile(r"\d+|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|(?=\D*\d)[0-9a-fA-F]{16,}")
_PLACEHOLDER = re.compile(r"\{[^{}/]*\}")


class RouteError(H3PushError, ValueError):
    """A template that cannot be used; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Match:
    """The route of a page."""

    route: str
    """The template; the path itself when the page is alone."""
    values: tuple[str, ...] = ()
    """The values of its placeholders, from the left."""


def find_routes(paths: Iterable[str], given: Sequence[str] = ()) -> Mapping[str, Match]:
    """The route of each path (without query): the first of the templates `given` that it fits, or one that is found.

    Raises: RouteError: a template that is given is none.
    """
    templates = [(numbered(template), template_pattern(template)) for template in given]
    found: dict[str, Match] = {}
    rest: list[str] = []
    for path in dict.fromkeys(paths):
        for route, pattern in templates:
            match = pattern.fullmatch(path)
            if match is not None:
                found[path] = Match(route, match.groups())
                break
        else:
            rest.append(path)
    return found | _discovered(rest)


def numbered(template: str) -> str:
    """The template with its placeholders named by number: `/a/{id}` is `/a/{1}`."""
    count = iter(range(1, 1000))
    return _PLACEHOLDER.sub(lambda _: f"{{{next(count)}}}", template)


def template_pattern(template: str) -> re.Pattern[str]:
    """The paths that a template fits. A placeholder stands for one segment or a part of one.

    Raises: RouteError: it is no absolute path, or has a brace that is no placeholder.
    """
    literals = _PLACEHOLDER.split(template)
    if not template.startswith("/") or any("{" in text or "}" in text for text in literals):
        raise RouteError(f"{template!r} is no route: a route is a path such as /orders/{{id}}")
    return re.compile("([^/]+)".join(map(re.escape, literals)))


def _discovered(paths: Sequence[str]) -> dict[str, Match]:
    """Templates of paths, segment by segment from the left: a tree whose wide nodes are folded."""
    found: dict[str, Match] = {}
    by_prefix: dict[tuple[str, ...], list[tuple[str, list[str], list[str]]]] = {}
    for path in paths:
        by_prefix.setdefault((), []).append((path, path.split("/")[1:], []))
    while by_prefix:
        deeper: dict[tuple[str, ...], list[tuple[str, list[str], list[str]]]] = {}
        for prefix, group in by_prefix.items():
            folds = _is_wide({rest[0] for _, rest, _ in group if len(rest) > 0 and rest[0]})
            for path, rest, values in group:
                if not rest:
                    found[path] = Match("/" + "/".join(prefix), tuple(values))
                    continue
                segment = rest[0]
                if segment and (folds or _IDENTIFIER.fullmatch(segment)):
                    values = [*values, segment]
                    segment = f"{{{len(values)}}}"
                deeper.setdefault((*prefix, segment), []).append((path, rest[1:], values))
        by_prefix = deeper
    return found


def _is_wide(segments: set[str]) -> bool:
    return sum(_IDENTIFIER.fullmatch(segment) is None for segment in segments) > MAX_SIBLINGS
