"""Lower bounds: what no implementation of a way can beat, in closed form.

With r the round trip, B the rate, T the time that the server thinks about the page, R the bytes of the page, S of everything,
and for each chain of resources, each named in the one before it, k their number and C the bytes of the chain and of what
has to be there of the page, a page that needs anything is complete no sooner than::

    none       h + r + T + C / B + k r            for the slowest chain
    preload    h + r + T + r + (S - R) / B        the Link field is on its way before the page
    103        h + r + max(T + R / B, r + (S - R) / B)
    push       h + r + T + R / B
    every way  h + r + S / B
               h + r + (n - 1) r                  n = ceil(log2(1 + S / 12000)) rounds of slow start; 1 when warm

    handshake  h = r + 2 x 1228 / B               the two padded Initial packets of RFC 9000 section 14.1; 0 when warm

R and S are content alone: headers, packet overhead, acknowledgments and the rest of the handshake come on top, some 5 %.
"""

import math
from collections.abc import Mapping

from h3push.lab.scenarios import Scenario
from h3push.lab.site import Site
from h3push.lab.ways import LabWay

INITIAL_WINDOW = 12_000
"""Bytes that may be sent before the first acknowledgment (RFC 9002 section 7.2, for datagrams of 1,200 bytes)."""
HANDSHAKE_BYTES = 2 * (1200 + 28)
"""On the wire before anything else can be: one padded Initial packet each way, with UDP and IP."""


def bounds(site: Site, scenario: Scenario) -> Mapping[LabWay, float]:
    """Give the seconds until everything is there that no way can beat, on a link without loss and with nothing cached."""
    trip, rate, warm = scenario.round_trip, scenario.rate / 8, scenario.cache.warm
    begun = trip if warm else 2 * trip + HANDSHAKE_BYTES / rate
    rounds = 1 if warm else math.ceil(math.log2(1 + site.content_bytes / INITIAL_WINDOW))
    common = max(begun + site.content_bytes / rate, begun + (rounds - 1) * trip)
    page = begun + site.thinking + site.size / rate
    rest = (site.content_bytes - site.size) / rate
    has_rest = bool(site.resources)
    preload = begun + site.thinking + trip + rest if has_rest else page
    early = max(page, begun + trip + rest) if has_rest else page
    push = max(page, common)
    return {
        LabWay.NONE: max(begun + site.thinking + _slowest_chain(site, trip, rate), common),
        LabWay.PRELOAD: max(preload, common),
        LabWay.EARLY_HINTS: max(early, common),
        LabWay.PUSH_PLANNED: push,
        LabWay.PUSH_ALL: push,
    }


def _slowest_chain(site: Site, trip: float, rate: float) -> float:
    """Seconds from the page's first byte until the last resource is there, for a client that has all the link for each chain."""
    there = {site.path: site.size / rate}
    for one in site.resources:
        known = max(there[name] for name in one.named_in) if one.position is None else one.position / rate
        there[one.path] = known + one.delay + trip + one.thinking + one.size / rate
    return max(there.values())
