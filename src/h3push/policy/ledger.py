"""What a connection was given already: the memory behind "each at most once on a connection".

A client that got a resource on this connection, because it asked or because it was pushed, has it or has decided not to keep
it. Either way a second copy is waste (Rule 4 of Bergan, Pelchat and Buettner: never push what is cached).
"""

from collections.abc import Iterator

MAX_PATHS = 4_096
"""How many paths a ledger remembers. At some 150 bytes each that bounds a connection at about 600 kB, and it is thirty times
what a large page consists of. A full ledger refuses every further push: no push is the safe mistake."""


class ConnectionLedger:
    """Paths that were sent or promised on one connection, in order."""

    __slots__ = ("_given", "_max_paths")

    def __init__(self, max_paths: int = MAX_PATHS) -> None:
        self._given: dict[str, None] = {}
        self._max_paths = max_paths

    def __contains__(self, path: str) -> bool:
        return path in self._given

    def __len__(self) -> int:
        return len(self._given)

    def __iter__(self) -> Iterator[str]:
        return iter(self._given)

    @property
    def is_full(self) -> bool:
        """True when no further path can be remembered."""
        return len(self._given) >= self._max_paths

    def may_push(self, path: str) -> bool:
        """True when `path` was neither sent nor promised, and a promise could be remembered."""
        return path not in self._given and not self.is_full

    def record(self, path: str) -> None:
        """Remember that `path` was sent or promised. A full ledger forgets nothing and takes nothing more."""
        if not self.is_full:
            self._given[path] = None
