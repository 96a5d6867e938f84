"""A hostile peer straight in front of a core: no transport, no clock, only what the peer may do, and what must then still hold.

`Attack` plays operations against one core and keeps to QUIC's rules for it (nothing comes on a stream after its end, its reset
or our STOP_SENDING; streams of a kind are opened in order), because QUIC is below us and keeps them. Everything else is
allowed. After each operation `check` holds the core to its promises:

    an event or one of our own errors, nothing else; bounded memory; no hang

The generators (`transcripts`, `mutate`, `garbage`) take a `random.Random`, so that one seed is one test.
"""

import contextlib
from collections.abc import Callable, Iterable
from random import Random
from typing import NamedTuple

from conformance.push_support import dynamic_section, insert, set_capacity
from conformance.support import (
    LARGEST_VARINT,
    SETTINGS,
    data,
    frame,
    head,
    headers,
    promise,
    request,
    response,
    section,
    varint,
)
from h3push.errors import ErrorCode, H3PushError
from h3push.h3.client import H3ClientConnection
from h3push.h3.config import H3Config
from h3push.h3.connection import H3Connection
from h3push.h3.events import ConnectionTerminated, Event, PushPromiseReceived, RequestReceived, RequestTooLarge
from h3push.h3.server import H3ServerConnection
from h3push.h3.transport import FIRST_READ_BYTES
from h3push.http.fields import RequestHead

SERVER_CONFIG = H3Config(flood_burst=60, max_field_section_size=4_000, max_encoded_field_section_size=8_000)
CLIENT_CONFIG = H3Config(
    flood_burst=60,
    max_field_section_size=4_000,
    max_encoded_field_section_size=8_000,
    max_concurrent_pushes=6,
    remembered_pushes=8,
)
STREAM_LIMIT = 40
"""Streams of each kind that QUIC would let the peer have open."""

LARGEST_READ = 8_192
"""What a stream delivers at once at most: a header in two pieces is followed by up to a window of data."""


class BrokenPromiseError(AssertionError):
    """The core broke a promise."""


class NullTransport:
    """A transport that sends nothing: it counts, and remembers which streams we are done with."""

    def __init__(self, role: type[H3Connection]) -> None:
        self.is_server = role is H3ServerConnection
        self.written = 0
        self.stopped: set[int] = set()
        self.reset_streams: set[int] = set()
        self.finished: set[int] = set()
        self.paused: set[int] = set()
        self.opened: list[int] = []
        self.closed: int | None = None
        self.credit = {True: STREAM_LIMIT, False: STREAM_LIMIT}
        self._next = {True: 2 + self.is_server, False: 0 + self.is_server}

    def stream_credit(self, unidirectional: bool, wanted: int) -> int:
        return max(0, min(wanted, self.credit[unidirectional]))

    def open_stream(self, unidirectional: bool) -> int | None:
        if self.credit[unidirectional] <= 0:
            return None
        self.credit[unidirectional] -= 1
        stream_id = self._next[unidirectional]
        self._next[unidirectional] += 4
        self.opened.append(stream_id)
        return stream_id

    def write(self, stream_id: int, data: bytes, fin: bool) -> int:
        self.written += len(data)
        if fin:
            self.finished.add(stream_id)
        return 0

    def send_stream(self, priority: int, data: bytes) -> int | None:
        stream_id = self.open_stream(True)
        if stream_id is not None:
            self.set_priority(stream_id, priority)
            self.write(stream_id, data, True)
        return stream_id

    def reset(self, stream_id: int, error_code: int) -> None:
        self.reset_streams.add(stream_id)

    def stop(self, stream_id: int, error_code: int) -> None:
        self.stopped.add(stream_id)

    def pause(self, stream_id: int) -> None:
        self.paused.add(stream_id)

    def resume(self, stream_id: int) -> None:
        self.paused.discard(stream_id)

    def set_priority(self, stream_id: int, priority: int) -> None:
        assert -(1 << 31) <= priority < 1 << 31

    def close(self, error_code: int, reason: str) -> None:
        self.closed = error_code
        assert isinstance(reason, str)


