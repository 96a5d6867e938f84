"""aioquic and qh3 as peers. qh3 began as a copy of aioquic and kept its interface, so one class drives both.

A `Peer` is one connection of such a stack, in either role: it keeps everything that the stack told of it, and `until` waits for
what is to come. What their interfaces do not offer (CANCEL_PUSH, a push stream before its promise) is written through their
internals.
"""

import asyncio
import importlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from types import MappingProxyType
from typing import Any

from h3push.server.certificates import DevelopmentCertificates

Fields = list[tuple[bytes, bytes]]


class Stack:
    """One of the two packages, its modules under short names."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.version = version(name)
        self.asyncio: Any = importlib.import_module(f"{name}.asyncio")
        self.configuration: Any = importlib.import_module(f"{name}.quic.configuration")
        self.quic_events: Any = importlib.import_module(f"{name}.quic.events")
        self.h3: Any = importlib.import_module(f"{name}.h3.connection")
        self.h3_events: Any = importlib.import_module(f"{name}.h3.events")
        self.exceptions: Any = importlib.import_module(f"{name}.h3.exceptions")
        self.varint: Callable[[int], bytes] = self.h3.encode_uint_var
        self.peer = type(f"{name.capitalize()}Peer", (Peer, self.asyncio.QuicConnectionProtocol), {"stack": self})

    def __repr__(self) -> str:
        return self.name


@dataclass
class Message:
    """A request or response as the stack told of it."""

    stream_id: int
    push_id: int | None = None
    sections: list[Fields] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    ended: bool = False
    reset: int | None = None
    """Error code of the peer's RESET_STREAM."""
    stopped: int | None = None
    """Error code of the peer's STOP_SENDING."""

    @property
    def headers(self) -> dict[bytes, bytes]:
        """The final header section."""
        return dict(next(one for one in self.sections if not dict(one).get(b":status", b"200").startswith(b"1")))

    @property
    def status(self) -> int:
        return int(self.headers[b":status"])


@dataclass(frozen=True)
class Promise:
    push_id: int
    stream_id: int
    headers: Fields

    @property
    def path(self) -> str:
        return dict(self.headers)[b":path"].decode()


class Peer:
    """One connection; mixed with the stack's own protocol class."""

    stack: Stack
    on_request: "Callable[[Peer, Message], None] | None" = None
    """A server's answer; called when a request has come whole."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.http: Any = None
        self.messages: dict[int, Message] = {}
        self.promises: list[Promise] = []
        self.terminated: Any = None
        self.events: list[Any] = []
        """Everything that its HTTP/3 layer told."""
        self.quic_events: list[Any] = []
        """Everything that its QUIC layer told."""
        self.watchers: list[Callable[[], None]] = []
        """Called after every event."""
        self._changed = asyncio.Event()
        self._quic: Any
        self.transmit: Callable[[], None]

    # what happens

    def quic_event_received(self, event: Any) -> None:
        kinds = self.stack.quic_events
        self.quic_events.append(event)
        if isinstance(event, kinds.ProtocolNegotiated):
            self.http = self.stack.h3.H3Connection(self._quic)
        if isinstance(event, kinds.ConnectionTerminated):
            self.terminated = event
        if isinstance(event, kinds.StreamReset):
            self._message(event.stream_id).reset = event.error_code
        if isinstance(event, kinds.StopSendingReceived):
            self._message(event.stream_id).stopped = event.error_code
        if self.http is not None:
            for told in self.http.handle_event(event):
                self._told(told)
        for watcher in self.watchers:
            watcher()
        self._changed.set()

    def _message(self, stream_id: int, push_id: int | None = None) -> Message:
        message = self.messages.setdefault(stream_id, Message(stream_id))
        if push_id is not None:  # qh3 does not tell it of interim responses
            message.push_id = push_id
        return message

    def _told(self, event: Any) -> None:
        self.events.append(event)
        kind = type(event).__name__
        if kind == "PushPromiseReceived":
            self.promises.append(Promise(event.push_id, event.stream_id, event.headers))
            return
        if kind not in {"HeadersReceived", "DataReceived", "InformationalHeadersReceived"}:
            return
        message = self._message(event.stream_id, getattr(event, "push_id", None))
        if kind == "DataReceived":
            message.body += event.data
        else:
            message.sections.append(event.headers)
        if getattr(event, "stream_ended", False):
            message.ended = True
            if self.on_request is not None:
                self.on_request(self, message)
                self.transmit()

    async def until(self, predicate: Callable[[], object]) -> None:
        """Wait until the predicate holds; it is looked at after every event. A connection that ends before is a failure."""
        while not predicate():
            assert self.terminated is None, f"{self.stack.name}: the connection is over: {self.terminated}"
            self._changed.clear()
            await self._changed.wait()

    async def until_terminated(self) -> Any:
        """The QUIC event that tells of the connection's end."""
        while self.terminated is None:
            self._changed.clear()
            await self._changed.wait()
        return self.terminated

    # a client's side

    def send(
        self,
        method: str,
        path: str,
        *,
        authority: str = "localhost",
        headers: Sequence[tuple[bytes, bytes]] = (),
        body: bytes | None = None,
        end: bool = True,
    ) -> Message:
        """Send a request; returns the message that its response will fill."""
        stream_id = self._quic.get_next_available_stream_id()
        head = [
            (b":method", method.encode()),
            (b":scheme", b"https"),
            (b":authority", authority.encode()),
            (b":path", path.encode()),
        ]
        self.http.send_headers(stream_id, [*head, *headers], end_stream=end and body is None)
        if body is not None:
            self.http.send_data(stream_id, body, end_stream=end)
        self.transmit()
        return self._message(stream_id)

    async def fetch(self, method: str, path: str, **keywords: Any) -> Message:
        """Send a request and wait for the whole response."""
        message = self.send(method, path, **keywords)
        await self.until(lambda: message.ended or message.reset is not None)
        return message

    @property
    def pushes(self) -> dict[int, Message]:
        """Pushed responses by push ID."""
        return {message.push_id: message for message in self.messages.values() if message.push_id is not None}

    async def pushed(self, count: int) -> dict[str, Message]:
        """Pushed responses by the path that was promised, once `count` of them are whole."""
        await self.until(
            lambda: len(self.promises) >= count and sum(message.ended for message in self.pushes.values()) >= count
        )
        return {promise.path: self.pushes[promise.push_id] for promise in self.promises}

    # a server's side

    def respond(
        self, stream_id: int, status: int, headers: Sequence[tuple[bytes, bytes]] = (), body: bytes = b""
    ) -> None:
        """Send a whole response."""
        self.http.send_headers(stream_id, [(b":status", b"%d" % status), *headers])
        self.http.send_data(stream_id, body, end_stream=True)

    def push(self, request: Message, path: str, body: bytes, headers: Sequence[tuple[bytes, bytes]] = ()) -> int:
        """Promise and send through the stack's own interface; returns the push stream. It raises where the stack refuses."""
        stream_id: int = self.http.send_push_promise(request.stream_id, self.promised(request, path))
        self.respond(stream_id, 200, headers, body)
        return stream_id

    def promised(self, request: Message, path: str) -> Fields:
        return [
            (b":method", b"GET"),
            (b":scheme", b"https"),
            (b":authority", request.headers[b":authority"]),
            (b":path", path.encode()),
        ]

    # through their internals

    def write_control_frame(self, kind: int, payload: bytes) -> None:
        """A frame that the stack has no interface for."""
        self._quic.send_stream_data(self.http._local_control_stream_id, self.stack.h3.encode_frame(kind, payload))
        self.transmit()

    def cancel_push(self, push_id: int) -> None:
        self.write_control_frame(0x3, self.stack.varint(push_id))

    def write_promise(self, request: Message, push_id: int, headers: Fields) -> None:
        payload = self.stack.varint(push_id) + self.http._encode_headers(request.stream_id, headers)
        self._quic.send_stream_data(request.stream_id, self.stack.h3.encode_frame(0x5, payload))

    def open_push_stream(self, push_id: int) -> int:
        """A push stream whose promise has not been sent."""
        stream_id: int = self.http._create_uni_stream(self.stack.h3.StreamType.PUSH, push_id=push_id)
        self._quic.send_stream_data(stream_id, self.stack.varint(push_id))
        return stream_id


