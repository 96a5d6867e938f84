"""A page load over an emulated link: the real client, server and QUIC, in virtual time.

Nothing is simulated but the link and the clock. The same files give the same figures on every machine, to the nanosecond.
"""

from dataclasses import dataclass
from pathlib import Path

from h3push.files.directory import Directory
from h3push.files.handler import DirectoryHandler
from h3push.lab.page_load import PageLoad, load_page
from h3push.testing.link import LinkSettings
from h3push.testing.world import World, in_world

HOST = "site.test"
"""Name of the emulated server (RFC 6761 keeps .test free for such)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessLink:
    """A symmetric access link."""

    round_trip: float = 0.1
    """Round-trip time without load, in seconds."""
    rate: int = 10_000_000
    """Bits per second in each direction."""
    loss: float = 0.0
    """Probability that a packet is lost, in each direction."""

    def settings(self) -> LinkSettings:
        """One direction; its queue holds what the link carries in one round trip, as routers are configured."""
        queue = max(30_000, round(self.rate / 8 * self.round_trip))
        return LinkSettings(delay=self.round_trip / 2, rate=self.rate, queue=queue, loss=self.loss)


def emulated_page_load(root: Path, path: str, link: AccessLink, *, max_pushes: int | None) -> PageLoad:
    """Load a page of the directory `root` over `link`, beginning without a connection.

    Args:
        root: the site.
        path: `:path` of the page.
        link: between client and server.
        max_pushes: pushes that may be under way at once; `None`: the client takes none.
    """

    async def load(world: World) -> PageLoad:
        return await load_page(world.client, f"https://{HOST}{path}", started=0.0)

    handler = DirectoryHandler(Directory(root))
    return in_world(handler, load, host=HOST, link=link.settings(), max_pushes=max_pushes)
