"""Test HTTP/3 and push without a network: an in-memory pair, a raw peer, an emulated network in virtual time.

===================  ===========================================================================================
to test              use
===================  ===========================================================================================
an application       `World`, `in_world`: server, client, link and clock, the whole stack with real QUIC
what a link does     `VirtualNetwork`, `LinkSettings`, `run_virtual`: endpoints and links of your own
the protocol alone   `MemoryPair`: two cores over in-memory streams, without QUIC and without asyncio
one core, hostilely  `RawPeer`: writes any bytes on any stream, keeps what it was sent
===================  ===========================================================================================
"""

from h3push.testing.identity import Identity, make_identity
from h3push.testing.link import Link, LinkCounters, LinkSettings
from h3push.testing.memory import (
    Batch,
    EndSettings,
    Livelock,
    MemoryEnd,
    MemoryPair,
    MemorySettings,
    RawClose,
    RawPeer,
    RawRecord,
    RawStream,
    SendSettings,
    Told,
)
from h3push.testing.network import Datagram, VirtualDriver, VirtualNetwork
from h3push.testing.virtual import Deadlock, VirtualLoop, run_virtual
from h3push.testing.world import Pushed, Visit, World, in_world

__all__ = [
    # the whole stack
    "World",
    "Pushed",
    "Visit",
    "in_world",
    # a network in virtual time
    "Datagram",
    "Deadlock",
    "Identity",
    "Link",
    "LinkCounters",
    "LinkSettings",
    "VirtualDriver",
    "VirtualLoop",
    "VirtualNetwork",
    "make_identity",
    "run_virtual",
    # the protocol alone
    "Batch",
    "EndSettings",
    "Livelock",
    "MemoryEnd",
    "MemoryPair",
    "MemorySettings",
    "RawClose",
    "RawPeer",
    "RawRecord",
    "RawStream",
    "SendSettings",
    "Told",
]
