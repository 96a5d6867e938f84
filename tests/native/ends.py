"""Two ends of the native module, joined in memory or over loopback."""

import select
import time

from h3push import _quic

CLIENT, SERVER = ("10.0.0.1", 50000), ("10.0.0.2", 443)
MS = 1_000_000


def only(events, kind, connection=None):
    return [event for event in events if event[0] == kind and connection in (None, event[1])]


def data_of(events, stream):
    """All bytes of a stream, and whether its end was among them."""
    pieces = [event for event in events if event[0] == _quic.DATA and event[2] == stream]
    return b"".join(piece[3] for piece in pieces), any(piece[4] for piece in pieces)


class Joined:
    """Two `SansIo` in virtual time, with a delay between them."""

    def __init__(self, server_tls, client_tls, *, server=None, client=None, delay=10 * MS, seed=0):
        seeds = bytes([seed]) * 32, bytes([seed + 1]) * 32
        self.now = 0
        self.server = _quic.SansIo(server=server_tls, transport=server or _quic.Transport(), seed=seeds[0], now=0)
        self.client = _quic.SansIo(client=client_tls, transport=client or _quic.Transport(), seed=seeds[1], now=0)
        self.told = {self.server: [], self.client: []}
        self.sent = []
        self._delay = delay
        self._flying = []

    def run(self, milliseconds):
        end = self.now + milliseconds * MS
        while True:
            self._exchange()
            times = [self.server.timeout(), self.client.timeout(), *(flight[0] for flight in self._flying[:1])]
            nearest = min((time for time in times if time is not None), default=end + 1)
            if nearest > end:
                break
            self._move(max(nearest, self.now))
        self._move(end)
        self._exchange()

    def _exchange(self):
        for side, other, address in ((self.client, self.server, CLIENT), (self.server, self.client, SERVER)):
            for _, data, segment, ecn in side.transmits(self.now):
                assert segment is None
                self.sent.append((self.now, side is self.client, len(data)))
                self._flying.append((self.now + self._delay, other, data, address, ecn))
            self.told[side] += side.events()

    def _move(self, now):
        self.now = now
        while self._flying and self._flying[0][0] <= now:
            _, to, data, address, ecn = self._flying.pop(0)
            to.feed(now, data, address, ecn)
        self.server.advance(now)
        self.client.advance(now)

    def connect(self, name="localhost", **options):
        return self.client.connect(SERVER, name, **options)

    def connected(self):
        """The handles of both ends after a handshake."""
        ours = self.connect()
        self.run(100)
        assert only(self.told[self.client], _quic.CONNECTED, ours)
        return ours, only(self.told[self.server], _quic.ACCEPTED)[-1][1]


class Loopback:
    """Endpoints with sockets, driven together until something has happened."""

    def __init__(self, *endpoints):
        self.told = {endpoint: [] for endpoint in endpoints}

    def until(self, done, on_event=None, seconds=20):
        """Drive until `done()`; a failure names what was told."""
        deadline = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < deadline, self.told
            self.turn(on_event)

    def turn(self, on_event=None):
        waits = [0.05]
        for endpoint in self.told:
            delay, more = endpoint.flush()
            waits.append(0 if more or endpoint.pending() else delay if delay is not None else 1)
        ready = select.select(list(self.told), [], [], min(waits))[0]
        for endpoint, told in self.told.items():
            events = endpoint.recv() if endpoint in ready else endpoint.tick()
            told += events
            for event in events:
                if on_event is not None:
                    on_event(endpoint, event)

    def seen(self, endpoint, kind):
        return only(self.told[endpoint], kind)
