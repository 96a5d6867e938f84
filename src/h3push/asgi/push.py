"""`h3push.push`: pushes where a framework swallows ASGI's event.

`h3push.push(request, "/style.css")` finds the way to the server in the request's scope. So it works below middleware that drops
or refuses the event (Starlette's `GZipMiddleware` and `BaseHTTPMiddleware`), in frameworks that have no word for it (Django), and
in functions that run in a thread. A client that takes no pushes gets 103 Early Hints instead. On another server it does nothing:
an application that uses it runs everywhere.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TypedDict

from mypy_extensions import mypyc_attr

from h3push.asgi.events import PushOptions, deliver_path
from h3push.asgi.types import H3PUSH
from h3push.delivery.decision import Way
from h3push.delivery.page import Delivered, PageDelivery
from h3push.h3.push.rules import PushRefusal
from h3push.http.headers import HeadersLike, encode_headers
from h3push.http.priority import Priority
from h3push.plans.plan import PushPlan


class PushMarker(TypedDict):
    """`scope["extensions"]["h3push"]`: there under this server, for every request."""

    push_id: int | None
    """The push ID when this is a promised request; `None` when the client sent it."""
    initiator: str | None
    """Path of the request whose answer caused the push; `None` when the client sent this one."""
    pusher: "Pusher"
    """Leads to the server; used by `h3push.push`."""


class HasScope(Protocol):
    """A framework's request: Starlette's, FastAPI's, Django's and Quart's all have their scope."""

    @property
    def scope(self) -> Mapping[str, Any]:
        """ASGI's scope."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Pusher:
    """The server's end of `h3push.push`, for one request."""

    __slots__ = ("_delivery", "_loop")

    def __init__(self, delivery: PageDelivery) -> None:
        self._delivery = delivery
        self._loop = asyncio.get_running_loop()

    @property
    def takes_pushes(self) -> bool:
        """True when the client agreed to pushes and this request does not say otherwise."""
        return self._delivery.takes_pushes

    def carry_out(self, plan: PushPlan) -> None:
        """Deliver a plan, in the event loop's thread."""
        self._delivery.carry_out(plan)

    def push(self, paths: Iterable[str], options: PushOptions) -> list[Delivered]:
        """Deliver each path. Any thread may call it; another one than the loop's waits for the loop to do it."""
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        if here is self._loop:
            return self._push_here(paths, options)
        return asyncio.run_coroutine_threadsafe(self._push(paths, options), self._loop).result()

    async def _push(self, paths: Iterable[str], options: PushOptions) -> list[Delivered]:
        return self._push_here(paths, options)

    def _push_here(self, paths: Iterable[str], options: PushOptions) -> list[Delivered]:
        return [deliver_path(self._delivery, path, options) for path in paths]


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
    one only. A path that the client does not take raises nothing; the result says what became of each path, in order.

    Args:
        request: a request of Starlette, FastAPI, Django or Quart, or an ASGI scope.
        path: an absolute path, percent-encoded or not, with a query if need be.
        more: further paths.
        as_: their role in the page (`as` of a preload link); `None`: by their extensions.
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


def push_nowait(
    request: "HasScope | Mapping[str, Any]",
    path: str,
    *more: str,
    as_: str | None = None,
    headers: HeadersLike | None = None,
    method: str = "GET",
    priority: Priority | None = None,
    credentials: bool = False,
) -> list[Delivered]:
    """`push` for functions that are not coroutines, in the event loop's thread or any other; the arguments are the same."""
    pusher = find_pusher(request)
    paths = (path, *more)
    if pusher is None:
        return [Delivered(one, Way.NONE, PushRefusal.NOT_ALLOWED_BY_CLIENT) for one in paths]
    options = PushOptions(
        destination=as_,
        fields=tuple(encode_headers(headers)),
        method=method,
        priority=priority,
        credentials=credentials,
    )
    return pusher.push(paths, options)


def find_pusher(request: "HasScope | Mapping[str, Any]") -> Pusher | None:
    """The server's end for this request; `None` on another server, and in frameworks' test clients."""
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
