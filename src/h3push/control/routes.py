"""Routes: templates of the paths of pages, so that pages which differ in a number or a name count as one.

    /orders/17, /orders/18, ...      ->  /orders/{1}

A template is given, or found: a segment that looks like an identifier (a number, a UUID, a long hexadecimal word) is a
placeholder at once. Placeholders are numbered from the left. What goes with a page may have the same values in its own path
(`/orders/17/items`), and is then known as `/orders/{1}/items`.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from h3push.errors import H3PushError

MAX_VALUES = 2
"""Placeholders whose values are looked for in the paths of what goes with a page."""

_IDENTIFIER = re.compile(r"\d+|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|(?=\D*\d)[0-9a-fA-F]{16,}")
_PLACEHOLDER = re.compile(r"\{[^{}/]*\}")
_NUMBERED = re.compile(r"\{([1-9])\}")


class RouteError(H3PushError, ValueError):
    """A template that cannot be used; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Match:
    """The route of a page."""

    route: str
    """The template; the path itself when the page is alone."""
    values: tuple[str, ...] = ()
    """The values of its placeholders, from the left."""

    def generalized(self, path: str) -> str:
        """A path that goes with the page, with the page's values replaced by placeholders."""
        if not self.values:
            return path
        padded = path + "/"
        for index, value in enumerate(self.values[:MAX_VALUES]):
            padded = padded.replace(f"/{value}/", f"/{{{index + 1}}}/")
        return padded[:-1]

    def filled(self, path: str) -> str:
        """The path that such a generalized one means for this page."""
        if not self.values or "{" not in path:
            return path
        values = self.values
        return _NUMBERED.sub(
            lambda found: values[int(found[1]) - 1] if int(found[1]) <= len(values) else found[0], path
        )


class Router:
    """Finds the route of one page after the other, with no more than its path.

    Args:
        given: templates, with numbered placeholders.
    """

    def __init__(self, given: Iterable[str] = ()) -> None:
        self._given = [(template, template_pattern(template)) for template in given]

    def match(self, path: str) -> Match:
        """The route of a path without query: the first template that it fits, or one with each identifier replaced."""
        for template, pattern in self._given:
            found = pattern.fullmatch(path)
            if found is not None:
                return Match(template, found.groups())
        if not any(character.isdigit() for character in path):
            return Match(path)
        values: list[str] = []
        segments = []
        for segment in path.split("/"):
            if is_identifier(segment):
                values.append(segment)
                segment = f"{{{len(values)}}}"
            segments.append(segment)
        return Match("/".join(segments), tuple(values))


def is_identifier(segment: str) -> bool:
    """True for a segment that names one of many: a number, a UUID, a long hexadecimal word."""
    return _IDENTIFIER.fullmatch(segment) is not None


def numbered(template: str) -> str:
    """The template with its placeholders named by number: `/a/{id}` is `/a/{1}`."""
    count = iter(range(1, 1000))
    return _PLACEHOLDER.sub(lambda _: f"{{{next(count)}}}", template)


def template_pattern(template: str) -> re.Pattern[str]:
    """The paths that a template fits. A placeholder stands for one segment or a part of one.

    Raises: RouteError: it is no absolute path, or has a brace that is no placeholder.
    """
    literals: Sequence[str] = _PLACEHOLDER.split(template)
    if not template.startswith("/") or any("{" in text or "}" in text for text in literals):
        raise RouteError(f"{template!r} is no route: a route is a path such as /orders/{{id}}")
    return re.compile("([^/]+)".join(map(re.escape, literals)))