@asynccontextmanager
async def stranger_client(
    stack: Stack,
    certificates: DevelopmentCertificates,
    port: int,
    *,
    host: str = "localhost",
    may_end: bool = False,
    connecting: Mapping[str, Any] = MappingProxyType({}),
    **configuration: Any,
) -> AsyncIterator[Any]:
    """A client of the stack, connected to our server; our certificate is verified.

    It is a strict observer too: unless `may_end`, the connection must still be open when the scenario is done, so neither side
    had a complaint that ends it. `connecting` goes to the stack's `connect`, `configuration` to its `QuicConfiguration`.
    """
    settings = stack.configuration.QuicConfiguration(
        is_client=True, alpn_protocols=["h3"], server_name=host, **configuration
    )
    settings.load_verify_locations(cafile=str(certificates.cafile))
    async with stack.asyncio.connect(
        "127.0.0.1", port, configuration=settings, create_protocol=stack.peer, **connecting
    ) as peer:
        yield peer
        assert may_end or peer.terminated is None, f"{stack.name} ended the connection: {peer.terminated}"


@dataclass
class StrangerServer:
    port: int
    peers: list[Any]
    """A peer for every connection."""

    @property
    def peer(self) -> Any:
        """The one connection that the test made."""
        (peer,) = self.peers
        return peer


@asynccontextmanager
async def stranger_server(
    stack: Stack,
    certificates: DevelopmentCertificates,
    on_request: Callable[[Any, Message], None],
    *,
    retry: bool = False,
    **keywords: Any,
) -> AsyncIterator[StrangerServer]:
    """A server of the stack; `on_request` answers each request that has come whole."""
    configuration = stack.configuration.QuicConfiguration(is_client=False, alpn_protocols=["h3"], **keywords)
    configuration.load_cert_chain(str(certificates.certfile), str(certificates.keyfile))
    peers: list[Any] = []

    def create(*arguments: Any, **keywords: Any) -> Any:
        peer: Any = stack.peer(*arguments, **keywords)
        peer.on_request = on_request
        peers.append(peer)
        return peer

    server = await stack.asyncio.serve("127.0.0.1", 0, configuration=configuration, create_protocol=create, retry=retry)
    try:
        yield StrangerServer(server._transport.get_extra_info("sockname")[1], peers)
    finally:
        server.close()


AIOQUIC = Stack("aioquic")
QH3 = Stack("qh3")
