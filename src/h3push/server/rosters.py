"""Rosters: for each worker, where its clients are, in memory that outlives it.

A worker that is killed tells its clients nothing. Who sends something gets a stateless reset from the supervisor, which reads the
sockets without a worker (`server.vacant`); who only waits for an answer would wait on. So each worker's QUIC endpoint notes its
connections in shared memory, and the supervisor resets them all when the worker has ended.
"""

import os
from collections.abc import Sequence

from h3push.server.place import Address
from h3push.server.shared_port import SteeredSockets

ENTRY = 32
"""Bytes of one connection: the layout is `core/roster.rs`'s."""
CONNECTIONS = 20_000
"""Connections of one worker that are noted: twice the default bound, for those that are closing still have a place. Pages of it
that were never used take no memory."""


class Rosters:
    """The rosters of every address, one for each number of sockets."""

    def __init__(self, groups: Sequence[SteeredSockets], count: int) -> None:
        self._files = {group.address: [_shared_memory() for _ in range(count)] for group in groups}

    def of(self, number: int) -> dict[Address, int]:
        """The files of one number, by address."""
        return {address: files[number] for address, files in self._files.items()}

    def close(self) -> None:
        """Close every file."""
        for files in self._files.values():
            for one in files:
                os.close(one)
        self._files = {}


def _shared_memory() -> int:
    found = os.memfd_create("h3push connections", os.MFD_CLOEXEC)
    os.ftruncate(found, ENTRY * CONNECTIONS)
    return found
