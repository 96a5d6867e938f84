"""Middleware that eats ASGI's push event, found by sending one through each.

Theory of operation. A middleware is an application around another one. Here each is put around an application that pushes, and is
called once with a request that pushes nothing and once with one that does. What it lets out tells what it does with the event,
whatever its name is.
"""

import asyncio
import copy
from collections.abc import Callable, Iterator
from typing import Any

from h3push.asgi.types import PUSH, SPEC, ASGIApplication, Message, Receive, Scope, Send
from h3push.doctor.finding import Finding, advice, good, wrong

TOPIC = "middleware"
PATIENCE = 5.0
"""Seconds that one middleware may take for a request."""
REMEDY = "declare pushes with h3push.push(request, path), which goes around it, or with Link fields"

Around = Callable[[ASGIApplication], ASGIApplication]
"""Puts a middleware around an application."""


class Core:
    """The application in the middle: it pushes, where that is wanted and offered."""

    def __init__(self, pushes: bool) -> None:
        self._pushes = pushes
        self.called = False
        """True when a request came through."""
        self.offered = False
        """True when the extension came through."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        self.called = True
        self.offered = PUSH in (scope.get("extensions") or {})
        if self._pushes and self.offered:
            await send({"type": PUSH, "path": "/style.css", "headers": []})
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": b"<!doctype html>" * 100})


def examine_middleware(app: object) -> list[Finding]:
    """Send a push through each middleware of an application."""
    findings = [asyncio.run(_examine(name, around)) for name, around in layers(app)]
    return findings or [good(TOPIC, "there is none that could be looked at")]


def layers(app: object) -> Iterator[tuple[str, Around]]:
    """The middleware of an application, the outermost first: what wraps it (`.app`), then what Starlette and FastAPI list."""
    seen: set[int] = set()
    while id(app) not in seen:
        seen.add(id(app))
        for one in getattr(app, "user_middleware", ()):
            yield getattr(one.cls, "__name__", str(one.cls)), _listed(one)
        inner = getattr(app, "app", None)
        if not callable(inner):
            return
        yield type(app).__name__, _wrapper(app)
        app = inner


def _listed(one: Any) -> Around:
    arguments = getattr(one, "args", ())
    options = getattr(one, "kwargs", None) or getattr(one, "options", {})
    return lambda core: one.cls(core, *arguments, **options)


def _wrapper(outer: Any) -> Around:
    def around(core: ASGIApplication) -> ASGIApplication:
        copied = copy.copy(outer)
        copied.app = core
        return copied  # type: ignore[no-any-return]

    return around


async def _examine(name: str, around: Around) -> Finding:
    try:
        plain = Core(pushes=False)
        await _events(around(plain))
    except Exception as error:
        return advice(
            TOPIC, f"{name} could not be tried: {type(error).__name__}: {error}", "h3push get -v URL, to see the pushes"
        )
    if not plain.called:
        return advice(TOPIC, f"{name} answers a plain GET / by itself, so it could not be tried", "h3push get -v URL")
    if not plain.offered:
        return wrong(TOPIC, f"{name} hides the extension {PUSH} from the application", REMEDY)
    try:
        events = await _events(around(Core(pushes=True)))
    except Exception as error:
        return wrong(TOPIC, f"{name} fails on the push event ({type(error).__name__})", REMEDY)
    if PUSH not in events:
        return wrong(TOPIC, f"{name} drops the push event", REMEDY)
    return good(TOPIC, f"{name} lets pushes through")


async def _events(app: ASGIApplication) -> list[str]:
    """Call an application once; the types of what it sent."""
    sent: list[str] = []

    async def receive() -> Message:
        if sent[-1:] == ["http.response.body"]:
            await asyncio.sleep(PATIENCE)
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message["type"])

    async with asyncio.timeout(PATIENCE):
        await app(_scope(), receive, send)
    return sent


def _scope() -> Scope:
    return {
        "type": "http",
        "asgi": SPEC,
        "http_version": "3",
        "method": "GET",
        "scheme": "https",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost"), (b"accept", b"text/html"), (b"accept-encoding", b"gzip")],
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 443),
        "extensions": {PUSH: {}},
        "state": {},
    }
