"""The messages of one connection, each a direction of a stream: what is sent, what comes in, and what is left of both.

Theory of operation
===================

A message that we send has a sender in `_senders`, one that we receive a receiver in `_receivers`, by stream ID. They say what
may come next (`h3.message`); this module moves the bytes, and forgets a direction as soon as it has ended: complete, reset,
stopped or malformed. A stream error stays on its stream.

Nothing here knows the connection around the messages: control streams, shutdown, closing. That is `h3.connection`.
"""

from abc import ABC
from typing import Generic, TypeVar

from h3push.errors import H3StreamError, StreamStateError
from h3push.h3.config import H3Config
from h3push.h3.content import announce_content, write_content
from h3push.h3.events import Event, MessageFailed
from h3push.h3.flood import FloodBudget
from h3push.h3.message import MessageInput, MessageSender, MessageState
from h3push.h3.message_receiver import MessageReceiver
from h3push.h3.own_streams import OwnStreams
from h3push.h3.pauses import Pauses
from h3push.h3.peer_streams import PeerStreams
from h3push.h3.sections import FieldSections
from h3push.h3.transport import Transport
from h3push.http.fields import Fields, trailer_fields

Sender = TypeVar("Sender", bound=MessageSender)


class MessageStreams(ABC, Generic[Sender]):
    """Sends and receives the messages of one connection.

    Args:
        transport: the QUIC connection.
        config: bounds and switches.
    """

    _unidirectional: PeerStreams
    """The peer's unidirectional streams: a pushed message is one of them."""

    def __init__(self, transport: Transport, config: H3Config) -> None:
        self.config = config
        """Bounds and switches."""
        self.is_closed = False
        """True when the connection is over; every further call does nothing or raises `StreamStateError`."""
        self.now = 0.0
        """Time of the `receive_*` call that came last, in seconds of the caller's clock."""

        self._transport = transport
        self._events: list[Event] = []
        self._receivers: dict[int, MessageReceiver] = {}
        self._senders: dict[int, Sender] = {}
        self._own_streams = OwnStreams(transport, config)
        self._sections = FieldSections(transport, self._own_streams, config)
        self._pauses = Pauses(transport)
        self._flood = FloodBudget(config)

    @property
    def open_message_streams(self) -> int:
        """Requests and pushes that are not complete in both directions."""
        return len(self._receivers.keys() | self._senders.keys())

    def charge(self, what: str) -> None:
        """Count something that cost us work and brought no progress; raises H3_EXCESSIVE_LOAD when there is too much."""
        self._flood.charge(self.now, what)

    # ---------------------------------------------------------------- sending

    def send_data(self, stream_id: int, data: bytes, end_stream: bool = False) -> int:
        """Send content, and with `end_stream` the end of the message (RFC 9114 section 7.2.1).

        Content of a message that never has any (responses to HEAD, 204, 304) is dropped, as RFC 9110 section 6.4.1 asks.

        Returns:
            Bytes that wait on this stream; above the transport's high-water mark, wait for `StreamDrained`.

        Raises:
            StreamStateError: the message is not at a point where content may come, or has less or more than its
                Content-Length.
        """
        sender = self._sender(stream_id)
        waiting = write_content(self._transport, stream_id, sender, data, end_stream)
        if end_stream:
            self._sending_ended(stream_id)
        return waiting

    def send_data_header(self, stream_id: int, length: int, end_stream: bool = False) -> bool:
        """Announce content that goes out past this core: a file that the transport reads itself.

        Writes the header of a DATA frame of `length` bytes and accounts for them.

        Returns:
            True: the caller must now give the transport exactly `length` bytes for this stream, with its end if `end_stream`.
            False: there is nothing to write (no content, or a message that never has any); an end has been written already.

        Raises:
            StreamStateError: as `send_data`.
        """
        sender = self._sender(stream_id)
        if sender.no_content or length == 0:
            self.send_data(stream_id, b"", end_stream)
            return False
        announce_content(self._transport, stream_id, sender, length, end_stream)
        if end_stream:
            self._sending_ended(stream_id)
        return True

    def send_trailers(self, stream_id: int, trailers: Fields) -> int:
        """Send a trailer section; it ends the message (RFC 9114 section 4.1). Returns and raises as `send_data`."""
        sender = self._sender(stream_id)
        fields = trailer_fields(trailers)
        frame = self._sections.headers_frame(stream_id, sender, fields, MessageInput.TRAILERS, MessageInput.END)
        waiting = self._transport.write(stream_id, frame, True)
        self._sending_ended(stream_id)
        return waiting

    def reset_stream(self, stream_id: int, error_code: int) -> None:
        """Abandon what we send on a stream (RESET_STREAM); nothing happens when that has ended already."""
        if self._senders.pop(stream_id, None) is not None:
            self._transport.reset(stream_id, error_code)
            self._forget_if_done(stream_id)

    def _sender(self, stream_id: int) -> Sender:
        sender = self._senders.get(stream_id)
        if sender is None:
            raise StreamStateError(f"stream {stream_id} is not open for sending")
        return sender

    def _sending_ended(self, stream_id: int) -> None:
        """We wrote the end of a message."""
        self._senders.pop(stream_id, None)

    # ---------------------------------------------------------------- receiving

    def stop_stream(self, stream_id: int, error_code: int) -> None:
        """Take no more of what the peer sends on a stream (STOP_SENDING); nothing happens when that has ended already."""
        receiver = self._receivers.get(stream_id)
        if receiver is not None:
            self._abandon(receiver, error_code)

    def pause(self, stream_id: int) -> None:
        """Take no more content of a stream for now: the peer's flow control fills up. Control streams go on."""
        if stream_id in self._receivers:
            self.pause_stream(stream_id, "application")

    def resume(self, stream_id: int) -> None:
        """Undo `pause`."""
        self.resume_stream(stream_id, "application")

    def receive_message(self, receiver: MessageReceiver, data: bytes, end: bool) -> None:
        """Give data to a message, and see to its stream errors and its end."""
        try:
            receiver.receive(data, end)
        except H3StreamError as error:
            self._message_failed(receiver, error)
        else:
            if receiver.state == MessageState.COMPLETE:
                self._receiving_ended(receiver)

    def _unblock_message(self, receiver: MessageReceiver) -> None:
        """The encoder stream caught up with a field section of this message."""
        try:
            receiver.unblock()
        except H3StreamError as error:
            self._message_failed(receiver, error)
        else:
            if receiver.state == MessageState.COMPLETE:
                self._receiving_ended(receiver)

    def _receiving_ended(self, receiver: MessageReceiver) -> None:
        """A message is complete."""
        self._receivers.pop(receiver.stream_id, None)
        self._forget_if_done(receiver.stream_id)

    def _abandon(self, receiver: MessageReceiver, error_code: int) -> None:
        """Stop receiving a message; QPACK is told that its sections will not be decoded."""
        receiver.abort()
        self._transport.stop(receiver.stream_id, error_code)
        self._lost(receiver)
        self._sections.write_decoder_stream()  # perhaps our caller's doing: nothing may arrive for long

    def _lost(self, receiver: MessageReceiver) -> None:
        """Forget a message that will not be complete."""
        self._sections.decoder.cancel(receiver.stream_id)
        self._receivers.pop(receiver.stream_id, None)
        self._unidirectional.pop(receiver.stream_id, None)
        self._forget_if_done(receiver.stream_id)

    def _forget_if_done(self, stream_id: int) -> None:
        if self._pauses and stream_id not in self._senders and stream_id not in self._receivers:
            self._pauses.pop(stream_id, None)

    def decode_section(self, stream_id: int, section: bytes) -> Fields | None:
        """Decode a field section of a stream; None while it waits for the encoder stream."""
        return self._sections.decoder.decode(stream_id, section)

    def resume_section(self, stream_id: int) -> Fields:
        """Decode the field section of a stream that waited."""
        return self._sections.decoder.resume(stream_id)

    def pause_stream(self, stream_id: int, reason: str) -> None:
        """Stop taking data of a stream for one more reason."""
        self._pauses.add(stream_id, reason)

    def resume_stream(self, stream_id: int, reason: str) -> None:
        """Take data again if no other reason is left."""
        self._pauses.discard(stream_id, reason)

    def _message_failed(self, receiver: MessageReceiver, error: H3StreamError) -> None:
        """A received message was malformed or over a limit: a stream error."""
        self._abandon(receiver, error.error_code)
        self.reset_stream(receiver.stream_id, error.error_code)
        self._events.append(MessageFailed(receiver.stream_id, error, None))
