"""Routes: templates of the paths of pages, so that pages which differ in a number or a name count as one.

    /orders/17, /orders/18, ...      ->  /orders/{1}

A template is given, or found: a segment that looks like an identifier (a number, a UUID, a long hexadecimal word) is a
placeholder at once, any other place in a path becomes one when more than `MAX_SIBLINGS` different segments were seen there behind
the same beginning. Placeholders are numbered from the left. What goes with a page may have the same values in its own path
(`/orders/17/items`), and is then learned as `/orders/{1}/items`.
"""

from collections.abc import Iterable, Mapping, Sequence

from h3push.control.routes import Match, is_identifier, numbered, template_pattern

MAX_SIBLINGS = 100
"""Different segments in one place that are still sections or pages of their own."""


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
                if segment and (folds or is_identifier(segment)):
                    values = [*values, segment]
                    segment = f"{{{len(values)}}}"
                deeper.setdefault((*prefix, segment), []).append((path, rest[1:], values))
        by_prefix = deeper
    return found


def _is_wide(segments: set[str]) -> bool:
    return sum(not is_identifier(segment) for segment in segments) > MAX_SIBLINGS
