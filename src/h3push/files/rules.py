"""How a site is served beyond its files: what stands for a missing one, and how long each may be kept.

/about          about.html, where there is no `about`
/docs/          a listing, where there is no index.html and listings are wanted
/any/route      index.html of the root, for an application that routes in the browser (`spa`)
anything else   404.html of the root, with 404
"""

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase

from h3push.http.default_fields import DefaultFields

HASHED = "hashed"
"""In place of a pattern: names with a hash of their content, as build tools make them (`index-BhX81yqK.js`)."""

IMMUTABLE = "public, max-age=31536000, immutable"
"""For what never changes under its name: a year, which is as long as anything means (RFC 8246)."""

_HASHED = re.compile(r"[-._](?=[\w-]*[0-9])(?=[\w-]*[A-Za-z])[\w-]{8,}(?:\.[a-z0-9]+)+")


@dataclass(frozen=True, slots=True)
class CacheRule:
    """A value of Cache-Control for some paths."""

    pattern: str
    """Of a path without query, with `*` and `?`, or `HASHED`."""
    value: str
    """The value of Cache-Control."""

    def matches(self, path: str) -> bool:
        """True for a path that it is about."""
        if self.pattern == HASHED:
            return _HASHED.search(path.rpartition("/")[2]) is not None
        return fnmatchcase(path, self.pattern)


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteRules:
    """How a directory is served beyond its files."""

    browse: bool = False
    """List directories that have no index.html."""
    spa: bool = False
    """Answer paths that look like pages, and are not there, with index.html of the root."""
    cache: tuple[CacheRule, ...] = ()
    """The first rule that matches a path counts; without one there is no Cache-Control."""

    fields: DefaultFields = DefaultFields()  # noqa: RUF009 - never changed
    """Fields that every answer has besides its own."""

    def cache_control(self, path: str) -> str | None:
        """The value of Cache-Control for a path without query."""
        return next((rule.value for rule in self.cache if rule.matches(path)), None)


def parse_cache_rule(text: str) -> CacheRule:
    """Read `PATTERN=VALUE`; `hashed` alone means a year. `ValueError` for anything else."""
    if text == HASHED:
        return CacheRule(HASHED, IMMUTABLE)
    pattern, equals, value = text.partition("=")
    if not equals or not (pattern == HASHED or pattern.startswith(("/", "*"))):
        raise ValueError(
            f"{text!r} is not PATTERN=VALUE with a pattern like '/assets/*' or '*.css', or the word {HASHED}"
        )
    if not value.isascii() or not value.isprintable():
        raise ValueError(f"{value!r} is no value of a header field")
    return CacheRule(pattern, value)


def looks_like_a_page(path: str) -> bool:
    """True for a path whose last name has no extension: no file of a site's machinery is meant."""
    return "." not in path.rpartition("/")[2]
