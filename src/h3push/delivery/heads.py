"""Promised requests that were made before: the same page promises the same things to clients that accept the same.

A promised request has of the page's request what a client would repeat (`COPIED_FIELDS`). So for one page and clients that send
the same of these, it is the same object each time, and what the core remembers of it is found at once. None has a query or
fields of its own, which may hold a secret.
"""

from h3push.http.fields import Field, RequestHead

MAX_KINDS = 64
"""Kinds of clients, by the authority and what they accept; when there are more, all are forgotten."""
MAX_HEADS = 256
"""Promised requests of each kind; when there are more, those of the kind are forgotten."""
MAX_PATH = 1024
"""Bytes of a path that is remembered."""

Kind = tuple[bytes | None, tuple[Field, ...]]
"""The authority, and the fields that are copied."""


class PromisedHeads:
    """The promised requests of a server, by kind of client and path."""

    def __init__(self) -> None:
        self._kinds: dict[Kind, dict[str, RequestHead]] = {}

    def of(self, kind: Kind) -> dict[str, RequestHead]:
        """Those for one kind of client, by path."""
        heads = self._kinds.get(kind)
        if heads is None:
            if len(self._kinds) >= MAX_KINDS:
                self._kinds.clear()
            heads = self._kinds[kind] = {}
        return heads


def remember(heads: dict[str, RequestHead], path: str, head: RequestHead) -> None:
    """Keep a promised request that has no fields but the copied ones, unless its path may hold a secret or is long."""
    if "?" in path or len(path) > MAX_PATH:
        return
    if len(heads) >= MAX_HEADS:
        heads.clear()
    heads[path] = head
