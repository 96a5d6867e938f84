"""Pages and style sheets that passed through, remembered for what they name.

Theory of operation. A page is read while it streams through, and never held: each time that what has come has doubled, it is
scanned, and what it names is pushed before the bytes that name it go on. A whole page is then kept in memory, with the style
sheets that it names, as a `PageSource`: the next request for it has its plan at once, before the upstream has answered.

Only what anybody may see is kept: nothing that is private, that was asked for with an authorization, that sets a cookie or that
depends on one. A 404 is kept too: nothing is promised that the upstream has said it does not have.
"""

import hashlib

from h3push.http.fields import Fields
from h3push.http.headers import has_field
from h3push.plans.bounds import BoundedCache
from h3push.plans.cache import Stamp
from h3push.proxy.decoding import Decoder, decoder_of

PAGE, SHEET = b"text/html", b"text/css"

_PRIVATE = (b"private", b"no-store")
_DEPENDS_ON_A_PERSON = frozenset({b"*", b"cookie", b"authorization"})


class Passages:
    """Responses that passed through, by `:path` without query.

    Args:
        max_bytes: memory for it; what was used longest ago goes first.
        max_page_bytes: the part of one page or sheet that is kept.
    """

    def __init__(self, max_bytes: int = 64 * 1024 * 1024, max_page_bytes: int = 1024 * 1024) -> None:
        self.max_page_bytes = max_page_bytes
        self._kept = BoundedCache[str, tuple[Stamp, bytes, bool]](max_bytes, _size_of)
        self._missing = BoundedCache[str, bool](max_bytes // 64, _size_of_path)

    def passage(self, path: str, request: Fields, status: int, fields: Fields) -> "Passage | None":
        """A response passes: what records it, or `None` when it is of no use here."""
        path = path.partition("?")[0]
        if status in {404, 410}:
            self._missing.keep(path, True)
            return None
        if status != 200 or has_field(fields, b"content-range"):
            return None
        if not self.is_there(path):
            self._missing.keep(path, False)
        named = dict(fields)
        kind = named.get(b"content-type", b"").partition(b";")[0].strip().lower()
        decoder = decoder_of(named.get(b"content-encoding")) if kind in {PAGE, SHEET} else None
        if decoder is None:
            return None
        return Passage(self, path, kind == PAGE, decoder, keep=is_for_everybody(request, fields))

    def keep(self, path: str, content: bytes, is_page: bool) -> None:
        """Keep what has passed whole."""
        stamp = Stamp(hashlib.sha256(content).digest(), len(content))
        self._kept.keep(path, (stamp, content, is_page))

    def load_sheet(self, path: str) -> bytes | None:
        """A style sheet that passed."""
        kept = self._kept.get(path.partition("?")[0])
        return None if kept is None else kept[1]

    # PageSource

    def is_page(self, path: str) -> bool:
        """True when a page was seen there."""
        kept = self._kept.get(path)
        return kept is not None and kept[2]

    def is_there(self, path: str) -> bool:
        """False when the last answer was 404 or 410."""
        return not self._missing.get(path.partition("?")[0])

    def stamp(self, path: str) -> Stamp | None:
        """The state in which it passed last."""
        kept = self._kept.get(path.partition("?")[0])
        return None if kept is None else kept[0]

    def read(self, path: str, limit: int, known: Stamp | None = None) -> tuple[Stamp, bytes | None] | None:
        """The content that passed last."""
        kept = self._kept.get(path.partition("?")[0])
        if kept is None:
            return None
        return kept[0], None if kept[0] == known else kept[1][:limit]


class Passage:
    """A page or a style sheet on its way through."""

    def __init__(self, passages: Passages, path: str, is_page: bool, decoder: Decoder, *, keep: bool) -> None:
        self.is_page = is_page
        """False for a style sheet."""
        self.path = path
        """Its `:path`, without query."""
        self._passages = passages
        self._decoder: Decoder | None = decoder
        self._keep = keep
        self._seen = bytearray()
        self._next = 1

    def add(self, piece: bytes) -> bytes | None:
        """A piece passes. Returns all of the page so far when it is time for a further look at it."""
        if self._decoder is None:
            return None
        most = self._passages.max_page_bytes
        try:
            self._seen += self._decoder.decode(piece, most - len(self._seen))
        except ValueError:
            self._decoder = None  # it is not what it says: its reader will notice
            return None
        if len(self._seen) >= most:
            self._decoder = None
        if not self.is_page or len(self._seen) < self._next:
            return None
        self._next = 2 * len(self._seen)
        return bytes(self._seen)

    def ended(self) -> None:
        """It has passed whole."""
        if self._keep and self._seen:
            self._passages.keep(self.path, bytes(self._seen), self.is_page)


def is_for_everybody(request: Fields, response: Fields) -> bool:
    """True when an answer depends on nobody: not on an authorization or a cookie, and it says that nowhere."""
    if has_field(request, b"authorization") or has_field(response, b"set-cookie"):
        return False
    control = b",".join(value.lower() for name, value in response if name == b"cache-control")
    vary = {one.strip().lower() for name, value in response if name == b"vary" for one in value.split(b",")}
    return not any(word in control for word in _PRIVATE) and vary.isdisjoint(_DEPENDS_ON_A_PERSON)


def _size_of(path: str, kept: tuple[Stamp, bytes, bool]) -> int:
    return len(path) + len(kept[1]) + 400


def _size_of_path(path: str, _there: bool) -> int:
    return len(path) + 200
