"""Page views in logs that know no connection: who asked for what, how soon after which page.

A visitor is known by a keyed hash of address and program; the key is made for one reading and never leaves it. The rules are
those of the server's own log (`server.views`), as far as such logs allow: a path without a file extension, or with one that pages
have, is a page. All else belongs to the view of the page that its Referer names, or else to the visitor's latest within `QUIET`.
"""

import posixpath
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from hashlib import blake2b
from urllib.parse import urlsplit

QUIET = 5.0
"""Seconds after the last response of a view in which one without Referer still belongs to it; such logs count whole seconds."""
LONGEST = 60.0
"""Seconds after its page in which a response belongs to a view at all."""
MAX_VISITORS = 100_000
"""Visitors that are remembered at a time; whoever was quiet longest is forgotten first."""
MAX_PATHS = 256
"""Paths of a visitor that are remembered for the Referer of later rows."""
PAGE_EXTENSIONS = frozenset({"", ".html", ".htm", ".xhtml", ".php", ".asp", ".aspx", ".jsp"})
"""File extensions of what counts as a page."""


@dataclass(slots=True)
class _View:
    name: str
    page: str
    began: float
    last: float
    members: int = 0


@dataclass(slots=True)
class _Visitor:
    name: str
    views: int = 0
    latest: _View | None = None
    of_path: OrderedDict[str, _View] = field(default_factory=OrderedDict)


@dataclass(frozen=True, slots=True)
class Seen:
    """Where a row belongs."""

    view: str
    """A name for the page view."""
    page: str
    """Path of its page."""
    position: int
    """0 for the page."""
    since_page: float
    """Seconds from the page to this row."""


class Visitors:
    """Everybody who was seen in one reading."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(16)
        self._visitors: OrderedDict[str, _Visitor] = OrderedDict()

    def see(self, visitor: str, path: str, referrer: str, time: float) -> Seen | None:
        """Place a row; `None` for what belongs to no page that was seen. `time` in seconds."""
        who = self._visitor(visitor)
        view = None if is_page(path) else self._view(who, referrer, time)
        if view is None:
            if not is_page(path):
                return None
            who.views += 1
            view = who.latest = _View(f"{who.name}/{who.views}", path, time, time)
            seen = Seen(view.name, path, 0, 0.0)
        else:
            view.members += 1
            view.last = max(view.last, time)
            seen = Seen(view.name, view.page, view.members, max(0.0, time - view.began))
        who.of_path[path] = view
        who.of_path.move_to_end(path)
        if len(who.of_path) > MAX_PATHS:
            who.of_path.popitem(last=False)
        return seen

    def _visitor(self, visitor: str) -> _Visitor:
        name = blake2b(visitor.encode("utf-8", "surrogatepass"), digest_size=8, key=self._key).hexdigest()
        who = self._visitors.get(name)
        if who is None:
            who = self._visitors[name] = _Visitor(name)
            if len(self._visitors) > MAX_VISITORS:
                self._visitors.popitem(last=False)
        else:
            self._visitors.move_to_end(name)
        return who

    @staticmethod
    def _view(who: _Visitor, referrer: str, time: float) -> _View | None:
        named = who.of_path.get(_path_of(referrer)) if referrer not in {"", "-"} else None
        if named is not None and time - named.began <= LONGEST:
            return named
        latest = who.latest
        if latest is None or time - latest.last > QUIET or time - latest.began > LONGEST:
            return None
        return latest


def is_page(path: str) -> bool:
    """True for a path that a page may have."""
    return posixpath.splitext(path.partition("?")[0])[1].lower() in PAGE_EXTENSIONS


def _path_of(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
