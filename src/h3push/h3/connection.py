"""The half of an HTTP/3 connection that both roles share: streams in, events out. It knows no role.

Theory of operation
===================

The owner tells what QUIC delivered (`receive_*`, with the time as an argument); the connection acts on the transport at once
and returns what happened as events. Everything the peer sends enters through `receive_data` or `_guarded`, where a broken rule
becomes an action: `H3ConnectionError` closes the connection, and its last event is `ConnectionTerminated`.

Who owns which stream::

    client-initiated bidirectional     request streams      MessageStreams: a receiver (what comes in), a sender (what goes out)
    unidirectional, from the peer      all of them          PeerStreams, which reads what they are; push streams are the role's
                                                            business: refused by a server, a receiver on a client
    unidirectional, our own            control, QPACK       OwnStreams, opened by `start`
                                       push                 the server's PushSender

A received stream that has ended in both directions is forgotten at once. QUIC delivers nothing for a stream after its end, its
reset or our STOP_SENDING, so whatever arrives on an unknown stream begins a new one.

What goes into a field section and comes out of one is the business of `FieldSections`.
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar, TypeVarTuple

from h3push.errors import ErrorCode, H3ConnectionError
from h3push.h3.config import H3Config
from h3push.h3.events import (
    ConnectionTerminated,
    Event,
    SettingsReceived,
    StreamCreditReceived,
    StreamDrained,
)
from h3push.h3.message_receiver import MessageReceiver
from h3push.h3.message_streams import MessageStreams, Sender
from h3push.h3.peer_streams import PeerStreams
from h3push.h3.shutdown import Shutdown
from h3push.h3.transport import Transport
from h3push.wire.frames import encode_single_varint, parse_single_varint
from h3push.wire.registry import FrameType, Role
from h3push.wire.settings import Settings, parse_settings

Arguments = TypeVarTuple("Arguments")


class H3Connection(MessageStreams[Sender]):
    """The half that `H3ServerConnection` and `H3ClientConnection` share.

    Args:
        transport: the QUIC connection.
        config: bounds and switches.
    """

    role: ClassVar[Role]

    def __init__(self, transport: Transport, config: H3Config | None = None) -> None:
        super().__init__(transport, config if config is not None else H3Config())
        self.peer_settings: Settings | None = None
        """The peer's SETTINGS; None until they arrived."""

        self._unidirectional = PeerStreams(self, transport)
        self._shutdown = Shutdown(self.role)

    # ---------------------------------------------------------------- what arrived

    def start(self, now: float) -> None:
        """Open the control and QPACK streams and send SETTINGS (RFC 9114 section 6.2.1).

        Call it as soon as streams can be opened. It may be called again; what could not be opened for want of credit is
        tried again when credit comes.
        """
        self.now = now
        if self.is_closed or not self._own_streams.can_be_opened():
            return
        self._own_streams.open(self._first_control_frames())
        self._sections.apply_settings()
        self._own_streams.open_reserved_stream()

    @property
    def has_started(self) -> bool:
        """True when our control and QPACK streams are open."""
        return self._own_streams.control is not None

    def receive_data(self, stream_id: int, data: bytes, fin: bool, now: float) -> list[Event]:
        """Data of a stream arrived, and with `fin` its end. Returns what happened."""
        self.now = now
        if self.is_closed:
            return []
        try:
            if stream_id & 2:
                stream = self._unidirectional.get(stream_id)
                if stream is None:
                    stream = self._unidirectional.begin(stream_id)
                stream.receive(data, fin)
            else:
                receiver = self._receivers.get(stream_id)
                if receiver is None:
                    event = self._receive_whole(stream_id, data) if fin else None
                    if event is not None:
                        self._events.append(event)
                        events, self._events = self._events, []
                        return events
                    receiver = self._accept_bidirectional(stream_id)
                if receiver is not None:
                    self.receive_message(receiver, data, fin)
        except H3ConnectionError as error:
            self._fail(error)
        return self._take_events()

    def receive_reset(self, stream_id: int, error_code: int, now: float) -> list[Event]:
        """The peer reset its sending side of a stream (RESET_STREAM)."""
        return self._guarded(now, self._reset_received, stream_id, error_code)

    def receive_stop(self, stream_id: int, error_code: int, now: float) -> list[Event]:
        """The peer sent STOP_SENDING; the transport has answered with RESET_STREAM already."""
        return self._guarded(now, self._stop_received, stream_id, error_code)

    def receive_acknowledged(self, stream_id: int, now: float) -> list[Event]:
        """Everything we wrote to a stream, and its end, has been acknowledged."""
        self.now = now
        if not self.is_closed:
            self._acknowledged(stream_id)
        return self._take_events()

    def receive_stream_credit(self, unidirectional: bool, now: float) -> list[Event]:
        """The peer raised its limit on streams that we open (MAX_STREAMS)."""
        if unidirectional:
            self.start(now)
        return self._guarded(now, self._events.append, StreamCreditReceived(unidirectional))

    def receive_drained(self, stream_id: int, now: float) -> list[Event]:
        """A stream has fallen to the low-water mark."""
        return self._guarded(now, self._events.append, StreamDrained(stream_id))

    def receive_closed(self, error_code: int | None, reason: str, by_peer: bool) -> list[Event]:
        """The QUIC connection ended: by the peer, by a time-out, or because we closed it."""
        if not self.is_closed:
            self._terminate(ConnectionTerminated(error_code, reason, by_peer))
        return self._take_events()

    def next_timeout(self) -> float | None:
        """When `handle_timeout` should be called, on the clock of `now`; None: not at all."""
        return None

    def handle_timeout(self, now: float) -> list[Event]:
        """The time of `next_timeout` has come."""
        return self._guarded(now, self._expire)

    # ---------------------------------------------------------------- what the application asks for

    def close(self, error_code: ErrorCode = ErrorCode.H3_NO_ERROR, reason: str = "") -> None:
        """Close the connection at once (RFC 9114 section 5.3); `receive_closed` then returns `ConnectionTerminated`."""
        if not self.is_closed:
            self._transport.close(error_code, reason)
            self._terminate(ConnectionTerminated(error_code, reason, by_peer=False))

    def send_goaway(self, identifier: int | None = None) -> None:
        """Announce shutdown (RFC 9114 section 5.2).

        Args:
            identifier: what is at or above it will not be handled; `None` means everything that we have not seen yet. A server
                gives a request stream ID, a client a push ID. It may be repeated with a smaller one.

        Raises:
            LocalProtocolError: the identifier grew or cannot be.
        """
        if identifier is None:
            identifier = self._first_unseen()
            if self._shutdown.sent is not None:
                identifier = min(identifier, self._shutdown.sent)
        self._shutdown.send(identifier)
        self._own_streams.write_control(encode_single_varint(FrameType.GOAWAY, identifier))

    @property
    def is_shutting_down(self) -> bool:
        """True when either side has sent GOAWAY."""
        return self._shutdown.sent is not None or self._shutdown.received is not None

    # ---------------------------------------------------------------- what the roles add

    @abstractmethod
    def _accept_bidirectional(self, stream_id: int) -> MessageReceiver | None:
        """Something arrived on a new bidirectional stream; None when it is refused or ignored."""

    def _receive_whole(self, stream_id: int, data: bytes) -> Event | None:
        """A new bidirectional stream came whole; what that means, or None when it takes the long way.

        Whatever is to be said on the decoder stream has been said.
        """
        return None

    @abstractmethod
    def push_stream_announced(self, stream_id: int) -> None:
        """A unidirectional stream turned out to be of type push; its push ID may not be there yet. Raises when it must not be."""

    @abstractmethod
    def push_stream_opened(self, stream_id: int, push_id: int, data: bytes, end: bool) -> None:
        """The header of a push stream is complete; `data` is what came after it."""

    def control_handlers(self) -> dict[int, Callable[[bytes], None]]:
        """Handlers of the frames on the peer's control stream; each role adds those that only it receives."""
        return {FrameType.SETTINGS: self._settings_received, FrameType.GOAWAY: self._goaway_received}

    @abstractmethod
    def _first_unseen(self) -> int:
        """The GOAWAY identifier for "everything that we have not seen yet"."""

    @abstractmethod
    def _goaway_received(self, payload: bytes) -> None:
        """GOAWAY arrived."""

    def _first_control_frames(self) -> bytes:
        """Frames that go out right behind SETTINGS."""
        return b""

    def _message_reset(self, receiver: MessageReceiver, error_code: int) -> None:
        """The peer reset a message that we were receiving."""
        raise NotImplementedError

    def _message_stopped(self, stream_id: int, error_code: int) -> None:
        """The peer does not want the rest of a message that we were sending."""
        raise NotImplementedError

    def _acknowledged(self, stream_id: int) -> None:
        """Everything on a stream of ours was acknowledged."""

    def _expire(self) -> None:
        """Deal with what is due."""

    # ---------------------------------------------------------------- entering and leaving

    def _guarded(self, now: float, action: Callable[[*Arguments], None], *arguments: *Arguments) -> list[Event]:
        """Run what the peer caused; a connection error ends the connection."""
        self.now = now
        if self.is_closed:
            return []
        try:
            action(*arguments)
        except H3ConnectionError as error:
            self._fail(error)
        return self._take_events()

    def _take_events(self) -> list[Event]:
        if self._sections.decoder.may_have_instructions and not self.is_closed:
            self._sections.write_decoder_stream()
        events = self._events
        self._events = []
        return events

    def _fail(self, error: H3ConnectionError) -> None:
        self._transport.close(error.error_code, error.reason)
        self._terminate(ConnectionTerminated(error.error_code, error.reason, by_peer=False))

    def _terminate(self, event: ConnectionTerminated) -> None:
        self.is_closed = True
        self._receivers.clear()
        self._senders.clear()
        self._unidirectional.clear()
        self._pauses.clear()
        self._events.append(event)

    # ---------------------------------------------------------------- the peer's control and QPACK streams

    def _settings_received(self, payload: bytes) -> None:
        settings = self.peer_settings = parse_settings(payload)
        self._sections.settings_received(settings)
        self._events.append(SettingsReceived(settings))

    def encoder_stream_received(self, data: bytes) -> None:
        """The peer's encoder said something: messages that waited for it go on (called by the stream)."""
        for stream_id in self._sections.decoder.receive_encoder_stream(data):
            receiver = self._receivers.get(stream_id)
            if receiver is not None:
                self._unblock_message(receiver)

    def decoder_stream_received(self, data: bytes) -> None:
        """The peer's decoder said something (called by the stream)."""
        self._sections.encoder.receive_decoder_stream(data)

    def _parse_goaway(self, payload: bytes) -> int:
        identifier = parse_single_varint(FrameType.GOAWAY, payload)
        if self._shutdown.received is not None:
            self.charge("GOAWAY frames")
        self._shutdown.receive(identifier)
        return identifier

    # ---------------------------------------------------------------- resets

    def _reset_received(self, stream_id: int, error_code: int) -> None:
        self.charge("streams that were reset")
        self._unidirectional.check_reset(stream_id)
        receiver = self._receivers.get(stream_id)
        if receiver is not None:
            receiver.abort()
            self._message_reset(receiver, error_code)
            self._lost(receiver)
        else:
            self._unidirectional.pop(stream_id, None)
            # Field sections on it may never have reached us (RFC 9204 section 2.2.2.2).
            self._sections.decoder.cancel(stream_id)

    def _stop_received(self, stream_id: int, error_code: int) -> None:
        self.charge("streams that were stopped")
        self._own_streams.check_stopped(stream_id)
        self._message_stopped(stream_id, error_code)
        if self._senders.pop(stream_id, None) is not None:
            self._forget_if_done(stream_id)
