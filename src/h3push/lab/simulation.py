"""One visit in one scenario and one way: the real client, server and QUIC in virtual time, and what it cost the network."""

import asyncio
import math
from dataclasses import dataclass
from functools import cache

from h3push.client.connection import ClientConnection
from h3push.lab.emulation import HOST, AccessLink
from h3push.lab.origin_server import WARM_UP_BYTES, WARM_UP_PATH, OriginHandler
from h3push.lab.scenarios import Scenario, cached_paths
from h3push.lab.site import Site
from h3push.lab.visit import SiteVisit, VisitedResource, VisitResult
from h3push.lab.ways import LabWay, plan_of
from h3push.plans.manifest import Manifest
from h3push.runtime.settings import ClientSettings, ServerSettings
from h3push.testing.identity import Identity, make_identity
from h3push.testing.link import NANOSECONDS
from h3push.testing.network import IP_UDP_OVERHEAD, VirtualDriver
from h3push.testing.virtual import run_virtual
from h3push.testing.world import World

SETTLING_ROUND_TRIPS = 3
"""Round trips after a visit in which what was called off may still arrive, and is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One visit, measured."""

    scenario: Scenario
    """The circumstances."""
    way: LabWay
    """The way of delivery."""
    seed: int
    """Decides which packets are lost and which resources are cached."""
    shown: float
    """Seconds until page, style sheets and blocking scripts were there."""
    complete: float
    """Seconds until everything was there."""
    wire_bytes: int
    """Bytes that reached the client, headers of IP and UDP included, from the request to the end."""
    pushes: int
    """Responses that came as pushes and were used."""
    refused: int
    """Promises that the client refused, because it had the resource or had asked for it."""
    unused: int
    """Pushes that nothing on the page needed."""
    resources: tuple[VisitedResource, ...]
    """The resources, each with its times."""


@cache
def _identity() -> Identity:
    return make_identity([HOST])


def simulate(site: Site, scenario: Scenario, way: LabWay, seed: int = 0, manifest: Manifest | None = None) -> Run:
    """Visit `site` once. The same arguments give the same figures on every machine, to the nanosecond.

    Args:
        site: the page and what it needs.
        scenario: link, loss and what the client has.
        way: how what goes with the page is delivered.
        seed: decides which packets are lost and which resources the client has.
        manifest: the plan of `LabWay.PUSH_PLANNED`.

    Raises: H3PushError: the connection did not survive its link.
    """
    return run_virtual(lambda: _run(site, scenario, way, seed, manifest))


async def _run(site: Site, scenario: Scenario, way: LabWay, seed: int, manifest: Manifest | None) -> Run:
    plan = plan_of(site, way, manifest)
    visit = SiteVisit(site, cached_paths(site, scenario.cache.share, seed))
    most = len(plan.resources) + 1
    link = AccessLink(round_trip=scenario.round_trip, rate=scenario.rate, loss=scenario.loss).settings()
    world = World(
        OriginHandler(site, way, plan),
        host=HOST,
        link=link,
        seed=seed,
        identity=_identity(),
        server_settings=_server_settings(most),
        client_settings=_CLIENT,
        connected=False,
        capture=True,
    )
    async with world:
        max_pushes = most if way.pushes else None
        driver = world.client_endpoint(max_pushes)
        began = world.now
        async with world.connect(max_pushes=max_pushes, driver=driver, on_push=visit.promised) as client:
            if scenario.cache.warm:
                await _warm_up(client, site, scenario)
                began = world.now
            result = await visit.load(client, began)
            await asyncio.sleep(SETTLING_ROUND_TRIPS * scenario.round_trip)
            return _measured(result, scenario, way, seed, _arrived(world, driver, began))


def _arrived(world: World, client: VirtualDriver, began: float) -> int:
    """Bytes that have reached a client of what was sent since `began`."""
    since = round(began * NANOSECONDS)
    sizes = (
        (datagram.size + IP_UDP_OVERHEAD) * len(datagram.arrivals)
        for datagram in world.network.capture or ()
        if datagram.at >= since and datagram.destination == client.address
    )
    return sum(sizes)


def _measured(result: VisitResult, scenario: Scenario, way: LabWay, seed: int, wire_bytes: int) -> Run:
    return Run(
        scenario=scenario,
        way=way,
        seed=seed,
        shown=result.shown,
        complete=result.complete,
        wire_bytes=wire_bytes,
        pushes=sum(resource.arrival.value == "pushed" for resource in result.resources),
        refused=result.refused,
        unused=result.unused,
        resources=result.resources,
    )


async def _warm_up(client: ClientConnection, site: Site, scenario: Scenario) -> None:
    """Move bytes until the window holds what the link holds in a round trip, or what the page needs."""
    pipe = scenario.rate / 8 * scenario.round_trip
    wanted = 4 * min(pipe, site.content_bytes)
    await asyncio.gather(*(_read(client) for _ in range(math.ceil(wanted / WARM_UP_BYTES))))
    await asyncio.sleep(5 * scenario.round_trip)


async def _read(client: ClientConnection) -> None:
    await (await client.get(WARM_UP_PATH)).read()


_CLIENT = ClientSettings(connect_timeout=None, read_timeout=None, response_timeout=None, request_timeout=None)


def _server_settings(pushes: int) -> ServerSettings:
    return ServerSettings(max_pushes_per_request=max(100, pushes), max_concurrent_requests=100)
