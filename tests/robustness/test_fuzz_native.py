"""The native module under any sequence of calls: no panic reaches Python, no connection ends by a failure of its own."""

import contextlib
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from h3push import _quic
from h3push.testing.identity import make_identity

IDENTITY = make_identity(["localhost"], seed=0)
CLIENT, SERVER = ("10.0.0.1", 50_000), ("10.0.0.2", 443)
MS = 1_000_000
LAST = (1 << 62) - 1
STREAMS = (0, 1, 2, 3, 4, 7, 8, 400, LAST, LAST + 1, (1 << 64) - 1)
CODES = (0, 0x100, 0x10C, LAST, LAST + 1, (1 << 64) - 1)
MISUSE = (ValueError, OverflowError, TypeError, RuntimeError, OSError)
"""What a caller may be told when a call makes no sense."""


class Pair:
    """A client and a server without sockets, and a network that may hurt."""

    def __init__(self, random: Random, **transport: object) -> None:
        self.random = random
        quic = _quic.Transport(**{"first_read_unidirectional": 16, "max_datagram_frame": 1_200, **transport})  # type: ignore[arg-type]
        server, client = (
            _quic.ServerTls([(IDENTITY.certificate, IDENTITY.key)]),
            _quic.ClientTls(trust=IDENTITY.authority),
        )
        self.now = 0
        self.server = _quic.SansIo(server=server, transport=quic, seed=random.randbytes(32), now=0)
        self.client = _quic.SansIo(client=client, transport=quic, seed=random.randbytes(32), now=0)
        self.handles = {self.server: [0, 999], self.client: [self.client.connect(SERVER, "localhost")]}
        self.streams = {self.server: list(STREAMS[:4]), self.client: list(STREAMS[:4])}
        self.seen: list[bytes] = [b""]
        self.closed: list[tuple[object, ...]] = []
        for _ in range(6):
            self.exchange(loss=0)

    def exchange(self, loss: float) -> None:
        """Let a few milliseconds pass, and carry what was sent."""
        self.now += 5 * MS
        for side, other, source in ((self.client, self.server, CLIENT), (self.server, self.client, SERVER)):
            for _, data, _, ecn in side.transmits(self.now):
                self.seen = [*self.seen[-20:], data]
                if self.random.random() >= loss:
                    other.feed(self.now, data, source, ecn)
        for side in (self.client, self.server):
            side.advance(self.now)
            for event in side.events():
                if event[0] == _quic.ACCEPTED:
                    self.handles[side].append(event[1])  # type: ignore[arg-type]
                elif event[0] == _quic.CLOSED:
                    self.closed.append(event)
                elif event[0] in (_quic.DATA, _quic.STOP, _quic.RESET):
                    self.streams[side] = [*self.streams[side][-20:], event[2]]  # type: ignore[list-item]

    def garbage(self, side: _quic.SansIo) -> None:
        """A datagram that is random, broken, cut, old, or from elsewhere."""
        random = self.random
        data = bytearray(random.choice(self.seen) or random.randbytes(random.randrange(1, 1_400)))
        for _ in range(random.choice((0, 1, 1, 5))):
            if data:
                data[random.randrange(len(data))] ^= 1 << random.randrange(8)
        data = data[: random.choice((len(data), random.randrange(len(data) + 1)))]
        source = random.choice((CLIENT, SERVER, ("203.0.113.9", 1), ("2001:db8::1", 65_535)))
        side.feed(self.now, bytes(data), source, random.choice((None, 0, 3, 255)))

    def call(self, number: int) -> None:
        """One call out of all that there are, with arguments that make sense or not."""
        random = self.random
        side = random.choice((self.client, self.server))
        handle = random.choice(self.handles[side])
        stream = random.choice(self.streams[side]) if random.random() < 0.85 else random.choice(STREAMS)
        code = random.choice(CODES)
        size = random.choice((0, 1, 100, 20_000, 300_000))
        calls = (
            lambda: self.opened(side, handle, True),
            lambda: self.opened(side, handle, False),
            lambda: side.write(handle, stream, b"x" * size, False),
            lambda: side.write(handle, stream, b"x" * size, True),
            lambda: side.writev(handle, stream, [b"a" * size, b"", b"b"], random.random() < 0.3),
            lambda: side.write_file(
                handle, stream, __file__, random.choice((0, 5, 1 << 40)), size, random.random() < 0.5
            ),
            lambda: side.reset(handle, stream, code),
            lambda: side.stop(handle, stream, code),
            lambda: side.pause(handle, stream),
            lambda: side.resume(handle, stream),
            lambda: side.set_priority(handle, stream, random.choice((-(1 << 31), 0, (1 << 31) - 1))),
            lambda: side.stream_credit(handle, random.random() < 0.5, random.choice((0, 1, 1_000, 1 << 31))),
            lambda: side.send_datagram(handle, b"d" * size),
            lambda: side.max_datagram(handle),
            lambda: side.ping(handle),
            lambda: side.set_keep_alive(handle, random.choice((None, 0.001, 5.0, -1.0, float("nan"), float("inf")))),
            lambda: side.set_max_streams(
                handle, random.random() < 0.5, random.choice((0, 1, 200)) if random.random() < 0.99 else 1 << 63
            ),
            lambda: (side.info(handle), side.stats(handle), side.pending(), side.timeout(), side.connection_count()),
            lambda: side.export_keying_material(handle, b"label", b"context", random.choice((0, 32, 1 << 20))),
            lambda: (side.accept(stream), side.refuse(stream), side.retry(stream), side.ignore(stream)),
            lambda: side.set_accepting(random.random() < 0.8),
            lambda: self.garbage(side),
            lambda: self.garbage(side),
            lambda: self.exchange(random.choice((0, 0.3))),
            lambda: self.exchange(0),
            lambda: self.later(random.choice((1, 100, 3_000))),
            lambda: self.connect(),
            lambda: side.close(handle, code, b"r" * random.choice((0, 10, 3_000))) if random.random() < 0.1 else None,
        )
        with contextlib.suppress(MISUSE):
            calls[number % len(calls)]()

    def opened(self, side: _quic.SansIo, handle: int, unidirectional: bool) -> None:
        stream = side.open(handle, unidirectional)
        if stream is not None:
            self.streams[side] = [*self.streams[side][-20:], stream]

    def later(self, milliseconds: int) -> None:
        self.now += milliseconds * MS
        self.client.advance(self.now)
        self.server.advance(self.now)

    def connect(self) -> None:
        if len(self.handles[self.client]) < 8:
            self.handles[self.client].append(
                self.client.connect(SERVER, self.random.choice(("localhost", "", "x" * 300, "::1")))
            )

    def finish(self) -> None:
        """Both let go, and all of it must end; none by a failure of our own."""
        for side, handles in self.handles.items():
            for handle in handles:
                side.close(handle, 0x100, b"")
        for _ in range(4):
            self.exchange(0)
        self.later(60_000)
        self.exchange(0)
        internal = [event for event in self.closed if event[2] == _quic.CLOSED_INTERNAL]
        assert internal == []
        assert self.client.connection_count() == 0
        assert self.server.connection_count() == 0