class Attack:
    """One core and what a peer does to it."""

    def __init__(self, role: type[H3Connection], config: H3Config | None = None) -> None:
        self.transport = NullTransport(role)
        self.is_server = role is H3ServerConnection
        self.core: H3ServerConnection | H3ClientConnection = role(  # type: ignore[assignment]
            self.transport, config or (SERVER_CONFIG if self.is_server else CLIENT_CONFIG)
        )
        self.now = 1.0
        self.over: set[int] = set()
        """Streams on which nothing can come from the peer any more."""
        self.delivered: set[int] = set()
        self._waiting: dict[int, tuple[bytes, bool]] = {}
        self.promised: list[int] = []
        self.answers = 0
        self.terminated = 0
        self.next_uni = 2 + (not self.is_server)
        self.next_request = 0
        self.core.start(self.now)
        if not self.is_server:
            for _ in range(2):
                self.ask()

    # what the peer does

    def send(self, stream_id: int, sent: bytes, fin: bool = False) -> None:
        """Bytes arrive on a stream, unless QUIC would not deliver them."""
        if stream_id in self.over or stream_id in self.transport.stopped:
            return
        if stream_id not in self.delivered and not self._may_appear(stream_id):
            return
        if fin:
            self.over.add(stream_id)
        if stream_id & 2 and not self.is_server and stream_id not in self.delivered:
            self.transport.paused.add(stream_id)
            self._waiting[stream_id] = (sent[FIRST_READ_BYTES:], fin)
            self._deliver(
                self.core.receive_data, stream_id, sent[:FIRST_READ_BYTES], fin and len(sent) <= FIRST_READ_BYTES
            )
        else:
            before, _ = self._waiting.get(stream_id, (b"", False))
            self._waiting[stream_id] = (before + sent, fin)
        self._flush()

    def _flush(self) -> None:
        """Deliver what waited on streams that are not paused."""
        paused, stopped = self.transport.paused, self.transport.stopped
        for stream_id in [known for known in self._waiting if known not in paused or known in stopped]:
            sent, fin = self._waiting.pop(stream_id)
            first = stream_id not in self.delivered
            if (sent or fin or first) and stream_id not in stopped:
                self._deliver(self.core.receive_data, stream_id, sent, fin)

    def reset(self, stream_id: int, code: int = 0x10C) -> None:
        """RESET_STREAM arrives."""
        if stream_id in self.over or (stream_id not in self.delivered and not self._may_appear(stream_id)):
            return
        self.over.add(stream_id)
        self._waiting.pop(stream_id, None)
        if stream_id not in self.transport.stopped:
            self._deliver(self.core.receive_reset, stream_id, code)

    def stop(self, stream_id: int, code: int = 0x10C) -> None:
        """STOP_SENDING arrives for a stream that we send on."""
        if stream_id & 2 and stream_id not in self.transport.opened:
            return
        if not stream_id & 2 and stream_id not in self.delivered and stream_id not in self.transport.opened:
            return
        if stream_id in self.transport.reset_streams:
            return
        self.transport.reset_streams.add(stream_id)
        self._deliver(self.core.receive_stop, stream_id, code)

    def acknowledge(self, stream_id: int) -> None:
        """Everything that we wrote and its end arrived there."""
        if stream_id in self.transport.finished and stream_id not in self.transport.reset_streams:
            self.transport.finished.discard(stream_id)
            self._deliver(self.core.receive_acknowledged, stream_id)

    def tick(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds
        due = self.core.next_timeout()
        if due is not None and due <= self.now:
            self._deliver(self.core.handle_timeout)

    def give_credit(self, unidirectional: bool) -> None:
        """MAX_STREAMS arrives."""
        self.transport.credit[unidirectional] = STREAM_LIMIT
        self._deliver(self.core.receive_stream_credit, unidirectional)

    def open_uni(self, *parts: bytes) -> int:
        """Open a unidirectional stream with these bytes."""
        stream_id, self.next_uni = self.next_uni, self.next_uni + 4
        self.send(stream_id, b"".join(parts))
        return stream_id

    # what our own application does

    def act(self, action: Callable[[], object]) -> None:
        """The application asks for something; one of our own errors is a fair answer."""
        with contextlib.suppress(H3PushError):
            action()
        self.check()
        self._flush()

    def ask(self) -> int | None:
        """A client sends a request."""
        before = self.next_request
        self.act(lambda: self.core.send_request(head(), end_stream=True))  # type: ignore[union-attr]
        self.next_request += 4
        return before

    def close(self) -> None:
        """The connection ends."""
        self._events(self.core.receive_closed(None, "gone", False))

    # what must hold

    def _may_appear(self, stream_id: int) -> bool:
        """Tell whether QUIC would let the peer use this stream now."""
        if stream_id & 1 == self.is_server:
            return not stream_id & 2 and stream_id in self.transport.opened  # ours: only what comes back on it
        kind = stream_id & 2
        used = sum(known & 2 == kind and known not in self.over for known in self.delivered)
        return used < STREAM_LIMIT

    def _deliver(self, receive: Callable[..., list[Event]], *arguments: object) -> None:
        if receive in (self.core.receive_data, self.core.receive_reset):
            self.delivered.add(arguments[0])  # type: ignore[arg-type]
        self._events(receive(*arguments, self.now))

    def _events(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, ConnectionTerminated):
                self.terminated += 1
                if event.error_code == ErrorCode.H3_INTERNAL_ERROR:
                    raise BrokenPromiseError(f"our own failure: {event}")
            elif isinstance(event, RequestReceived):
                self._answer(event.stream_id)
            elif isinstance(event, RequestTooLarge):
                self.act(lambda stream_id=event.stream_id: self.core.send_response(stream_id, 431, [], True))  # type: ignore[misc]
            elif isinstance(event, PushPromiseReceived):
                self.promised.append(event.push_id)
        self.check()

    def _answer(self, stream_id: int) -> None:
        """The application of a server: some answer at once, some push, some wait for ever."""
        core = self.core
        assert isinstance(core, H3ServerConnection)
        self.answers += 1
        if self.answers % 3 == 0:
            return
        if self.answers % 2:
            self.act(lambda: self._push(core, stream_id))
        self.act(lambda: core.send_response(stream_id, 200, [(b"x", b"y")]))
        self.act(lambda: core.send_data(stream_id, b"hello", end_stream=True))

    def _push(self, core: H3ServerConnection, stream_id: int) -> None:
        promised = RequestHead(b"GET", b"https", b"a.test", b"/pushed", [], None)
        push_id = core.send_push_promise(stream_id, promised)
        self.promised.append(push_id)
        if push_id % 3:
            push_stream = core.open_push_stream(push_id)
            core.send_response(push_stream, 200, [], end_stream=push_id % 3 == 1)

    def check(self) -> None:
        """Bounded memory: what the core holds, against what the peer was allowed."""
        sizes, config = held(self.core), self.core.config
        if self.core.is_closed:
            kept = {name: size for name, size in sizes.items() if size and name in FREED_AT_THE_END}
            if kept or self.terminated > 1:
                raise BrokenPromiseError(f"after the end: {kept}, {self.terminated} endings told")
            return
        bounds = {
            "receivers": STREAM_LIMIT * 2 + len(self.transport.opened),
            "senders": STREAM_LIMIT * 2 + len(self.transport.opened) + len(self.delivered),
            "unidirectional": STREAM_LIMIT + 3,
            "critical": 3,
            "pauses": STREAM_LIMIT * 2,
            "blocked": config.qpack_blocked_streams,
            "early_priorities": config.max_request_streams_buffered_priorities,
            "pushes": STREAM_LIMIT * 2 if self.is_server else (config.max_concurrent_pushes or 0),
            "finished": max(1, config.remembered_pushes),
            "held": (config.max_concurrent_pushes or 0) * LARGEST_READ,
        }
        core = self.core
        stale = core._pauses.keys() - core._receivers.keys() - core._senders.keys() - core._unidirectional.keys()
        if stale:
            raise BrokenPromiseError(f"streams {stale} are over and still counted as paused")
        for name, bound in bounds.items():
            if sizes.get(name, 0) > bound:
                raise BrokenPromiseError(f"{name}: {sizes[name]} held, {bound} allowed")


FREED_AT_THE_END = ("receivers", "senders", "unidirectional", "pauses")


def held(core: H3Connection) -> dict[str, int]:
    """How much a core holds, by name; looked up in its private parts, so that nothing public exists for tests alone."""
    sizes = {
        "receivers": len(core._receivers),
        "senders": len(core._senders),
        "unidirectional": len(core._unidirectional),
        "critical": len(core._unidirectional.critical),
        "pauses": len(core._pauses),
        "blocked": len(core._sections.decoder._blocked),
    }
    pushes = core._pushes  # type: ignore[attr-defined]
    sizes["pushes"] = len(pushes)
    if isinstance(core, H3ServerConnection):
        sizes["early_priorities"] = len(core._arrivals.early_priorities)
        sizes["push_priorities"] = len(core._pushing.priorities)
        sizes["by_stream"] = len(pushes._by_stream)
        sizes["finished"] = len(pushes._by_id) - len(pushes)
    else:
        sizes["finished"] = len(pushes._recent)
        sizes["held"] = sum(len(push.held) for push in pushes._live.values())
        sizes["deadlines"] = len(pushes._orphans) + len(pushes._unfulfilled)
    return sizes


# Valid transcripts, to be broken


class Piece(NamedTuple):
    """What one stream carries in a transcript."""

    kind: str
    """`control`, `encoder`, `decoder`, `request`, `push` or `other`."""
    sent: bytes
    fin: bool = False


def _fields(random: Random) -> list[tuple[str, str]]:
    names = ["accept", "x", "priority", "content-length", "cookie", "te", "expect", "Upper", "", "trailer"]
    values = ["", "0", "5", "u=2, i", "trailers", "x" * random.choice((1, 90, 3_000)), "\x00", "a\r\nb"]
    return [(random.choice(names), random.choice(values)) for _ in range(random.choice((0, 0, 0, 1, 2)))]


def transcript(random: Random, is_server: bool) -> list[Piece]:
    """What a decent peer could send; the control stream first."""
    control = b"\0" + random.choice([SETTINGS, frame(0x04, varint(1) + varint(4096, 4) + varint(7) + varint(16))])
    if is_server and random.random() < 0.6:
        control += frame(0x0D, varint(random.choice((0, 3, 50))))
    for _ in range(random.choice((0, 0, 1, 2, 4))):
        control += _control_frame(random, is_server)
    pieces = [Piece("control", control)]
    if random.random() < 0.5:
        instructions = set_capacity() + b"".join(insert(b"n%d" % i, b"v" * i) for i in range(random.randrange(4)))
        pieces.append(Piece("encoder", b"\x02" + instructions))
    if random.random() < 0.3:
        pieces.append(Piece("decoder", b"\x03" + random.choice([b"", b"\x44", b"\x44", b"\x01", b"\x80"])))
    for _ in range(random.randrange(1, 4)):
        message = _request(random) if is_server else _response(random)
        pieces.append(Piece("request", message, random.random() < 0.7))
    if not is_server:
        for _ in range(random.randrange(3)):
            stream = varint(1) + varint(random.choice((0, 0, 1, 2, 3, 5, 5, 6))) + _response(random)
            pieces.append(Piece("push", stream, random.random() < 0.7))
    if random.random() < 0.2:
        pieces.append(Piece("other", random.choice([b"\x21abc", b"\x40\x54", b"\x01\x00", b"\x00"])))
    return pieces


def _control_frame(random: Random, is_server: bool) -> bytes:
    number = (
        random.choice((0, 0, 0, 4, 4, 8)) if random.random() < 0.9 else random.choice((1, 63, 1 << 30, LARGEST_VARINT))
    )
    kinds = (0x0D, 0x0D, 0xF0700, 0xF0700, 0x21, 0x07, 0x03, 0xF0701) if is_server else (0x21, 0x21, 0x07, 0x03)
    kind = random.choice(kinds)
    if kind == 0x07 and number < 64:
        number = 400
    if kind in (0xF0700, 0xF0701):
        return frame(kind, varint(number) + random.choice((b"", b"u=1", b"u=9;;", b"i")))
    return frame(kind, b"" if kind == 0x21 else varint(number))


def _request(random: Random) -> bytes:
    if random.random() < 0.1:
        return frame(0x01, dynamic_section(random.randrange(1, 4)) + bytes([random.choice((0x80, 0x81, 0x10, 0xC1))]))
    method = random.choice(["GET", "GET", "GET", "POST", "HEAD", "CONNECT", ""])
    sent = request(method, random.choice(["/", "/x?y", "/", ""]), *_fields(random))
    return sent + _rest(random)


def _response(random: Random) -> bytes:
    sent = b""
    for push_id in range(random.randrange(4)):
        sent += promise(push_id, random.choice(["/a", "/a", "/a", "/b", ""]), *_fields(random))
    for _ in range(random.randrange(2)):
        sent += response("103", ("link", "</a>"))
    return sent + response(random.choice(["200", "200", "204", "304", "404", "99"]), *_fields(random)) + _rest(random)


def _rest(random: Random) -> bytes:
    sent = b"".join(data(b"z" * random.choice((0, 1, 5, 700))) for _ in range(random.randrange(3)))
    if random.random() < 0.2:
        sent += headers(("x-trailer", "1"))
    return sent


INTERESTING = (0, 1, 2, 3, 4, 5, 7, 13, 0x1F, 0x21, 0x3F, 0x40, 0x7F, 0x80, 0xBF, 0xC0, 0xFF)


def mutate(random: Random, sent: bytes, other: bytes) -> bytes:
    """Break bytes in one of the usual ways."""
    if not sent:
        return other[:9]
    at, to = random.randrange(len(sent)), random.randrange(len(sent) + 1)
    low, high = min(at, to), max(at, to)
    way = random.randrange(8)
    if way == 0:
        return sent[:at] + bytes([random.choice(INTERESTING)]) + sent[at + 1 :]
    if way == 1:
        return sent[:at] + bytes([sent[at] ^ 1 << random.randrange(8)]) + sent[at + 1 :]
    if way == 2:
        return sent[:low] + sent[high:]
    if way == 3:
        return sent[:high] + sent[low:high] * random.choice((1, 1, 30)) + sent[high:]
    if way == 4:
        return sent[:at] + random.randbytes(random.randrange(1, 9)) + sent[at:]
    if way == 5:
        return sent[:low] + other[: random.randrange(len(other) + 1)] + sent[high:]
    if way == 6:
        return sent[:at]
    return sent[:at] + varint(random.choice((0, 63, 64, 1 << 14, 1 << 30, (1 << 62) - 1))) + sent[at:]


def garbage(random: Random) -> bytes:
    """Bytes that mean little: random ones behind random frame headers."""
    kinds = (0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0D, 0x21, 0x40, 0xF0700, 0xF0701)
    sent = b""
    for _ in range(random.randrange(1, 5)):
        payload = random.randbytes(random.choice((0, 0, 1, 2, 8, 40)))
        if random.random() < 0.3:
            payload = section(*_fields(random))
        sent += frame(random.choice(kinds), payload) if random.random() < 0.8 else payload
    return sent


def play(attack: Attack, random: Random, pieces: list[Piece]) -> None:
    """Send a transcript piece by piece, cut anywhere, interleaved, with resets, stops, time and the application between."""
    streams: list[tuple[int, bytes, bool]] = []
    request_id = uni_id = 0
    for piece in pieces:
        if piece.kind == "request":
            stream_id, request_id = request_id, request_id + 4
        else:
            stream_id, uni_id = uni_id + attack.next_uni, uni_id + 4
        streams.append((stream_id, piece.sent, piece.fin))
    if random.random() < 0.3:
        random.shuffle(streams)
    while streams:
        at = 0 if random.random() < 0.7 else random.randrange(len(streams))
        stream_id, sent, fin = streams.pop(at)
        cut = len(sent) if random.random() < 0.5 else random.randrange(len(sent) + 1)
        attack.send(stream_id, sent[:cut], fin and cut == len(sent))
        if cut < len(sent):
            streams.append((stream_id, sent[cut:], fin))
        if random.random() < 0.15:
            disturb(attack, random.randrange(12), random.randrange(64))
        if attack.core.is_closed:
            break
    attack.close()


def disturb(attack: Attack, what: int, number: int) -> None:  # noqa: C901 - a list of cases
    """Something else happens: from QUIC, from the clock, or from our own application."""
    core, stream_id = attack.core, number
    if what == 0:
        attack.reset(stream_id)
    elif what in (1, 2):
        attack.stop(stream_id)
    elif what == 3:
        attack.acknowledge(stream_id)
    elif what == 4:
        attack.tick(number)
    elif what == 5:
        attack.give_credit(bool(number & 1))
    elif what == 6:
        attack.act(core.send_goaway)
    elif what == 7:
        attack.act(lambda: core.cancel_push(number % 8))
    elif what == 8:
        attack.act(lambda: core.pause(stream_id))
    elif what == 9:
        attack.act(lambda: core.resume(stream_id))
    elif what == 10:
        attack.act(lambda: core.reset_stream(stream_id, 0x10C))
        attack.act(lambda: core.stop_stream(stream_id, 0x10C))
    elif attack.is_server:
        attack.act(lambda: core.send_data(stream_id, b"more", bool(number & 1)))
    else:
        attack.ask()
