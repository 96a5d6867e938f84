"""The addresses that a server's host stands for, all bound at one port.

"localhost" is 127.0.0.1 and ::1, and some clients try only one of them. So a server has a socket for each address of its host,
and shares everything else between them.
"""

import asyncio
import errno
import ipaddress
import socket
from collections.abc import Callable
from typing import Protocol, TypeVar

Address = tuple[str, int]

LOOPBACK = ("127.0.0.1", "::1")
"""The addresses of "localhost", whatever the machine's hosts file says (RFC 6761 section 6.3)."""

ATTEMPTS = 10
"""Free ports that are tried until one is free at every address."""

_ABSENT = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
"""The machine has no such address, or does not speak its family: no reason not to listen on the others."""


async def resolve(host: str, port: int) -> list[Address]:
    """Look up the addresses of a host, IPv4 first. `OSError` when it has none."""
    if host == "localhost":
        return [(address, port) for address in LOOPBACK]
    if _is_address(host):
        return [(host, port)]
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    found.sort(key=lambda entry: entry[0] is not socket.AF_INET)
    return list(dict.fromkeys((str(sockaddr[0]), int(sockaddr[1])) for *_, sockaddr in found))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class Bound(Protocol):
    """Something that has an address: a driver, or the sockets of several workers."""

    def local_address(self) -> Address:
        """Host and port."""

    def shutdown(self) -> None:
        """Let it go."""


AnyBound = TypeVar("AnyBound", bound=Bound)


def bind_all(addresses: list[Address], bind: Callable[[Address], AnyBound]) -> list[AnyBound]:
    """Bind every address, with one port for all where 0 asks for a free one.

    Addresses that this machine lacks are left out, as long as it has one of them.

    Raises:
        OSError: none can be bound, or one is taken.
    """
    for attempt in range(ATTEMPTS):
        drivers: list[AnyBound] = []
        try:
            _bind_each(addresses, bind, drivers)
        except OSError as error:
            for driver in drivers:
                driver.shutdown()
            wants_free_port = addresses[0][1] == 0
            if error.errno != errno.EADDRINUSE or not wants_free_port or attempt == ATTEMPTS - 1:
                raise
        else:
            return drivers
    raise AssertionError


def _bind_each(addresses: list[Address], bind: Callable[[Address], AnyBound], drivers: list[AnyBound]) -> None:
    failure: OSError | None = None
    for host, asked in addresses:
        port = asked or (drivers[0].local_address()[1] if drivers else 0)
        try:
            drivers.append(bind((host, port)))
        except OSError as error:
            if error.errno not in _ABSENT:
                raise
            failure = error
    if failure is not None and not drivers:
        raise failure
