"""What the push tests add to `support`: rigs that know promises and push streams, and QPACK sections with dynamic entries.

`PushServerRig` is a real server that may push to our scripted client ("RC" in the checklist), `PushClientRig` a real client
that takes pushes from our scripted server ("RS").
"""

from collections.abc import Callable

import pylsqpack

from conformance.support import (
    ClientRig,
    ServerRig,
    data,
    frame,
    headers,
    prefixed,
    promise,
    read_frames,
    read_varint,
    request,
    section,
    varint,
)
from h3push.errors import ErrorCode
from h3push.h3.config import H3Config
from h3push.h3.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    PushCancelled,
    PushPromiseReceived,
    RequestReceived,
    ResponseReceived,
    TrailersReceived,
)
from h3push.h3.server import H3ServerConnection
from h3push.http.fields import Fields, RequestHead
from h3push.testing.memory import Batch, EndSettings, LinkSettings, MemorySettings, SendSettings

AUTHORITY = b"a.test"
DATA, HEADERS, CANCEL_PUSH, SETTINGS, PUSH_PROMISE, GOAWAY, MAX_PUSH_ID = 0x00, 0x01, 0x03, 0x04, 0x05, 0x07, 0x0D
PRIORITY_UPDATE_REQUEST, PRIORITY_UPDATE_PUSH = 0xF0700, 0xF0701
CANCELLED = ErrorCode.H3_REQUEST_CANCELLED


def id_frame(frame_type: int, identifier: int) -> bytes:
    """CANCEL_PUSH, GOAWAY or MAX_PUSH_ID."""
    return frame(frame_type, varint(identifier))


def push_header(push_id: int) -> bytes:
    """What a push stream begins with (RFC 9114 section 6.2.2)."""
    return b"\1" + varint(push_id)


def reply(body: bytes = b"ok", status: str = "200", *fields: tuple[str, str]) -> bytes:
    """HEADERS and DATA of a response."""
    return headers((":status", status), *fields) + data(body)


def encoded_promise(push_id: int, encoded: bytes) -> bytes:
    """A PUSH_PROMISE with this encoded field section."""
    return frame(PUSH_PROMISE, varint(push_id) + encoded)


def promised(
    path: bytes = b"/pushed",
    fields: Fields | None = None,
    *,
    method: bytes = b"GET",
    scheme: bytes | None = b"https",
    authority: bytes | None = AUTHORITY,
) -> RequestHead:
    """A request for a real server to promise."""
    own_fields = fields or []
    length = next((int(value) for name, value in own_fields if name == b"content-length"), None)
    return RequestHead(method, scheme, authority, path, own_fields, length)


def is_grease(number: int) -> bool:
    """RFC 9114 section 7.2.8: reserved numbers, which mean nothing."""
    return number >= 0x21 and (number - 0x21) % 0x1F == 0


# QPACK with a dynamic table (RFC 9204)

ENTRIES = 128
"""MaxEntries of the table of 4096 bytes that a core announces by default (section 4.5.1.1)."""


def set_capacity(capacity: int = 4096) -> bytes:
    """Encoder instruction: Set Dynamic Table Capacity (section 4.3.1)."""
    return prefixed(0x20, 5, capacity)


def insert(name: bytes, value: bytes) -> bytes:
    """Encoder instruction: Insert with Literal Name (section 4.3.3)."""
    return prefixed(0x40, 5, len(name)) + name + prefixed(0, 7, len(value)) + value


def dynamic_section(required: int, *lines: int | tuple[str, str]) -> bytes:
    """A section with that Required Insert Count as its Base; numbers are absolute indices of dynamic entries."""
    parts = [prefixed(0, 8, required % (2 * ENTRIES) + 1), b"\0"]
    for line in lines:
        parts.append(prefixed(0x80, 6, required - 1 - line) if isinstance(line, int) else section(line)[2:])
    return b"".join(parts)


