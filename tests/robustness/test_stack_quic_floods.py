"""Floods of QUIC frames that only a broken client sends: aioquic with its manners taken away, against our native server."""

import os
import time
from collections.abc import Callable
from typing import Any

import pytest
from aioquic.buffer import encode_uint_var
from aioquic.quic import packet_builder
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.packet import QuicFrameType, QuicPacketType
from aioquic.tls import Epoch

from h3push import _quic
from h3push.testing.identity import make_identity

IDENTITY = make_identity(["localhost"], seed=0)
CLIENT, SERVER = ("10.0.0.1", 50_000), ("10.0.0.2", 443)
MS = 1_000_000
Flood = Callable[[Any, int], None]


class BadClient(QuicConnection):
    """Puts what a flood writes into packets of its own, beside what aioquic would send."""

    flood: Flood | None = None

    def _write_application(self, builder: Any, network_path: Any, now: float) -> None:
        super()._write_application(builder, network_path, now)
        if self.flood is not None:
            for number in range(20):
                builder.start_packet(QuicPacketType.ONE_RTT, self._cryptos[Epoch.ONE_RTT])
                try:
                    self.flood(builder, number)
                except packet_builder.QuicPacketBuilderStop:
                    break


class Siege:
    """aioquic and our native server, joined in memory, in virtual time."""

    def __init__(self) -> None:
        self.now = 0
        server = _quic.ServerTls([(IDENTITY.certificate, IDENTITY.key)])
        transport = _quic.Transport(stream_receive_window=64 << 10, connection_receive_window=256 << 10)
        self.server = _quic.SansIo(server=server, transport=transport, seed=bytes(32), now=0)
        configuration = QuicConfiguration(is_client=True, alpn_protocols=["h3"], server_name="localhost")
        configuration.load_verify_locations(cadata=IDENTITY.authority)
        self.client = BadClient(configuration=configuration)
        self.client.connect(SERVER, now=0.0)
        self.events: list[tuple[Any, ...]] = []
        self.up = self.down = 0
        for _ in range(10):
            self.exchange()
        assert [event for event in self.events if event[0] == _quic.CONNECTED]

    def exchange(self) -> None:
        self.now += 10 * MS
        for data, _ in self.client.datagrams_to_send(now=self.now / 1e9):
            self.up += len(data)
            self.server.feed(self.now, data, CLIENT, None)
        self.server.advance(self.now)
        self.events += self.server.events()
        for _, data, _, _ in self.server.transmits(self.now):
            self.down += len(data)
            self.client.receive_datagram(data, SERVER, now=self.now / 1e9)

    def closed(self) -> tuple[Any, ...] | None:
        return next((event for event in self.events if event[0] == _quic.CLOSED), None)


def memory() -> int:
    """Bytes that this process has in memory."""
    with open("/proc/self/statm") as statm:  # noqa: PTH123
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def path_challenges(builder: Any, number: int) -> None:
    for _ in range(100):
        builder.start_frame(QuicFrameType.PATH_CHALLENGE, capacity=9).push_bytes(os.urandom(8))


def crypto_gaps(builder: Any, number: int) -> None:
    for at in range(100):
        buffer = builder.start_frame(QuicFrameType.CRYPTO, capacity=12)
        buffer.push_uint_var(2 + 2 * (100 * number + at))
        buffer.push_uint_var(1)
        buffer.push_bytes(b"x")


def crypto_far(builder: Any, number: int) -> None:
    buffer = builder.start_frame(QuicFrameType.CRYPTO, capacity=12)
    buffer.push_uint_var(1 << 20)
    buffer.push_uint_var(1)
    buffer.push_bytes(b"x")


def stream_gaps(builder: Any, number: int) -> None:
    for at in range(100):
        buffer = builder.start_frame(QuicFrameType.STREAM_BASE | 0x06, capacity=14)
        buffer.push_bytes(encode_uint_var(0))
        buffer.push_bytes(encode_uint_var(1 + 2 * ((100 * number + at) * 7 % 30_000)))
        buffer.push_bytes(encode_uint_var(1))
        buffer.push_bytes(b"x")


def connection_ids(builder: Any, number: int) -> None:
    for at in range(10):
        buffer = builder.start_frame(QuicFrameType.NEW_CONNECTION_ID, capacity=64)
        sequence = 1_000 + 10 * number + at + (time.monotonic_ns() % 1_000_000) * 1_000
        buffer.push_uint_var(sequence)
        buffer.push_uint_var(sequence)
        buffer.push_uint8(8)
        buffer.push_bytes(os.urandom(8) + os.urandom(16))


def optimistic_acks(builder: Any, number: int) -> None:
    buffer = builder.start_frame(QuicFrameType.ACK, capacity=20)
    for value in (5_000 + number, 0, 0, 5_000 + number):
        buffer.push_uint_var(value)


@pytest.mark.parametrize(
    ("flood", "survives"),
    [
        pytest.param(path_challenges, True, marks=pytest.mark.rfc("ROB-24", "Q-8.2-01")),
        pytest.param(crypto_gaps, False, marks=pytest.mark.rfc("ROB-26")),
        pytest.param(crypto_far, False, marks=pytest.mark.rfc("ROB-26")),
        pytest.param(stream_gaps, False, marks=pytest.mark.rfc("ROB-21")),
        pytest.param(optimistic_acks, False, marks=pytest.mark.rfc("ROB-27")),
        pytest.param(connection_ids, False, marks=pytest.mark.rfc("ROB-25")),
    ],
)
def test_a_flood_of_quic_frames_holds_little(flood: Flood, survives: bool) -> None:
    """What cannot be refused is bounded: answers are no larger than what came, memory is flat, an end is an error's."""
    siege = Siege()
    siege.client.flood = flood
    for _ in range(10):
        siege.exchange()
    before, up, down = memory(), siege.up, siege.down
    for _ in range(100):
        siege.exchange()
    assert memory() - before < 16 << 20
    assert siege.down - down <= 1.2 * (siege.up - up) + 5_000
    closed = siege.closed()
    if survives:
        assert closed is None
        assert siege.up - up > 100_000
    else:
        assert closed is not None
        assert closed[2] == _quic.CLOSED_TRANSPORT_ERROR
