"""ARCHITECTURE.md walks a request and a push through the house; here both are followed, and the pages compared."""

import asyncio
import re
import sys
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import h3push
from h3push.h3 import connection
from h3push.testing import World, in_world

from .pages import ROOT

PACKAGE = Path(h3push.__file__).parent
SERVER = ("server.", "asgi.", "delivery.", "files.", "plans.")

Stack = tuple[str, ...]
"""Modules that have called each other, the first one first."""

DETOURS = {
    # A receiver has its bytes read where what they break is dealt with.
    ("h3.response_receiver", "h3.message_streams"),
    # A push stream that waited for its promise is read when the promise is there.
    ("h3.push.client", "h3.client"),
    # A promise is made for a request, of whose budget it asks, and makes one.
    ("server.pushes", "server.request"),
    ("server.request", "server.pushes"),
}
"""(module, the earlier one that it calls to go on): every such pair, with its reason."""

ONE_OBJECT = (
    {
        f"h3.{name}"
        for name in ["message_streams", "connection", "response_streams", "push_streams", "server", "client"]
    },
    {"client.exchanges", "client.session"},
)
"""The core of a connection, and the client's side of one, each with its base classes."""


def parts() -> dict[str, list[str]]:
    """Each part of the walks with its modules, in order."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    found: dict[str, list[str]] = {}
    for block in re.findall(r"```walk\n(.*?)```", text, re.DOTALL):
        for part in block.strip().split("\n\n"):
            title, *lines = part.splitlines()
            found[title] = [line.split()[0] for line in lines]
    return found


def side_of(title: str) -> str:
    return "client" if title.startswith("at the client") else "server"


class Follower:
    """Notes which modules call each other, at the client and at the server, both of which run in this process."""

    def __init__(self, world: World) -> None:
        self.stacks: set[tuple[str, Stack]] = set()
        """(side, modules)."""
        self._client = world.client.session.endpoint

    def follow(self, frame: FrameType, event: str, _: Any) -> None:
        """See a call: what `sys.setprofile` wants."""
        if event != "call" or module_of(frame) is None:
            return
        side, modules = "", list[str]()
        caller: FrameType | None = frame
        while caller is not None:
            module = module_of(caller)
            if module is not None and modules[-1:] != [module]:
                modules.append(module)
                side = side or self._side(module, caller)
            caller = caller.f_back
        self.stacks.add((side, tuple(reversed(modules))))

    def _side(self, module: str, frame: FrameType) -> str:
        if module.startswith("client."):
            return "client"
        if module.startswith(SERVER):
            return "server"
        if module == "runtime.endpoint":
            return "client" if frame.f_locals.get("self") is self._client else "server"
        return ""


@cache
def module_of_file(file: str) -> str | None:
    path = Path(file)
    if not path.is_relative_to(PACKAGE):
        return None
    name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    return None if name.startswith("testing.") else name


def module_of(frame: FrameType) -> str | None:
    return module_of_file(frame.f_code.co_filename)


def handler(request: h3push.Request) -> h3push.Response:
    if request.path == "/":
        request.push_nowait("/style.css")
    return h3push.Response(200, {"content-type": "text/plain"}, request.path)


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] == "/":
        await h3push.push(scope, "/style.css")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"content"})


async def twice(world: World) -> set[tuple[str, Stack]]:
    """A page with a push on a new connection, and again on a used one, until everything is acknowledged."""
    follower = Follower(world)
    sys.setprofile(follower.follow)
    try:
        for _ in range(2):
            visit = await world.visit("/", headers={"x-walk": "1"})  # seen nowhere else: not remembered yet
            await asyncio.sleep(1)
    finally:
        sys.setprofile(None)
    assert visit.response.status == 200
    return follower.stacks


@pytest.fixture(scope="module")
def stacks() -> set[tuple[str, Stack]]:
    """What is called when a handler answers and when an application does."""
    if not str(connection.__file__).endswith(".py"):
        pytest.skip("calls of compiled modules cannot be followed")
    answered = in_world(handler, twice, max_pushes=10)
    return answered | in_world(app, twice, max_pushes=10, serve=h3push.serve_asgi, lifespan=False)


@pytest.mark.parametrize("title", parts())
def test_the_walk_goes_forward(title: str, stacks: set[tuple[str, Stack]]) -> None:
    """Each module of a walk is named once, and called by one that stands before it."""
    modules = parts()[title]
    assert len(modules) == len(set(modules)), "a module is named twice"
    calls = {pair for side, stack in stacks if side == side_of(title) for pair in pairwise(stack)}
    for place, module in enumerate(modules[1:], 1):
        by = sorted(caller for caller, called in calls if called == module)
        assert set(by) & set(modules[:place]), f"none of those before {module} calls it; {by} do"


@pytest.mark.parametrize("title", parts())
def test_nothing_on_the_walk_calls_back(title: str, stacks: set[tuple[str, Stack]]) -> None:
    """No module calls one that stands before it to have the message carried on: only for what ends there, such as a flush."""
    place = {module: number for number, module in enumerate(parts()[title])}
    for side, stack in stacks:
        on_the_walk = [module for module in stack if module in place]
        if on_the_walk[:1] == ["runtime.endpoint"] and place["runtime.endpoint"]:
            del on_the_walk[0]  # a wake-up, in which something goes out
        if side != side_of(title) or len(on_the_walk) < 3 or on_the_walk[-1] != stack[-1]:
            continue
        *_, module, earlier, reached = on_the_walk
        is_back = place[earlier] < place[module] <= place[reached]
        allowed = (module, earlier) in DETOURS or any({module, earlier} <= modules for modules in ONE_OBJECT)
        assert allowed or not is_back, f"{module} calls back {earlier}, which goes on to {reached}: {' > '.join(stack)}"