def read_decoder_stream(encoded: bytes) -> list[tuple[str, int]]:
    """Decoder instructions (section 4.4): ("ack" or "cancel", stream ID) or ("increment", count)."""
    instructions, offset = [], 0
    while offset < len(encoded):
        first = encoded[offset]
        what, bits = ("ack", 7) if first >= 0x80 else ("cancel", 6) if first >= 0x40 else ("increment", 6)
        value, shift = first & (1 << bits) - 1, 0
        offset += 1
        if value == (1 << bits) - 1:
            while True:
                byte = encoded[offset]
                value, shift, offset = value + ((byte & 0x7F) << shift), shift + 7, offset + 1
                if byte < 0x80:
                    break
        instructions.append((what, value))
    return instructions


# Rigs


def _memory(chunk: int | None, link: LinkSettings | None, client: EndSettings) -> MemorySettings:
    server = EndSettings(max_bidirectional_streams=200_000, max_unidirectional_streams=100_000)
    return MemorySettings(link=link or LinkSettings(), sends=SendSettings(chunk=chunk), client=client, server=server)


class _Push:
    """What both push rigs have. A mixin in front of `Rig`."""

    def _prepare(self) -> None:
        self._qpack_streams: dict[int, int] = {}
        self._decoder = pylsqpack.Decoder(4096, 16)
        self._fed = 0

    def tell(self, *frames: bytes | str) -> list[Event]:
        """Send frames on our control stream; what the core reported."""
        self.control(*frames)
        return self.run()

    def advance(self, seconds: float) -> list[Event]:
        """Let time pass; what the core reported meanwhile."""
        batch = self.pair.advance(seconds)
        events = self._own(batch)
        self.events += events
        return events

    def _own(self, batch: Batch) -> list[Event]:
        return batch.server if isinstance(self.core, H3ServerConnection) else batch.client

    def on_qpack(self, stream_type: int, *instructions: bytes) -> list[Event]:
        """Send instructions on our QPACK encoder (2) or decoder (3) stream."""
        stream_id = self._qpack_streams.get(stream_type)
        if stream_id is None:
            self._qpack_streams[stream_type] = self.uni(varint(stream_type), *instructions)
        else:
            self.write(stream_id, *instructions)
        return self.run()

    def on_encoder(self, *instructions: bytes) -> list[Event]:
        """Send instructions on our QPACK encoder stream."""
        return self.on_qpack(2, *instructions)

    def on_decoder(self, *instructions: bytes) -> list[Event]:
        """Send instructions on our QPACK decoder stream."""
        return self.on_qpack(3, *instructions)

    def said(self, frame_type: int) -> list[bytes]:
        """Payloads of the core's frames of one type on its control stream."""
        return [payload for known, payload in self.control_frames() if known == frame_type]

    def ids(self, frame_type: int) -> list[int]:
        """The IDs in the core's CANCEL_PUSH, GOAWAY or MAX_PUSH_ID frames; each has to be exactly one varint."""
        decoded = [(read_varint(payload), len(payload)) for payload in self.said(frame_type)]
        assert all(end == length for (_, end), length in decoded)
        return [value for (value, _), _ in decoded]

    @property
    def cancelled(self) -> list[int]:
        """The push IDs in the core's CANCEL_PUSH frames."""
        return self.ids(CANCEL_PUSH)

    def acknowledgments(self) -> list[tuple[str, int]]:
        """What the core said on its QPACK decoder stream."""
        return read_decoder_stream(self.own_stream(3) or b"")

    def decode(self, encoded: bytes, stream_id: int = 0) -> Fields:
        """Decode a section that the core sent, with the help of its encoder stream; to be called in the order of sending."""
        instructions = self.own_stream(2) or b""
        self._decoder.feed_encoder(instructions[self._fed :])
        self._fed = len(instructions)
        return self._decoder.feed_header(stream_id, encoded)[1]

    def cancellations(self) -> list[PushCancelled]:
        """What the application heard of pushes that ended early."""
        return [event for event in self.events if isinstance(event, PushCancelled)]

    def expect_close(self, error_code: ErrorCode) -> None:
        """The core closed with that error, and reported nothing after it."""
        super().expect_close(error_code)
        terminated = self.events[-1]
        assert isinstance(terminated, ConnectionTerminated)
        assert (terminated.error_code, terminated.by_peer) == (error_code, False)

    def expect_open(self) -> None:
        """The connection lives."""
        self.run()
        assert self.raw.closed is None, self.raw.closed


