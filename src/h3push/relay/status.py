"""The status of a relay, below `/.h3push/`: for a person at a terminal, for a browser, and for a program.

`/.h3push/` is text, HTML or JSON, by the Accept field; `/.h3push/status.json` is JSON; `/.h3push/events` tells the same each time
that it changed (server-sent events). It answers addresses of this machine alone, and nothing here changes anything.
"""

import asyncio
import ipaddress
import json
from collections.abc import Callable
from typing import Any

from h3push.asgi.types import Receive, Scope, Send
from h3push.client.pool import Pool
from h3push.client.stored import ResponseStore
from h3push.relay.loads import Load, Loads
from h3push.relay.settings import RelaySettings
from h3push.relay.status_page import PAGE, POLICY
from h3push.relay.status_text import as_text
from h3push.relay.upkeep import Upkeep

PERIOD = 0.5
"""Seconds between two looks at whether something has changed."""
_NOT_STORED = (b"cache-control", b"no-store")
_TEXT, _JSON, _HTML = b"text/plain; charset=utf-8", b"application/json", b"text/html; charset=utf-8"


class Status:
    """The status of a relay, as an ASGI application.

    Args:
        pool: its client.
        store: its cache.
        loads: what went through it.
        settings: its bounds.
        origins: gives where each origin is found here, and its connection.
    """

    def __init__(
        self,
        pool: Pool,
        store: ResponseStore,
        loads: Loads,
        settings: RelaySettings,
        origins: Callable[[], list[tuple[str, Upkeep]]],
    ) -> None:
        self._pool = pool
        self._store = store
        self._loads = loads
        self._settings = settings
        self._origins = origins
        self._closing = asyncio.Event()
        self._watchers = 0

    def close(self) -> None:
        """End the streams of events."""
        self._closing.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path = scope["path"].removeprefix("/.h3push")
        headers = dict(scope["headers"])
        if not _is_here(scope):
            await _answer(send, 403, _TEXT, b"the status of a relay is for its own machine\n")
        elif scope["method"] not in {"GET", "HEAD"}:
            await _answer(send, 405, _TEXT, b"the status can be read, not changed\n")
        elif path == "/events":
            await self._tell(receive, send)
        elif path == "/status.json":
            await _answer(send, 200, _JSON, self._json())
        elif path == "/":
            kind = preferred(headers.get(b"accept", b"").decode("latin-1"))
            content = {_TEXT: self._text, _JSON: self._json, _HTML: PAGE.encode}[kind]()
            await _answer(send, 200, kind, content)
        else:
            await _answer(send, 404, _TEXT, b"the status is at /.h3push/\n")

    def facts(self) -> dict[str, Any]:
        """The facts that all three forms tell. Times are in milliseconds."""
        stats, loads, store = self._pool.push_stats, self._loads, self._store
        return {
            "origins": [
                {"origin": f"https://{upkeep.origin.authority}", "here": here, **_connection(upkeep)}
                for here, upkeep in self._origins()
            ],
            "requests": {
                **loads.sources,
                "under_way": loads.under_way,
                "bytes": loads.octets,
                "websockets": loads.websockets,
            },
            "pushes": {
                "promised": stats.promised,
                "claimed": stats.claimed,
                "waiting": stats.unclaimed,
                "cancelled": {why.value: number for why, number in stats.cancelled.items() if number},
                "bytes_claimed": stats.bytes_claimed,
                "bytes_wasted": stats.bytes_wasted,
            },
            "round_trips_saved": stats.round_trips_saved,
            "cache": {"responses": len(store), "bytes": store.octets, "most_bytes": self._settings.stored_bytes},
            "loads": [_load(load) for load in reversed(loads.last)],
        }

    def _json(self) -> bytes:
        return json.dumps(self.facts(), indent=1).encode() + b"\n"

    def _text(self) -> bytes:
        return as_text(self.facts()).encode()

    async def _tell(self, receive: Receive, send: Send) -> None:
        """Send the facts whenever they have changed, until the browser leaves."""
        if self._watchers >= self._settings.watchers:
            await _answer(send, 503, _TEXT, b"too many look at the status already\n")
            return
        self._watchers += 1
        gone = asyncio.create_task(_wait_gone(receive))
        try:
            head = [(b"content-type", b"text/event-stream"), _NOT_STORED]
            await send({"type": "http.response.start", "status": 200, "headers": head})
            before = b""
            while not gone.done() and not self._closing.is_set():
                said = json.dumps(self.facts()).encode()
                if said != before:
                    before = said
                    await send({"type": "http.response.body", "body": b"data: " + said + b"\n\n", "more_body": True})
                await asyncio.wait({gone}, timeout=PERIOD)
            await send({"type": "http.response.body", "body": b""})
        finally:
            gone.cancel()
            self._watchers -= 1


def _connection(upkeep: Upkeep) -> dict[str, Any]:
    stats = {} if upkeep.connection is None else upkeep.connection.stats  # empty when it has just ended
    told: dict[str, Any] = {"connected": "rtt" in stats, "connections_so_far": upkeep.opened}
    if "rtt" not in stats:
        return {**told, "error": upkeep.error}
    return {
        **told,
        "round_trip": round(stats["rtt"] * 1000, 1),
        "lost_packets": stats.get("lost_packets", 0),
    }


def _load(load: Load) -> dict[str, Any]:
    def since(moment: float | None) -> float | None:
        return None if moment is None else round((moment - load.began) * 1000, 1)

    rows = [
        {
            "path": row.path, "status": row.status, "source": row.source, "bytes": row.octets, "began": since(row.began),
            "answered": since(row.answered), "ended": since(row.ended),
        }
        for row in load.rows
    ]  # fmt: skip
    return {"origin": load.authority, "rows": rows, "more": load.more}


def preferred(accept: str) -> bytes:
    """HTML for browsers, which name it; JSON for who names that; text for everybody else."""
    kinds = [one.partition(";")[0].strip().lower() for one in accept.split(",")]
    for kind in kinds:
        if kind == "text/html":
            return _HTML
        if kind == "application/json":
            return _JSON
    return _TEXT


def _is_here(scope: Scope) -> bool:
    client = scope.get("client")
    try:
        return client is not None and ipaddress.ip_address(client[0]).is_loopback
    except ValueError:
        return False


async def _wait_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _answer(send: Send, status: int, kind: bytes, content: bytes) -> None:
    fields = [
        (b"content-type", kind),
        (b"content-length", str(len(content)).encode()),
        (b"content-security-policy", POLICY.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"vary", b"accept"),
        _NOT_STORED,
    ]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": content})
