"""The circumstances of a visit: link, loss and what the client has; and the grid of them that is measured."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from random import Random

from h3push.lab.site import Site


@dataclass(frozen=True, slots=True, order=True)
class Cache:
    """The possessions of a client when the visit begins."""

    warm: bool = False
    """True: the connection is open, and its congestion window holds what the link holds or the page needs."""
    share: float = 0.0
    """The part of the page's resources, from 0 to 1, that the client has in its cache."""

    def __str__(self) -> str:
        has = f"{self.share * 100:g} % cached" if self.share else ""
        if self.warm:
            return f"warm, {has}" if has else "warm"
        return has or "cold"


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class Scenario:
    """One cell of the grid."""

    round_trip: float
    """Round-trip time without load, in seconds."""
    rate: int
    """Bits per second in each direction."""
    loss: float = 0.0
    """Probability that a packet is lost, in each direction."""
    cache: Cache = Cache()
    """The client's possessions."""

    @property
    def has_chance(self) -> bool:
        """True when the outcome depends on the seed: packets are lost, or a part of the resources is cached."""
        return self.loss > 0 or 0 < self.cache.share < 1

    def __str__(self) -> str:
        loss = f", {self.loss * 100:g} % lost" if self.loss else ""
        return f"{self.round_trip * 1000:.0f} ms, {self.rate / 1e6:g} Mbit/s{loss}, {self.cache}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The scenarios that are measured: every combination."""

    round_trips: tuple[float, ...] = (0.02, 0.1, 0.3)
    """Seconds: the same city, another continent, the other side of the world by a bad network."""
    rates: tuple[int, ...] = (5_000_000, 50_000_000)
    """Bits per second."""
    losses: tuple[float, ...] = (0.0, 0.01)
    """Probabilities that a packet is lost."""
    caches: tuple[Cache, ...] = (Cache(), Cache(warm=True), Cache(share=0.5), Cache(share=1.0))
    """The possessions of clients."""

    def __iter__(self) -> Iterator[Scenario]:
        for cache, loss, rate, trip in product(self.caches, self.losses, self.rates, self.round_trips):
            yield Scenario(round_trip=trip, rate=rate, loss=loss, cache=cache)

    def __len__(self) -> int:
        return len(self.caches) * len(self.losses) * len(self.rates) * len(self.round_trips)


def cached_paths(site: Site, share: float, seed: int) -> frozenset[str]:
    """Choose the resources that a client has, as the seed says; a larger share has all that a smaller one has."""
    paths = [resource.path for resource in site.resources]
    Random(f"cache {seed}").shuffle(paths)  # noqa: S311 - emulation, not secrets
    return frozenset(paths[: round(share * len(paths))])
