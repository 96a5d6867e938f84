"""Frames of a WebSocket to messages and back: the protocol of `websockets`, without its sockets.

Theory of operation. `receive` takes what came on the stream and gives whole messages as ASGI events; the library answers pings
and echoes closes. Whatever is to go out, by either side's doing, waits in `take_output`. What the client breaks ends the
WebSocket with the code that RFC 6455 section 7.4 has for it.
"""

from websockets.exceptions import ProtocolError
from websockets.extensions.base import Extension
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side, State

from h3push.asgi.types import Message

ABNORMAL = 1006
"""The code of an end without a close frame."""

INVALID_TEXT = 1007
"""The code for text that is not UTF-8."""


class WebSocketFrames:
    """One WebSocket's frames.

    Args:
        max_size: bytes of a message, after decompression.
        extensions: what was agreed on.
        side: ours.
    """

    def __init__(self, max_size: int, extensions: list[Extension], side: Side = Side.SERVER) -> None:
        self._protocol = Protocol(side, max_size=max_size)
        self._protocol.extensions = extensions
        self._parts: list[bytes] = []
        self._is_text = False
        self._unfinished = 0
        self.pongs = 0
        """Pongs that came so far."""

    @property
    def is_open(self) -> bool:
        """True until one side closes."""
        return self._protocol.state is State.OPEN

    @property
    def closed(self) -> tuple[int, str]:
        """The code and the reason of its end, as the application is told: the client's, or ours where it gave none."""
        protocol = self._protocol
        close = protocol.close_rcvd or (protocol.close_sent if self.failed else None)
        return (ABNORMAL, "") if close is None else (int(close.code), close.reason)

    @property
    def failed(self) -> bool:
        """True when we ended it for what the client did."""
        return self._protocol.parser_exc is not None or self._failed

    _failed = False

    @property
    def held(self) -> int:
        """Bytes of a message that is not whole, but for a frame that began in the last piece."""
        return self._unfinished + sum(map(len, self._parts))

    # in

    def receive(self, data: bytes) -> list[Message]:
        """Take what came on the stream; the messages that are whole now."""
        self._protocol.receive_data(data)
        frames = [frame for frame in self._protocol.events_received() if isinstance(frame, Frame)]
        self._unfinished = 0 if frames else self._unfinished + len(data)
        return [event for event in map(self._event, frames) if event is not None]

    def receive_end(self) -> None:
        """The client ended the stream."""
        self._protocol.receive_eof()

    def _event(self, frame: Frame) -> Message | None:
        if frame.opcode is Opcode.PONG:
            self.pongs += 1
        if frame.opcode not in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}:
            return None
        if frame.opcode is not Opcode.CONT:
            self._is_text = frame.opcode is Opcode.TEXT
        if frame.data:  # empty ones, which cost the client two bytes, are not kept
            self._parts.append(bytes(frame.data))
        if not frame.fin:
            return None
        data, self._parts = b"".join(self._parts), []
        if not self._is_text:
            return {"type": "websocket.receive", "bytes": data}
        try:
            return {"type": "websocket.receive", "text": data.decode()}
        except UnicodeDecodeError:
            self.fail(INVALID_TEXT, "text that is not UTF-8")
            return None

    # out

    def send(self, data: str | bytes) -> None:
        """Send a message."""
        if isinstance(data, str):
            self._protocol.send_text(data.encode())
        else:
            self._protocol.send_binary(data)

    def ping(self) -> None:
        """Ask whether the client is there."""
        self._protocol.send_ping(b"")

    def close(self, code: int, reason: str = "") -> None:
        """Begin to close, unless that has been done. `ValueError` for a code or a reason that cannot be sent."""
        if not self.is_open:
            return
        try:
            self._protocol.send_close(code, reason)
        except ProtocolError as error:
            raise ValueError(f"a WebSocket cannot be closed with {code} {reason!r}: {error}") from None

    def fail(self, code: int, reason: str) -> None:
        """End it at once, for what the client did or did not do."""
        self._failed = True
        self._protocol.fail(code, reason)

    def take_output(self) -> tuple[bytes, bool]:
        """Take what is to be sent, and whether the stream ends with it."""
        pieces = self._protocol.data_to_send()
        return b"".join(pieces), b"" in pieces
