"""What the conformance tests share: a real core against a peer that is written by hand.

The bytes are made and read here without the code under test, so that a mistake in it cannot hide on both sides::

    rig = ServerRig()                                # a real server; we play the client
    stream_id = rig.send(GET, fin=True)
    rig.run()
    assert rig.status(stream_id) == 200
    rig.control("07 01 00")                          # hex or bytes, on our control stream
    rig.expect_close(ErrorCode.H3_ID_ERROR)          # or rig.expect_alive(): a second, ordinary request succeeds

`ClientRig` is the same the other way round. What holds for both roles is decorated with `both_roles`, makes its rig with
`make_rig(...)`, and writes on `rig.open_message()`: a stream on which we, the peer, owe a message.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pylsqpack
import pytest

from h3push.errors import ErrorCode
from h3push.h3.client import H3ClientConnection
from h3push.h3.config import H3Config
from h3push.h3.events import DataReceived, Event, RequestReceived, ResponseReceived, TrailersReceived
from h3push.h3.server import H3ServerConnection
from h3push.http.fields import Fields, RequestHead
from h3push.testing.memory import EndSettings, MemoryPair, MemorySettings, RawPeer, SendSettings

Bytes = bytes | str
"""Bytes, or hex with blanks (and `|` between what belongs together)."""

ARRIVES_WHOLE, BYTE_BY_BYTE = None, 1
"""For `chunk`: how what we write is delivered."""


def raw_bytes(data: Bytes) -> bytes:
    """Bytes of hex text; bytes as they are."""
    return data if isinstance(data, bytes) else bytes.fromhex(data.replace("|", " "))


# Writing


def varint(value: int, length: int | None = None) -> bytes:
    """A varint, in the shortest form or in one of `length` bytes (RFC 9000 section 16)."""
    for bits, size in enumerate((1, 2, 4, 8)):
        if length in (None, size) and value < 1 << (8 * size - 2):
            return (value | bits << (8 * size - 2)).to_bytes(size, "big")
    raise ValueError(f"{value} in {length} bytes")


def frame(frame_type: int, payload: Bytes = b"") -> bytes:
    """A frame."""
    payload = raw_bytes(payload)
    return varint(frame_type) + varint(len(payload)) + payload


def prefixed(flags: int, bits: int, value: int) -> bytes:
    """A prefixed integer (RFC 7541 section 5.1) behind `flags`."""
    limit = (1 << bits) - 1
    if value < limit:
        return bytes([flags | value])
    encoded, value = bytearray([flags | limit]), value - limit
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def section(*fields: tuple[Bytes, Bytes]) -> bytes:
    """An encoded field section of literals alone (RFC 9204 section 4.5.6); text is taken as it is."""
    lines = []
    for name, value in fields:
        name_bytes, value_bytes = _octets(name), _octets(value)
        lines.append(prefixed(0x20, 3, len(name_bytes)) + name_bytes + prefixed(0, 7, len(value_bytes)) + value_bytes)
    return b"\0\0" + b"".join(lines)


def _octets(text: Bytes) -> bytes:
    return text.encode("latin-1") if isinstance(text, str) else text


def headers(*fields: tuple[Bytes, Bytes]) -> bytes:
    """A HEADERS frame."""
    return frame(0x01, section(*fields))


def data(content: bytes) -> bytes:
    """A DATA frame."""
    return frame(0x00, content)


def request(method: Bytes = "GET", path: Bytes = "/", *fields: tuple[Bytes, Bytes], host: Bytes = "a.test") -> bytes:
    """A HEADERS frame with a request."""
    return headers((":method", method), (":scheme", "https"), (":authority", host), (":path", path), *fields)


def response(status: Bytes = "200", *fields: tuple[Bytes, Bytes]) -> bytes:
    """A HEADERS frame with a response."""
    return headers((":status", status), *fields)


def promise(push_id: int, path: Bytes = "/pushed", *fields: tuple[Bytes, Bytes], host: Bytes = "a.test") -> bytes:
    """A PUSH_PROMISE frame."""
    promised = section((":method", "GET"), (":scheme", "https"), (":authority", host), (":path", path), *fields)
    return frame(0x05, varint(push_id) + promised)


GET = request()
POST = request("POST", "/upload")
OK = response()
SETTINGS = frame(0x04)
GREASE_FRAME = frame(0x21, b"grease")
LARGEST_VARINT = (1 << 62) - 1


def head(
    method: bytes = b"GET", path: bytes | None = b"/", fields: Fields | None = None, *, authority: bytes = b"a.test"
) -> RequestHead:
    """A request for a real client to send."""
    own_fields = fields or []
    length = next((int(value) for name, value in own_fields if name == b"content-length"), None)
    scheme = None if method == b"CONNECT" else b"https"
    return RequestHead(method, scheme, authority, None if method == b"CONNECT" else path, own_fields, length)


# Reading


class Frame(NamedTuple):
    """One frame that the core under test sent."""

    type: int
    payload: bytes


def read_varint(encoded: bytes, offset: int = 0) -> tuple[int, int]:
    """Value and the offset after it; IndexError at the end."""
    length = 1 << (encoded[offset] >> 6)
    if offset + length > len(encoded):
        raise IndexError("cut varint")
    value = int.from_bytes(encoded[offset : offset + length], "big") & (1 << (8 * length - 2)) - 1
    return value, offset + length


def read_frames(encoded: bytes) -> list[Frame]:
    """The frames of a stream; a cut one at the end fails the test."""
    frames, offset = [], 0
    while offset < len(encoded):
        frame_type, offset = read_varint(encoded, offset)
        length, offset = read_varint(encoded, offset)
        assert offset + length <= len(encoded), "the last frame is cut"
        frames.append(Frame(frame_type, encoded[offset : offset + length]))
        offset += length
    return frames


def read_section(encoded: bytes) -> Fields:
    """The fields of an encoded section that uses no dynamic table."""
    return pylsqpack.Decoder(0, 0).feed_header(0, encoded)[1]


def merged_data(events: list[Event]) -> list[Event]:
    """The events with neighbouring pieces of content joined: how content was cut has no meaning."""
    merged: list[Event] = []
    for event in events:
        last = merged[-1] if merged else None
        if isinstance(event, DataReceived) and isinstance(last, DataReceived) and last.stream_id == event.stream_id:
            merged[-1] = DataReceived(event.stream_id, last.data + event.data, event.end_stream, event.push_id)
        else:
            merged.append(event)
    return merged


def every_cut_of(encoded: bytes) -> Iterator[tuple[bytes, bytes]]:
    """All ways to cut bytes in two, neither part empty."""
    return ((encoded[:at], encoded[at:]) for at in range(1, len(encoded)))


# Rigs


class Rig:
    """One real core and our scripted peer. Use `ServerRig` or `ClientRig`."""

    core: H3ServerConnection | H3ClientConnection
    raw: RawPeer
    message: bytes
    """HEADERS of an ordinary message that we, the peer, may send."""

    def __init__(
        self,
        *,
        chunk: int | None,
        streams: int,
        window: int = 262_144,
        greet: bool,
        memory: MemorySettings | None = None,
    ) -> None:
        limits = EndSettings(
            max_bidirectional_streams=streams, max_unidirectional_streams=streams, stream_window=window
        )
        usual = MemorySettings(sends=SendSettings(chunk=chunk), client=limits, server=limits)
        self.pair = MemoryPair(memory or usual)
        self.events: list[Event] = []
        """Everything that the core reported."""
        self.control_id: int | None = None
        """Our control stream, once it is open."""
        self._greet = greet

    def _begin(self) -> None:
        if self._greet:
            self.control()
        self.run()

    # what the peer does

    def control(self, *frames: Bytes, settings: Bytes | None = SETTINGS) -> None:
        """Write frames on our control stream; the first call opens it with SETTINGS (`None`: without)."""
        if self.control_id is None:
            opening = b"\0" if settings is None else b"\0" + raw_bytes(settings)
            self.control_id = self.uni(opening)
        self.raw.write(self.control_id, b"".join(map(raw_bytes, frames)))

    def uni(self, *parts: Bytes, fin: bool = False) -> int:
        """Open a unidirectional stream with these bytes, its type among them."""
        stream_id = self.raw.open(unidirectional=True)
        self.raw.write(stream_id, b"".join(map(raw_bytes, parts)), fin)
        return stream_id

    def write(self, stream_id: int, *parts: Bytes, fin: bool = False) -> None:
        """Write on a stream."""
        self.raw.write(stream_id, b"".join(map(raw_bytes, parts)), fin)

    def open_message(self) -> int:
        """A stream on which we owe a message: a fresh request stream, or one on which the real client waits."""
        raise NotImplementedError

    def send(self, *parts: Bytes, fin: bool = False) -> int:
        """`open_message`, and write on it."""
        stream_id = self.open_message()
        self.write(stream_id, *parts, fin=fin)
        return stream_id

    def run(self) -> list[Event]:
        """Let everything arrive; what the core reported since."""
        before = len(self.events)
        batch = self.pair.run()
        self.events += batch.server if isinstance(self.core, H3ServerConnection) else batch.client
        return self.events[before:]

    # what the core did

    def own_stream(self, stream_type: int) -> bytes | None:
        """What the core sent behind the type of its stream of that type; `None` when it opened none."""
        for stream_id, stream in self.raw.streams.items():
            if stream_id & 2 and stream.data and read_varint(bytes(stream.data))[0] == stream_type:
                return bytes(stream.data)[read_varint(bytes(stream.data))[1] :]
        return None

    def own_stream_id(self, stream_type: int) -> int:
        """ID of the core's stream of that type."""
        for stream_id, stream in self.raw.streams.items():
            if stream_id & 2 and stream.data and read_varint(bytes(stream.data))[0] == stream_type:
                return stream_id
        raise AssertionError(f"the core opened no stream of type {stream_type:#x}")

    def control_frames(self) -> list[Frame]:
        """The frames on the core's control stream."""
        return read_frames(self.own_stream(0) or b"")

    def events_of(self, stream_id: int) -> list[Event]:
        """What the core reported of one stream."""
        return [event for event in self.events if getattr(event, "stream_id", None) == stream_id]

    @property
    def close_code(self) -> int | None:
        """The code with which the core closed the connection; `None` while it has not."""
        return None if self.raw.closed is None else self.raw.closed.error_code

    # what is expected

    def expect_close(self, error_code: ErrorCode) -> None:
        """The connection ends with that error, and says so."""
        self.run()
        assert self.raw.closed is not None, f"the connection lives on; expected {error_code.name}"
        assert self.raw.closed.by_peer
        assert self.raw.closed.error_code == error_code, self.raw.closed
        assert self.core.is_closed

    def expect_alive(self) -> None:
        """A further ordinary exchange on this connection succeeds."""
        self.run()
        assert self.raw.closed is None, self.raw.closed
        self._ordinary_exchange()
        assert self.raw.closed is None, self.raw.closed

    def expect_stream_error(self, stream_id: int, error_code: ErrorCode) -> None:
        """That stream alone ends with an error: told to us in every direction that was open, and the rest lives."""
        self.run()
        stream = self.raw.stream(stream_id)
        assert error_code in (stream.reset, stream.stop), stream
        assert stream.reset in (None, error_code), stream
        assert stream.stop in (None, error_code), stream
        self.expect_alive()

    @contextmanager
    def healthy_sibling(self) -> Iterator[None]:
        """A message that is half through before, and must be complete after."""
        raise NotImplementedError
        yield

    def _ordinary_exchange(self) -> None:
        raise NotImplementedError


