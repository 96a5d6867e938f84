"""Promised requests that were made before: the same page promises the same things to clients that accept the same.

A promised request has of the page's request what a client would repeat (`COPIED_FIELDS`). So for one page and clients that send
the same of these, it is the same object each time, and what the core remembers of it is found at once. None has a query or
fields of its own, which may hold a secret.
"""

from h3push.delivery.decision import promised_fields
from h3push.http.fields import Field, RequestHead
from h3push.plans.plan import PlannedResource
from h3push.server.push import Push
from h3push.server.request import Request

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


class PagePromises:
    """Makes the promises of one page.

    Args:
        request: the page's request.
        heads: what was promised before.
    """

    __slots__ = ("_heads", "_request")

    def __init__(self, request: Request, heads: PromisedHeads) -> None:
        self._request = request
        copied = tuple(promised_fields(request.head.fields, ()))
        self._heads = heads.of((request.head.authority, copied))

    def push(self, resource: PlannedResource, *, credentials: bool, deferred: bool) -> Push:
        """Promise a resource, as it was promised before where nothing is special about it. Raises what `push_nowait` does."""
        request, path, priority = self._request, resource.path, resource.priority
        is_plain = not resource.fields and not credentials and resource.method == "GET"
        head = self._heads.get(path) if is_plain else None
        if head is not None:
            return request.push_head(path, head, priority, deferred=deferred)
        fields = promised_fields(request.head.fields, resource.fields, credentials=credentials)
        push = request.push_nowait(path, method=resource.method, headers=fields, priority=priority, deferred=deferred)
        if is_plain and push.head is not None and push.path == path:
            self._remember(path, push.head)
        return push

    def _remember(self, path: str, head: RequestHead) -> None:
        if "?" in path or len(path) > MAX_PATH:
            return
        if len(self._heads) >= MAX_HEADS:
            self._heads.clear()
        self._heads[path] = head
