"""The place of one worker among several on a port: its sockets, the secrets that all share, and its link to the supervisor."""

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

Address = tuple[str, int]

BEAT = 0.25
"""Seconds between two signs of life of a worker."""

KEY_LENGTH = 32
"""Bytes of each secret."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """The keys that all workers of a port share, so that each can answer for the others."""

    reset_key: bytes
    """Signs stateless resets: whoever reads a dead worker's socket can tell its clients."""
    token_key: bytes
    """Seals Retry and NEW_TOKEN tokens: an address that was proved to one worker is proved to all."""

    @staticmethod
    def derive(secret: bytes, address: Address) -> "Secrets":
        """Make them of a secret that outlives the process, such as the certificate's key.

        A restart then resets the connections from before at their next packet. Address and machine tell servers apart that have
        the same certificate.
        """
        scope = f"{address[0]} {address[1]} {socket.gethostname()}".encode()

        def key(label: bytes) -> bytes:
            return HKDF(SHA256(), KEY_LENGTH, salt=b"h3push worker keys", info=label + b"\0" + scope).derive(secret)

        return Secrets(key(b"stateless reset"), key(b"token"))


class Order(Enum):
    """An order of a supervisor to a worker, as the byte on their link."""

    MAKE_WAY = b"w"
    """A successor has taken over: finish what is under way, without hurry."""
    STOP = b"s"
    """Finish what is under way, within the graceful time-out."""
    STOP_NOW = b"n"
    """End at once."""


class Report(Enum):
    """A report of a worker to its supervisor."""

    READY = b"r"
    """It listens: new connections may come."""
    RETIRE = b"t"
    """It has served enough and wants a successor."""
    TURNS = b"l"
    """Its event loop turns; told every `BEAT` seconds once it listens."""


class Link:
    """A worker's end of its link. When the supervisor is gone, that is an order to stop."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end = end

    def report(self, report: Report) -> None:
        """Tell the supervisor."""
        with suppress(OSError):  # it is gone, and the next read says so
            self._end.send(report.value)

    def beat(self, loop: asyncio.AbstractEventLoop) -> None:
        """Tell the supervisor again and again that the loop turns: a handler that blocks it keeps that from being told."""
        self.report(Report.TURNS)
        loop.call_later(BEAT, self.beat, loop)

    def watch(self, loop: asyncio.AbstractEventLoop, obey: Callable[[Order], None]) -> None:
        """Have orders given to `obey`."""

        def readable() -> None:
            orders = self._end.recv(64)
            if not orders:
                loop.remove_reader(self._end.fileno())
            for value in orders or Order.STOP.value:
                obey(Order(bytes([value])))

        loop.add_reader(self._end.fileno(), readable)


@dataclass(frozen=True, slots=True)
class Place:
    """The things that a worker is given."""

    number: int
    """Which worker it is, from 0."""
    sockets: Mapping[Address, int]
    """A descriptor of a bound UDP socket for each address; the worker owns them."""
    steered: tuple[int, int]
    """The number of these sockets, and how many there are at each address."""
    secrets: Secrets
    """The shared keys."""
    ticket_key: bytes
    """Seals session tickets; one for all workers that began with the same settings and certificates."""
    listening: Mapping[Address, socket.socket]
    """TCP sockets that all workers accept from."""
    rosters: Mapping[Address, int]
    """A file of shared memory for each address, where the supervisor finds its connections when it dies (`server.rosters`)."""
    link: Link
    """To the supervisor."""

    @property
    def has_others(self) -> bool:
        """True when there are further places: a client's connections may come to any of them."""
        return self.steered[1] > 2

    def options(self, address: Address) -> dict[str, Any]:
        """The arguments to bind a driver at this address with (`_quic.Endpoint.bind`)."""
        return {
            "fd": self.sockets[address],
            "worker": self.steered,
            "reset_key": self.secrets.reset_key,
            "token_key": self.secrets.token_key,
            "roster": self.rosters[address],
        }

    def listen(self, address: Address) -> socket.socket:
        """A TCP socket that listens at an address already."""
        return self.listening[address].dup()


def new_ticket_key() -> bytes:
    """A key for session tickets."""
    return os.urandom(KEY_LENGTH)