class ServerRig(Rig):
    """A real server; we are the client. Complete requests are answered with 200 and `hello`, unless `application` is given."""

    core: H3ServerConnection
    message = GET

    def __init__(
        self,
        config: H3Config | None = None,
        *,
        application: Callable[[H3ServerConnection, Event], None] | None = None,
        chunk: int | None = ARRIVES_WHOLE,
        streams: int = 100,
        window: int = 262_144,
        greet: bool = True,
        memory: MemorySettings | None = None,
    ) -> None:
        super().__init__(chunk=chunk, streams=streams, window=window, greet=greet, memory=memory)
        self.raw = RawPeer(self.pair.client)
        self.core = H3ServerConnection(self.pair.server, config or H3Config())
        self.application: Callable[[H3ServerConnection, Event], None] = application or answer
        self.pair.join(self.raw, self.core, on_server_event=lambda event: self.application(self.core, event))
        self._begin()

    def open_message(self) -> int:
        return self.raw.open(unidirectional=False)

    @property
    def requests(self) -> list[RequestHead]:
        """The requests that reached the application."""
        return [event.request for event in self.events if isinstance(event, RequestReceived)]

    def response(self, stream_id: int) -> tuple[list[Fields], bytes]:
        """The field sections (interim, final, trailers) and the content of a response; promises are left out."""
        sections, content = [], b""
        for frame_type, payload in read_frames(bytes(self.raw.stream(stream_id).data)):
            if frame_type == 0x01:
                sections.append(read_section(payload))
            elif frame_type == 0x00:
                content += payload
        return sections, content

    def status(self, stream_id: int) -> int | None:
        """The last status on a stream."""
        statuses = [section[0][1] for section in self.response(stream_id)[0] if section[0][0] == b":status"]
        return int(statuses[-1]) if statuses else None

    def _ordinary_exchange(self) -> None:
        previous, self.application = self.application, answer
        stream_id = self.send(request("GET", "/ordinary"), fin=True)
        self.run()
        self.application = previous
        assert (self.status(stream_id), self.raw.stream(stream_id).fin) == (200, True)

    @contextmanager
    def healthy_sibling(self) -> Iterator[None]:
        stream_id = self.send(POST, data(b"first "))
        self.run()
        yield
        self.write(stream_id, data(b"second"), fin=True)
        self.run()
        received = b"".join(event.data for event in self.events_of(stream_id) if isinstance(event, DataReceived))
        assert received == b"first second"
        assert (self.status(stream_id), self.raw.stream(stream_id).fin) == (200, True)