class PushServerRig(_Push, ServerRig):
    """A real server; we are a client that may have allowed pushes.

    Args:
        config: of the server.
        application: called with the server and each event; by default complete requests are answered.
        max_push_id: sent behind SETTINGS; None: not at all.
        settings: payload of our SETTINGS.
        streams: unidirectional streams that we allow (three are needed for control and QPACK).
        chunk: bytes of a delivery at most.
        window: flow control of each of the server's streams, in bytes.
        link: how the two are connected.
    """

    def __init__(
        self,
        config: H3Config | None = None,
        *,
        application: Callable[[H3ServerConnection, Event], None] | None = None,
        max_push_id: int | None = None,
        settings: bytes = b"",
        streams: int = 1_000,
        chunk: int | None = None,
        window: int = 262_144,
        link: LinkSettings | None = None,
    ) -> None:
        self._prepare()
        client = EndSettings(max_unidirectional_streams=streams, stream_window=window, replenish=False)
        memory = _memory(chunk, link, client)
        super().__init__(config, application=application or waiting, greet=False, memory=memory)
        self.control(settings=frame(SETTINGS, settings))
        if max_push_id is not None:
            self.control(id_frame(MAX_PUSH_ID, max_push_id))
        self.run()

    def ask(self, path: str = "/", *fields: tuple[str, str], fin: bool = True) -> int:
        """Send a GET and deliver it; the stream ID."""
        stream_id = self.send(request("GET", path, *fields), fin=fin)
        self.run()
        return stream_id

    def finish(self, stream_id: int, body: bytes = b"ok") -> None:
        """Let the server send a whole response, on a request stream or a push stream."""
        self.core.send_response(stream_id, 200, [])
        self.core.send_data(stream_id, body, True)
        self.run()

    def promises(self, stream_id: int) -> list[tuple[int, Fields]]:
        """The promises on a response stream: push ID and fields. Decodes, so each may be looked at once."""
        found = []
        for frame_type, payload in read_frames(bytes(self.raw.stream(stream_id).data)):
            if frame_type == PUSH_PROMISE:
                push_id, end = read_varint(payload)
                found.append((push_id, self.decode(payload[end:], stream_id)))
        return found

    def promised_ids(self) -> list[int]:
        """The push IDs in all promises that went out, stream by stream."""
        return [
            read_varint(payload)[0]
            for stream_id, stream in self.raw.streams.items()
            if stream_id % 4 == 0
            for frame_type, payload in read_frames(bytes(stream.data))
            if frame_type == PUSH_PROMISE
        ]

    def push_streams(self) -> dict[int, int]:
        """Push ID to stream ID of every push stream that the server opened; no push ID may come twice."""
        found: dict[int, int] = {}
        for stream_id, stream in self.raw.streams.items():
            if stream_id % 4 == 3 and stream.data[:1] == b"\1":
                push_id, _ = read_varint(bytes(stream.data), 1)
                assert push_id not in found, f"push {push_id} has two streams"
                found[push_id] = stream_id
        return found

    def pushed_frames(self, push_id: int) -> list[tuple[int, bytes]]:
        """The frames on a push stream."""
        encoded = bytes(self.raw.stream(self.push_streams()[push_id]).data)
        return list(read_frames(encoded[read_varint(encoded, 1)[1] :]))

    def pushed_body(self, push_id: int) -> bytes:
        """The content on a push stream."""
        return b"".join(payload for frame_type, payload in self.pushed_frames(push_id) if frame_type == DATA)


