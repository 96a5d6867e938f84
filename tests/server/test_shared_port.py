"""The kernel's choice of a worker's socket, on real sockets with datagrams that look like QUIC's."""

import random
import socket
import sys
from contextlib import suppress

import pytest

from h3push.server.shared_port import MAX_PLACES, SteeredSockets, SteeringUnavailable

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="steering is the Linux kernel's")

PLACES = 3
SHORT, INITIAL, ZERO_RTT, HANDSHAKE, RETRY = 0x40, 0xC0, 0xD0, 0xE0, 0xF0


@pytest.fixture
def sockets():
    steered = SteeredSockets(("127.0.0.1", 0), PLACES)
    yield steered
    steered.shutdown()


def datagram(first_byte, id_byte):
    """A packet with a destination connection ID that begins with `id_byte`."""
    if first_byte & 0x80:
        return bytes([first_byte, 0, 0, 0, 1, 8, id_byte]) + bytes(30)
    return bytes([first_byte, id_byte]) + bytes(30)


def arrives_at(sockets, packet):
    """The number of the socket that gets it, from a client socket of its own: the address must not matter."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(packet, sockets.address)
    found = []
    for number, one in enumerate(sockets._sockets):
        with suppress(BlockingIOError):
            found += [number] * (one.recv(2000) == packet)
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize("kind", [SHORT, HANDSHAKE, RETRY])
def test_a_connection_id_leads_to_the_worker_that_chose_it(sockets, kind):
    """Packets of a connection reach its worker from whatever address they come, before and after a change of generation."""
    for table in ((0, 1, 2), (3, 1, 5)):
        sockets.steer(table)
        for byte in random.Random(kind).sample(range(256), 24):
            assert arrives_at(sockets, datagram(kind, byte)) == byte % (2 * PLACES)


@pytest.mark.parametrize("kind", [INITIAL, ZERO_RTT])
def test_a_new_connection_goes_to_the_worker_that_has_the_place(sockets, kind):
    """The table says which of its two sockets a place uses, and one call changes all of it."""
    for table in ((0, 1, 2), (3, 1, 5), (3, 4, 5), (1, 1, 1)):
        sockets.steer(table)
        for byte in random.Random(kind).sample(range(256), 24):
            assert arrives_at(sockets, datagram(kind, byte)) == table[byte % PLACES]


def test_what_is_no_quic_packet_goes_somewhere(sockets):
    """Loads beyond the end of a datagram end the kernel's program with 0: it is dropped by a worker, not by nobody."""
    for packet in (b"\x40", b"\xc0", b"\xc0\0\0\0\1\0"):
        assert arrives_at(sockets, packet) == 0


def test_the_most_workers_that_a_byte_can_tell_apart(sockets):
    """127 workers have 254 sockets, and a program of their length is one that the kernel takes."""
    with pytest.raises(ValueError, match="1 to 127 workers, not 128"):
        SteeredSockets(("127.0.0.1", 0), MAX_PLACES + 1)
    many = SteeredSockets(("::1", 0), MAX_PLACES)
    many.steer(range(MAX_PLACES, 2 * MAX_PLACES))
    many.shutdown()


def test_a_port_in_use_is_not_shared(sockets):
    """SO_REUSEPORT would let a second server take half of the first one's clients."""
    with pytest.raises(OSError, match="in use"):
        SteeredSockets(sockets.address, PLACES)


def test_other_systems_are_told_apart(monkeypatch):
    """Where the kernel cannot steer, that is said before anything is bound."""
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(SteeringUnavailable, match="only Linux"):
        SteeredSockets(("127.0.0.1", 0), 2)