@pytest.mark.rfc("ROB-31", "ROB-32")
@pytest.mark.parametrize("block", range(8))
def test_any_sequence_of_calls(block: int) -> None:
    """40 sequences of 300 calls each: no exception but for misuse, no panic, everything can be closed."""
    for number in range(40):
        random = Random(f"{block}/{number}")
        pair = Pair(random)
        for _ in range(300):
            pair.call(random.randrange(28))
        pair.finish()


@pytest.mark.rfc("ROB-31")
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    st.lists(st.integers(0, 27), max_size=120),
    st.integers(0, 1 << 32),
    st.sampled_from(
        [{}, {"stream_receive_window": 1, "connection_receive_window": 1}, {"max_bidirectional_streams": 0}]
    ),
)
def test_any_sequence_of_calls_under_any_limits(numbers: list[int], seed: int, transport: dict[str, int]) -> None:
    """The same, driven by Hypothesis, so that a failure is made small; with the smallest windows and limits too."""
    pair = Pair(Random(seed), **transport)
    for number in numbers:
        pair.call(number)
    pair.finish()


@pytest.mark.rfc("ROB-23", "ROB-31")
@pytest.mark.parametrize("role", ["server", "client"])
def test_twenty_thousand_broken_datagrams(role: str) -> None:
    """Old, cut and flipped packets of a real connection: it lives on, since none of them is authentic."""
    pair = Pair(Random(role))
    side = pair.server if role == "server" else pair.client
    for number in range(20_000):
        pair.garbage(side)
        if number % 100 == 0:
            pair.exchange(0)
    pair.exchange(0)
    assert [event for event in pair.closed if event[2] == _quic.CLOSED_INTERNAL] == []
    assert side.connection_count() >= 1
    pair.finish()