def waiting(server: H3ServerConnection, event: Event) -> None:
    """An application that leaves the answers to the test."""


def answering(server: H3ServerConnection, event: Event) -> None:
    """An application that answers requests at once with `ok`."""
    if isinstance(event, RequestReceived):
        server.send_response(event.stream_id, 200, [])
        server.send_data(event.stream_id, b"ok", True)


class PushClientRig(_Push, ClientRig):
    """A real client that takes pushes; we are the server.

    Args:
        pushes: `max_concurrent_pushes`; None: push is off, as by default.
        settings: further settings of the client.
        is_authoritative: as the client takes it.
        chunk: bytes of a delivery at most.
        window: flow control of each of our streams, in bytes.
        link: how the two are connected.
    """

    def __init__(
        self,
        pushes: int | None = 8,
        *,
        is_authoritative: Callable[[bytes], bool] | None = None,
        chunk: int | None = None,
        window: int = 262_144,
        link: LinkSettings | None = None,
        **settings: object,
    ) -> None:
        self._prepare()
        client = EndSettings(max_unidirectional_streams=1_000, stream_window=window)
        super().__init__(
            H3Config(max_concurrent_pushes=pushes, **settings),
            is_authoritative=is_authoritative,
            memory=_memory(chunk, link, client),
        )

    def ask(self, method: bytes = b"GET", path: bytes = b"/") -> int:
        """Let the client send a request; the stream ID."""
        head = RequestHead(method, b"https", AUTHORITY, path, [], None)
        if method == b"CONNECT":
            head = RequestHead(method, None, b"a.test:443", None, [], None)
        stream_id = self.core.send_request(head, end_stream=method != b"CONNECT")
        self.run()
        return stream_id

    def respond(self, stream_id: int, *parts: bytes | str, fin: bool = False) -> list[Event]:
        """Write on a stream and deliver it; what the client reported."""
        self.write(stream_id, *parts, fin=fin)
        return self.run()

    def push(self, push_id: int, *parts: bytes | str, fin: bool = True) -> int:
        """Open a push stream with these frames and deliver it; its stream ID."""
        stream_id = self.uni(push_header(push_id), *parts, fin=fin)
        self.run()
        return stream_id

    def promise_and_push(self, push_id: int, body: bytes = b"pushed") -> int:
        """A whole push on a request of its own; the push stream's ID."""
        stream_id = self.ask()
        self.respond(stream_id, promise(push_id, f"/{push_id}"), reply(), fin=True)
        return self.push(push_id, reply(body))

    @property
    def limits(self) -> list[int]:
        """The values of MAX_PUSH_ID that the client sent, in order."""
        return self.ids(MAX_PUSH_ID)

    def stopped(self, stream_id: int) -> int | None:
        """The code of the client's STOP_SENDING on a stream."""
        return self.raw.stream(stream_id).stop

    def promised(self) -> list[int]:
        """The push IDs in all promises that the application heard of."""
        return [event.push_id for event in self.events if isinstance(event, PushPromiseReceived)]

    def pushed(self, push_id: int) -> tuple[int | None, bytes, bool]:
        """What the application got of a push: status, content, and whether it is complete."""
        status, content, complete = None, b"", False
        for event in self.events:
            if not isinstance(event, ResponseReceived | DataReceived | TrailersReceived) or event.push_id != push_id:
                continue
            assert not complete, "something came after the end"
            if isinstance(event, ResponseReceived):
                status = event.response.status
            if isinstance(event, DataReceived):
                content += event.data
            complete = isinstance(event, TrailersReceived) or event.end_stream
        return status, content, complete


WHOLE = (200, b"pushed", True)
"""`PushClientRig.pushed` of a push with content `pushed` that arrived."""
