"""The sockets of several workers on one port, and the program by which the kernel picks one of them for a datagram.

Theory of operation. SO_REUSEPORT alone picks a socket by the client's address, and a client whose address changes would come to a
worker that does not know it. So a worker's connection IDs tell the socket: their first byte, modulo the number of sockets, is
its number (`_quic`'s `worker`), and a program of the kernel (SO_ATTACH_REUSEPORT_CBPF, classic BPF, no privileges) reads it:

    short header, Handshake, Retry      socket = DCID[0] % sockets                the worker that chose the ID
    Initial, 0-RTT                      socket = table[DCID[0] % places]          the client chose it: any worker will do

Each of N places has two sockets, i and N + i. One belongs to the worker of the place, the other is for its successor, which
begins while the old one drains. To change over is to attach the program again with another table, in one system call: a new
connection goes to one worker or to the other, and never to nobody.

The numbers are the order in which the sockets were bound. A socket that is closed would change them, so whoever steers keeps
every socket open, and workers have duplicates.
"""

import array
import socket
import struct
import sys
from collections.abc import Sequence

MAX_PLACES = 127
"""Workers of one port: two sockets for each, told apart by one byte."""

_SO_ATTACH_REUSEPORT_CBPF = 51
_LOAD_BYTE = 0x30  # A = the byte at k of the UDP payload
_MODULO = 0x94  # A %= k
_RETURN_A = 0x16
_RETURN = 0x06  # return k
_IF_EQUAL = 0x15  # A == k: skip jt instructions, or else jf
_IF_SET = 0x45  # A & k
_LONG_HEADER = 0x80
_HANDSHAKE_OR_RETRY = 0x20  # of the two bits of a long header's type, RFC 9000 section 17.2
_DCID_SHORT = 1
_DCID_LONG = 6

Instruction = tuple[int, int, int, int]
"""Code, jump if true, jump if false, k."""


def steering_program(table: Sequence[int]) -> list[Instruction]:
    """The instructions that send new connections to `table[place]` and all others to where they are; 2 sockets for each place."""
    places = len(table)
    by_id = ((_MODULO, 0, 0, 2 * places), (_RETURN_A, 0, 0, 0))
    choose = [
        step for place, number in enumerate(table[:-1]) for step in ((_IF_EQUAL, 0, 1, place), (_RETURN, 0, 0, number))
    ]
    return [
        (_LOAD_BYTE, 0, 0, 0),
        (_IF_SET, 3, 0, _LONG_HEADER),
        (_LOAD_BYTE, 0, 0, _DCID_SHORT),
        *by_id,
        (_IF_SET, 0, 3, _HANDSHAKE_OR_RETRY),
        (_LOAD_BYTE, 0, 0, _DCID_LONG),
        *by_id,
        (_LOAD_BYTE, 0, 0, _DCID_LONG),
        (_MODULO, 0, 0, places),
        *choose,
        (_RETURN, 0, 0, table[-1]),
    ]


class SteeringUnavailable(OSError):
    """The system cannot steer datagrams by connection ID."""


class SteeredSockets:
    """The sockets of one address: two for each place."""

    def __init__(self, address: tuple[str, int], places: int) -> None:
        """Bind them. `OSError` as from the socket module, `SteeringUnavailable` where the system cannot steer."""
        if not 1 <= places <= MAX_PLACES:
            raise ValueError(f"a port can have 1 to {MAX_PLACES} workers, not {places}")
        if sys.platform != "linux":
            raise SteeringUnavailable("only Linux picks sockets by what is in a datagram")
        # The first one is bound alone and let go: with SO_REUSEPORT, another server's port would be shared, not refused.
        with _bound(address, shared=False) as alone:
            port = alone.getsockname()[1]
        self.address = (address[0], port)
        """Host and port, the real one when it was asked for port 0."""
        self._sockets: list[socket.socket] = []
        try:
            for _ in range(2 * places):
                self._sockets.append(_bound(self.address, shared=True))
            self.steer(range(places))
        except BaseException:
            self.shutdown()
            raise

    def local_address(self) -> tuple[str, int]:
        """Host and port."""
        return self.address

    def duplicate(self, number: int) -> int:
        """A descriptor of one of the sockets, for its worker to own."""
        return self._sockets[number].dup().detach()

    def steer(self, table: Sequence[int]) -> None:
        """Send new connections to these sockets, one for each place."""
        program = steering_program(table)
        code = array.array("B", b"".join(struct.pack("HBBI", *step) for step in program))
        where, _ = code.buffer_info()
        try:
            self._sockets[0].setsockopt(
                socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, struct.pack("HP", len(program), where)
            )
        except OSError as error:
            raise SteeringUnavailable(error.errno, f"the kernel takes no program: {error.strerror}") from None

    def shutdown(self) -> None:
        """Close every socket."""
        for one in self._sockets:
            one.close()


def _bound(address: tuple[str, int], *, shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    found = socket.socket(family, socket.SOCK_DGRAM)
    try:
        found.setblocking(False)
        if shared:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(address[0] != "::"))
        found.bind(address)
    except BaseException:
        found.close()
        raise
    return found
