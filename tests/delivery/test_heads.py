"""A page's promises are made of what was promised before, and nobody can tell."""

from typing import Any

import h3push
from h3push.delivery.decision import Way
from h3push.delivery.heads import MAX_HEADS, MAX_KINDS, PromisedHeads
from h3push.delivery.page import PageDelivery
from h3push.delivery.state import DeliveryState
from h3push.plans.links import planned
from h3push.plans.plan import PlanSource, PushPlan
from h3push.testing import World, in_world

PATHS = ("/a.css", "/b.js?secret=1", "/c.png")


class Site:
    """Every page has the same plan."""

    def __init__(self) -> None:
        self.state = DeliveryState()
        self.promised: list[tuple[str, tuple[Any, ...]]] = []
        self.writes: list[int] = []

    def __call__(self, request: h3push.Request) -> h3push.Response:
        if request.push_id is None:
            delivery = PageDelivery(request, self.state)
            resources = tuple(planned(path, None, request.path) for path in PATHS)
            core: Any = request.connection.core
            core._transport = core._pushing._transport = Noting(core._transport, self.writes)
            delivered = delivery.carry_out(PushPlan(request.path, PlanSource.MANIFEST, resources))
            assert [one.way for one in delivered] == [Way.PUSH] * len(PATHS)
        else:
            self.promised.append((request.path, tuple(request.head.fields)))
        return h3push.Response(200, {}, b"content")


class Noting:
    """A transport that notes the sizes of what is written on the stream of a connection's first request."""

    def __init__(self, transport: Any, writes: list[int]) -> None:
        self._transport = transport
        self._writes = writes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, stream_id: int, data: bytes, fin: bool) -> int:
        if stream_id == 0:
            self._writes.append(len(data))
        return int(self._transport.write(stream_id, data, fin))


def test_a_page_and_its_promises_are_one_write_and_the_same_each_time() -> None:
    """With what the client of each connection sends, first time or not; in one write with the page."""
    site = Site()

    async def scenario(world: World) -> None:
        for language in ("de", "de", "en"):
            async with world.connect(max_pushes=9) as client:
                fields = {"accept-language": language, "user-agent": "test"}
                response = await client.get("/", headers=fields)
                await response.read()
                pushes = [push async for push in response.pushes()]
                assert [push.request.path for push in pushes] == list(PATHS)
                assert [await (await push.response()).read() for push in pushes] == [b"content"] * len(PATHS)

    in_world(site, scenario, max_pushes=9)
    expected = [
        (path, ((b"accept-language", language), (b"user-agent", b"test")))
        for language in (b"de", b"de", b"en")
        for path in PATHS
    ]
    assert [(path, tuple(sorted(fields))) for path, fields in site.promised] == expected
    assert len(site.writes) == 3


def test_no_path_with_a_query_is_remembered() -> None:
    """It may hold a secret (SECURITY.md)."""
    site = Site()

    async def scenario(world: World) -> None:
        await world.visit("/")

    in_world(site, scenario, max_pushes=9)
    (kind,) = site.state.heads._kinds.values()
    assert list(kind) == ["/a.css", "/c.png"]


def test_what_is_remembered_is_bounded() -> None:
    """Clients make up what they accept: more kinds than the bound begin anew."""
    heads = PromisedHeads()
    for number in range(3 * MAX_KINDS):
        heads.of((b"a.test", ((b"accept", b"%d" % number),)))
        assert len(heads._kinds) <= MAX_KINDS
    assert MAX_KINDS * MAX_HEADS < 20_000
