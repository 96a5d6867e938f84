"""Connections that are held out of pushes, so that what pushes save can be measured."""

import io
import json
from itertools import cycle
from typing import Any

import pytest

import h3push
from h3push.delivery.state import DeliveryState
from h3push.h3.push.rules import PushRefusal
from h3push.server.access_log import AccessLog
from h3push.testing import World, in_world


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] in {"/", "/again"}:
        await h3push.push(scope, "/a.css")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"cache-control", b"max-age=60")]})
    await send({"type": "http.response.body", "body": b"hello"})


def visit(drawn: float, monkeypatch: pytest.MonkeyPatch, share: float = 0.5) -> tuple[Any, list[dict[str, Any]], Any]:
    """A page, and one more on the same connection, for which `drawn` is drawn; what came, the log, and the refusals."""
    numbers = cycle([drawn, 1 - drawn])  # a second draw would give another group
    monkeypatch.setattr(
        DeliveryState.__init__, "__defaults__", (*DeliveryState.__init__.__defaults__[:-1], lambda: next(numbers))
    )
    stream = io.StringIO()

    async def scenario(world: World) -> Any:
        first = await world.visit("/")
        await world.visit("/again")
        return first, world.server.counters.delivery.refusals

    settings = h3push.ServerSettings(push_hold_out=share)
    options: dict[str, Any] = {"serve": h3push.serve_asgi, "lifespan": False, "server_settings": settings}
    first, refusals = in_world(app, scenario, max_pushes=10, access_log=AccessLog(stream, "json"), **options)
    return first, [json.loads(line) for line in stream.getvalue().splitlines()], refusals


@pytest.mark.parametrize(
    ("drawn", "arm", "pushed", "hints"),
    [(0.1, "none", [], 0), (0.3, "hint", [], 1), (0.6, "push", ["/a.css"], 0)],
)
def test_a_connection_has_one_group(
    drawn: float, arm: str, pushed: list[str], hints: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A quarter of the connections gets nothing, a quarter hints, half get pushes, for all of their pages; the log says which."""
    first, rows, refusals = visit(drawn, monkeypatch)
    assert (first.pushed, len(first.hints)) == (pushed, hints)
    arms = {row["path"]: row["arm"] for row in rows if row["path"] != "/a.css"}
    # What a client was pushed it has: its second page has nothing to push, and so no part in the experiment.
    assert arms == {"/": arm, "/again": None if arm == "push" else arm}
    assert refusals[PushRefusal.HOLD_OUT] == (0 if arm == "push" else 2)


def test_nobody_is_held_out_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    first, rows, _ = visit(0.0, monkeypatch, share=h3push.ServerSettings().push_hold_out)
    assert first.pushed == ["/a.css"]
    assert {row["arm"] for row in rows} == {None}
