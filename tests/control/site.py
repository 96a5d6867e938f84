"""A site and its visitors for tests of the controller, on the real stack in virtual time.

The visitors are written for this: they use nothing of what the controller decides by.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from h3push.client.response import ReceivedPush
from h3push.control.controller import Controller
from h3push.control.model import Model
from h3push.testing import World

ASSETS = {"/a.css": 2_000, "/b.js": 3_000, "/never.png": 4_000}
"""What the pages' clients may ask for, and bytes."""


@dataclass
class Site:
    """An application that answers with as many bytes as it is told."""

    sizes: dict[str, int] = field(default_factory=lambda: dict(ASSETS))
    page_bytes: int = 1_000
    links: Sequence[str] = ()
    thinking: float = 0.0
    fields: Sequence[tuple[bytes, bytes]] = ()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        is_asset = "." in path
        size = self.sizes.get(path) if is_asset else self.page_bytes
        if not is_asset and self.thinking:
            await asyncio.sleep(self.thinking)
        headers = [*(self.fields if is_asset else ()), (b"cache-control", b"max-age=600")]
        if not is_asset:
            headers += [(b"link", f"<{link}>; rel=preload; as=script".encode()) for link in self.links]
        await send({"type": "http.response.start", "status": 404 if size is None else 200, "headers": headers})
        await send({"type": "http.response.body", "body": bytes(size or 0)})


@dataclass
class Visit:
    """One page view."""

    pushed: list[str]
    requested: list[str]
    hints: list[str]


async def visit(
    world: World,
    needs: Sequence[str],
    *,
    path: str = "/",
    max_pushes: int | None = 50,
    refuse: bool = False,
    views: int = 1,
    report: bool = True,
    fields: Sequence[tuple[str, str]] = (),
) -> Visit:
    """Load a page on a connection of its own; ask for what it needs and was not pushed; report on the pushes."""
    pushes: dict[str, ReceivedPush] = {}

    def promised(push: ReceivedPush) -> bool:
        pushes.setdefault(push.request.path, push)
        return not refuse

    last = Visit([], [], [])
    async with world.connect(max_pushes=max_pushes, on_push=promised if max_pushes else None) as client:
        for number in range(views):
            requested: list[str] = []
            response = await client.get(path if number == 0 else f"{path}?{number}", headers=list(fields))
            await response.read()
            hints = [value for _, sent in response.informational for value in sent.get_all("link")]
            hints += response.headers.get_all("link")
            for need in needs:
                if need in pushes and not refuse:
                    await (await pushes[need].response()).read()
                elif number == 0:
                    requested.append(need)
                    await (await client.get(need)).read()
            if number == 0:
                last = Visit(list(pushes), requested, hints)
            await asyncio.sleep(3)
        if report and pushes and not refuse:
            ids = {path: push.push_id for path, push in pushes.items()}
            used = " ".join(str(number) for path, number in ids.items() if path in needs)
            unused = " ".join(str(number) for path, number in ids.items() if path not in needs)
            await (await client.get("/bye", headers=[("push-report", f"used=({used}), unused=({unused})")])).read()
    await asyncio.sleep(4)
    return last


def controller(**more: Any) -> Controller:
    return Controller(Model(**more))


Scenario = Callable[[World], Any]
