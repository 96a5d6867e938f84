"""Sockets that are open when the process begins: those of systemd (socket activation), and those that a caller names.

systemd passes descriptors from 3 on and says so in the environment (sd_listen_fds(3)): LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES.
Each is taken for what it is: a datagram socket for QUIC, a stream socket for TLS over TCP, a UNIX stream socket for a proxy of
this machine that speaks plain HTTP/1.1. A stream socket with the name "redirect" answers with the way to HTTPS.
"""

import os
import socket
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass, field

from h3push.server.place import Address

FIRST_DESCRIPTOR = 3
"""The number of systemd's first descriptor: SD_LISTEN_FDS_START."""

REDIRECT = "redirect"
"""Name of a socket for plain HTTP (FileDescriptorName=)."""


@dataclass(slots=True)
class InheritedSockets:
    """Those that were found, by their use."""

    udp: dict[Address, int] = field(default_factory=dict)
    """Address -> descriptor, for QUIC."""
    tcp: list[socket.socket] = field(default_factory=list)
    """For TLS."""
    unix: list[socket.socket] = field(default_factory=list)
    """For plain HTTP/1.1 from a proxy."""
    redirect: list[socket.socket] = field(default_factory=list)
    """For the redirect to HTTPS."""

    @property
    def has_tcp(self) -> bool:
        """True when there is one for the TCP side, which then binds none itself."""
        return bool(self.tcp or self.unix)

    def take(self, descriptor: int, name: str = "") -> None:
        """Take one. `ValueError` when it is no socket that a server could use."""
        try:
            found = socket.socket(fileno=os.dup(descriptor))
        except OSError as error:
            raise ValueError(f"descriptor {descriptor} is no socket: {error.strerror}") from None
        os.set_inheritable(descriptor, False)
        found.setblocking(False)
        internet = found.family in {socket.AF_INET, socket.AF_INET6}
        if found.type == socket.SOCK_DGRAM and internet:
            host, port = found.getsockname()[:2]
            self.udp[host, port] = found.detach()
        elif found.type == socket.SOCK_STREAM and (internet or found.family == socket.AF_UNIX):
            found.listen()
            where = self.redirect if name == REDIRECT else self.tcp if internet else self.unix
            where.append(found)
        else:
            found.close()
            raise ValueError(f"descriptor {descriptor} is neither a UDP nor a TCP nor a UNIX stream socket")


def inherited_sockets(environment: MutableMapping[str, str], named: Iterable[int] = ()) -> InheritedSockets:
    """Take the sockets of systemd, whose variables are removed so that no child believes them, and those that are named.

    Raises:
        ValueError: something that is no socket for a server.
    """
    found = InheritedSockets()
    pid, count = environment.pop("LISTEN_PID", ""), environment.pop("LISTEN_FDS", "")
    names = environment.pop("LISTEN_FDNAMES", "").split(":")
    if pid == str(os.getpid()) and count.isdecimal():
        for index in range(int(count)):
            found.take(FIRST_DESCRIPTOR + index, names[index] if index < len(names) else "")
    for descriptor in named:
        found.take(descriptor)
    return found
