"""ARCHITECTURE.md walks a request and a push through the house; here both are followed, and the pages compared."""

import asyncio
import re
import sys
from functools import cache
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

Calls = dict[tuple[str, str, str], set[str]]
"""(side, calling module, called module) -> names of the functions called."""

BESIDE = frozenset(
    {
        # Values are made and looked at where they are needed.
        "__init__",
        "advance",
        "become_pushed",
        "begin_push",
        "budget",
        "now",
        # Somebody is done, or waits; a flush or a deadline is wanted.
        "_finish",
        "_wait_for",
        "finish",
        "kick",
        "next_timeout",
        "progressed",
        "schedule_flush",
        "touch",
        # Events: of the transport, made into calls of the core; of the core, noted for whoever asked.
        "deliver",
        "emit",
        # What a message or a push asks of its connection: sections decoded, its stream paused or held meanwhile.
        "decode_section",
        "hold_push",
        "pause_stream",
        "resume_section",
        "resume_stream",
        "section",
        # The caller reads.
        "next_promise",
        "read_to_end",
        "wait_answer",
        # The two detours that there are: a receiver has its bytes read where what they break is dealt with, and a push
        # stream that waited for its promise is read then.
        "receive_message",
        "receive_push",
    }
)
"""Functions through which a module may call one that stands before it: they do not carry the message on."""

CORE = {
    f"h3.{name}" for name in ["message_streams", "connection", "response_streams", "push_streams", "server", "client"]
}
"""The core of a connection and its base classes: one object."""


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


def forward() -> set[tuple[str, str, str]]:
    """(side, module, a later one) for every pair of every part: what one part may do, another may see."""
    return {
        (side_of(title), module, later)
        for title, modules in parts().items()
        for place, module in enumerate(modules)
        for later in modules[place + 1 :]
    }


class Follower:
    """Notes which module calls which, at the client and at the server, both of which run in this process."""

    def __init__(self, world: World) -> None:
        self.calls: Calls = {}
        self._client = world.client.connection.endpoint

    def follow(self, frame: FrameType, event: str, _: Any) -> None:
        """See a call: what `sys.setprofile` wants."""
        called = module_of(frame)
        if event != "call" or called is None:
            return
        caller = frame.f_back
        while caller is not None and module_of(caller) is None:
            caller = caller.f_back
        calling = None if caller is None else module_of(caller)
        if calling is not None and calling != called:
            self.calls.setdefault((self._side(frame), calling, called), set()).add(frame.f_code.co_name)

    def _side(self, frame: FrameType | None) -> str:
        while frame is not None:
            module = module_of(frame) or ""
            if module.startswith("client."):
                return "client"
            if module.startswith(SERVER):
                return "server"
            if module == "runtime.endpoint":
                return "client" if frame.f_locals.get("self") is self._client else "server"
            frame = frame.f_back
        return "neither"


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


async def twice(world: World) -> Calls:
    """A page with a push on a new connection, and again on a used one, until everything is acknowledged."""
    follower = Follower(world)
    sys.setprofile(follower.follow)
    try:
        for _ in range(2):
            visit = await world.visit("/")
            await asyncio.sleep(1)
    finally:
        sys.setprofile(None)
    assert visit.response.status == 200
    return follower.calls


@pytest.fixture(scope="module")
def calls() -> Calls:
    """What is called when a handler answers and when an application does."""
    if not str(connection.__file__).endswith(".py"):
        pytest.skip("calls of compiled modules cannot be followed")
    found = dict(in_world(handler, twice, max_pushes=10))
    for edge, names in in_world(app, twice, max_pushes=10, serve=h3push.serve_asgi, lifespan=False).items():
        found[edge] = found.get(edge, set()) | names
    return found


@pytest.mark.parametrize("title", parts())
def test_the_walk_goes_forward(title: str, calls: Calls) -> None:
    """Each module of a walk is named once, and called by one that stands before it."""
    modules = parts()[title]
    side = side_of(title)
    assert len(modules) == len(set(modules)), "a module is named twice"
    for place, module in enumerate(modules[1:], 1):
        callers = [one for one in modules[:place] if (side, one, module) in calls]
        begins_here = module == "server.runner" and "goes out" in title
        by = sorted(caller for where, caller, called in calls if (where, called) == (side, module))
        assert callers or begins_here, f"in ARCHITECTURE.md none of those before {module} calls it; {by} do"


@pytest.mark.parametrize("title", parts())
def test_nothing_on_the_walk_calls_back(title: str, calls: Calls) -> None:
    """No module calls one that stands before it, but for what does not carry the message on."""
    modules, side, ways = parts()[title], side_of(title), forward()
    for place, module in enumerate(modules):
        for earlier in modules[:place]:
            if (side, module, earlier) not in ways and not {module, earlier} <= CORE:
                back = calls.get((side, module, earlier), set()) - BESIDE
                assert not back, (
                    f"{module} calls back {earlier}: {sorted(back)}; beside the way? then name it in BESIDE"
                )