class ClientRig(Rig):
    """A real client; we are the server, and answer by hand."""

    core: H3ClientConnection
    message = OK

    def __init__(
        self,
        config: H3Config | None = None,
        *,
        is_authoritative: Callable[[bytes], bool] | None = None,
        chunk: int | None = ARRIVES_WHOLE,
        streams: int = 100,
        window: int = 262_144,
        greet: bool = True,
        auto_resume: bool = True,
        memory: MemorySettings | None = None,
    ) -> None:
        super().__init__(chunk=chunk, streams=streams, window=window, greet=greet, memory=memory)
        self.raw = RawPeer(self.pair.server, auto_resume=auto_resume)
        self.core = H3ClientConnection(self.pair.client, config or H3Config(), is_authoritative=is_authoritative)
        self.pair.join(self.core, self.raw)
        self._begin()

    def open_message(self) -> int:
        stream_id = self.core.send_request(head())
        self.run()
        return stream_id

    def request(self, stream_id: int) -> tuple[list[Fields], bytes]:
        """The field sections and the content of a request that the core sent."""
        sections, content = [], b""
        for frame_type, payload in read_frames(bytes(self.raw.stream(stream_id).data)):
            if frame_type == 0x01:
                sections.append(read_section(payload))
            elif frame_type == 0x00:
                content += payload
        return sections, content

    def received(self, stream_id: int) -> bytes:
        """Content that was delivered."""
        return b"".join(event.data for event in self.events_of(stream_id) if isinstance(event, DataReceived))

    def completed(self, stream_id: int) -> bool:
        """True when a whole response was delivered, final header section and end."""
        events = self.events_of(stream_id)
        ended = any(isinstance(event, TrailersReceived) or getattr(event, "end_stream", False) for event in events)
        return ended and any(isinstance(event, ResponseReceived) for event in events)

    def expect_stream_error(self, stream_id: int, error_code: ErrorCode) -> None:
        # The end of our stream may have been there: then there is nothing to stop, and the error is told locally alone.
        self.run()
        if self.raw.stream(stream_id).stop is None and self.raw.stream(stream_id).reset is None:
            failures = [event for event in self.events_of(stream_id) if hasattr(event, "error")]
            assert [failure.error.error_code for failure in failures] == [error_code]
            assert not self.completed(stream_id)
            self.expect_alive()
        else:
            super().expect_stream_error(stream_id, error_code)

    def _ordinary_exchange(self) -> None:
        stream_id = self.send(response("200", ("content-length", "5")), data(b"hello"), fin=True)
        self.run()
        assert self.completed(stream_id)
        assert self.received(stream_id) == b"hello"

    @contextmanager
    def healthy_sibling(self) -> Iterator[None]:
        stream_id = self.send(OK, data(b"first "))
        self.run()
        yield
        self.write(stream_id, data(b"second"), fin=True)
        self.run()
        assert self.completed(stream_id)
        assert self.received(stream_id) == b"first second"


both_roles = pytest.mark.parametrize("make_rig", [ServerRig, ClientRig], ids=["server", "client"])
"""Runs a test against a real server and against a real client."""

ways_to_arrive = pytest.mark.parametrize("chunk", [ARRIVES_WHOLE, BYTE_BY_BYTE], ids=["whole", "byte_by_byte"])
"""Runs a test with bytes that arrive together, and one by one."""


def answer(server: H3ServerConnection, event: Event) -> None:
    """An application: 200 and `hello` for every request, once it is complete."""
    if isinstance(event, TrailersReceived) or getattr(event, "end_stream", False):
        stream_id = event.stream_id  # type: ignore[union-attr]
        server.send_response(stream_id, 200, [(b"content-length", b"5")])
        server.send_data(stream_id, b"hello", end_stream=True)


def silent(server: H3ServerConnection, event: Event) -> None:
    """An application that never answers."""
