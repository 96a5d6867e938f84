"""Pushes that an application asks for: by ASGI's event, or by `h3push.push` where a framework swallows the event.

`h3push.push(request, "/style.css")` finds in the request's scope the object that leads to the server, so that it works
below middleware that drops or refuses the event (Starlette's `BaseHTTPMiddleware` and `GZipMiddleware`), in frameworks that
have no word for it (Django), and in functions that run in a thread. To a client that takes no pushes it says the same as 103.
On another server it does nothing: an application that uses it runs everywhere.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TypedDict, runtime_checkable

from h3push.asgi.events import page_url
from h3push.asgi.types import H3PUSH, Message
from h3push.delivery.decision import Way, WhyNot, target_to_push
from h3push.delivery.page import Delivered, PageDelivery
from h3push.http.fields import Fields
from h3push.http.headers import HeadersLike, encode_headers
from h3push.http.priority import Priority, parse_priority
from h3push.plans.links import planned
from h3push.plans.plan import PlannedResource

PUSHABLE = frozenset({"GET", "HEAD"})
"""Methods that may be promised (RFC 9114 section 4.6: safe, cacheable, without content)."""


class PushMarker(TypedDict):
    """`scope["extensions"]["h3push"]`: there under this server, for every request."""

    push_id: int | None
    """The push ID when this is a promised request; `None` when the client sent it."""
    initiator: str | None
    """Path of the request whose answer caused the push; `None` when the client sent this one."""
    pusher: "Pusher"
    """Leads to the server; used by `h3push.push`."""


@runtime_checkable
class HasScope(Protocol):
    """A framework's request: Starlette's, FastAPI's, Django's and Quart's all have their scope."""

    @property
    def scope(self) -> Mapping[str, Any]:
        """ASGI's scope."""


class Pusher:
    """The server's end of `h3push.push`, for one request."""

    __slots__ = ("_delivery", "_loop")

    def __init__(self, delivery: PageDelivery) -> None:
        self._delivery = delivery
        self._loop = asyncio.get_running_loop()

    def push(
        self,
        paths: Iterable[str],
        *,
        as_: str | None = None,
        headers: HeadersLike | None = None,
        method: str = "GET",
        priority: Priority | None = None,
        credentials: bool = False,
    ) -> list[Delivered]:
        """Deliver each path; in the loop's thread only."""
        fields = encode_headers(headers)
        return [deliver_path(self._delivery, path, as_, fields, method, priority, credentials) for path in paths]

    def push_from_anywhere(self, paths: Iterable[str], **options: Any) -> list[Delivered]:
        """The same from any thread; from another one it waits for the loop to do it."""
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        if here is self._loop:
            return self.push(paths, **options)
        return asyncio.run_coroutine_threadsafe(self._push(paths, options), self._loop).result()

    async def _push(self, paths: Iterable[str], options: dict[str, Any]) -> list[Delivered]:
        return self.push(paths, **options)


def deliver_path(
    delivery: PageDelivery,
    path: object,
    destination: str | None,
    fields: Fields,
    method: str,
    priority: Priority | None,
    credentials: bool,
) -> Delivered:
    """Deliver what an application named by a path. Never raises for the path: what cannot be pushed is refused and counted."""
    url = page_url(delivery)
    target = target_to_push(path, url)
    if isinstance(target, WhyNot):
        return delivery.refuse(path, target)
    if method not in PUSHABLE:
        return delivery.refuse(path, WhyNot.INVALID)
    found = planned(target, destination, delivery.request.path)
    resource = PlannedResource(
        target, found.kind, found.stage, found.named_in, method=method, fields=tuple(fields), wanted_priority=priority
    )
    return delivery.deliver(resource, credentials=credentials)


def push_event(delivery: PageDelivery, message: Message) -> Delivered:
    """`http.response.push`: `path` and `headers` as ASGI has them; `as`, `method` and `priority` are ours and optional."""
    fields = [(bytes(name).lower(), bytes(value)) for name, value in message.get("headers", ())]
    wanted = message.get("priority")
    priority = parse_priority(str(wanted).encode("latin-1", "replace")) if wanted is not None else None
    destination = message.get("as")
    return deliver_path(
        delivery,
        message.get("path"),
        str(destination) if destination is not None else None,
        fields,
        str(message.get("method", "GET")),
        priority,
        False,
    )


async def push(
    request: "HasScope | Mapping[str, Any]",
    path: str,
    *more: str,
    as_: str | None = None,
    headers: HeadersLike | None = None,
    method: str = "GET",
    priority: Priority | None = None,
    credentials: bool = False,
) -> list[Delivered]:
    """Give the client what goes with this response: pushed where it agreed, as 103 Early Hints where it did not.

    Call it before the response begins, and give all paths at once: they then share one 103, and Chromium acts on the first
    one only. Never raises for what the client does not take; what comes back says what became of each path, in order.

    Args:
        request: a request of Starlette, FastAPI, Django or Quart, or an ASGI scope.
        path: an absolute path, percent-encoded or not, with a query if need be.
        more: further paths.
        as_: what they are (`as` of a preload link); `None`: by their extensions.
        headers: fields of the promised requests besides accept, accept-encoding, accept-language and user-agent, which are
            copied from `request`.
        method: "GET", or "HEAD".
        priority: RFC 9218 urgency among pushes; `None`: style sheets and scripts first, then fonts, data, images.
        credentials: promise with the cookies and the authorization of `request`.
    """
    return push_nowait(
        request,
        path,
        *more,
        as_=as_,
        headers=headers,
        method=method,
        priority=priority,
        credentials=credentials,
    )


def push_nowait(request: "HasScope | Mapping[str, Any]", path: str, *more: str, **options: Any) -> list[Delivered]:
    """`push` for functions that are not coroutines, in the event loop's thread or any other; the arguments are the same."""
    pusher = find_pusher(request)
    paths = (path, *more)
    if pusher is None:
        return [Delivered(one, Way.NONE, WhyNot.NOT_AGREED) for one in paths]
    return pusher.push_from_anywhere(paths, **options)


def find_pusher(request: "HasScope | Mapping[str, Any]") -> Pusher | None:
    """The way to the server; `None` on another server, and in frameworks' test clients."""
    scope = request if isinstance(request, Mapping) and "type" in request else getattr(request, "scope", None)
    if not isinstance(scope, Mapping):
        raise TypeError(f"h3push.push takes a request with a `scope`, or an ASGI scope, not {type(request).__name__}")
    marker = (scope.get("extensions") or {}).get(H3PUSH)
    return marker["pusher"] if marker else None


def marker_of(delivery: PageDelivery) -> PushMarker:
    """Our extension for one request's scope."""
    request = delivery.request
    return {
        "push_id": request.push_id,
        "initiator": None if request.initiator is None else request.initiator.path,
        "pusher": Pusher(delivery),
    }
