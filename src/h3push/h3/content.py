"""Content as DATA frames (RFC 9114 section 7.2.1): held to its message, then written."""

from typing import Final

from h3push.h3.message import MessageInput, MessageSender
from h3push.h3.transport import Transport
from h3push.wire.frames import frame_header
from h3push.wire.registry import FrameType

JOINED_WRITE: Final = 16_384
"""Content up to this size is joined with its frame header into one write; larger content is not copied, in bytes."""


def write_content(transport: Transport, stream_id: int, sender: MessageSender, data: bytes, end: bool) -> int:
    """Write content, and with `end` the end of the message. Returns what waits on the stream, in bytes.

    Raises:
        StreamStateError: it cannot be sent now, or is more or less than was announced.
    """
    if sender.no_content:
        data = b""
    _account(sender, len(data), end)
    if not data:
        return transport.write(stream_id, b"", end)
    header = frame_header(FrameType.DATA, len(data))
    if len(data) <= JOINED_WRITE:
        return transport.write(stream_id, header + data, end)
    transport.write(stream_id, header, False)
    return transport.write(stream_id, data, end)


def announce_content(transport: Transport, stream_id: int, sender: MessageSender, length: int, end: bool) -> None:
    """Write the header of a DATA frame of `length` bytes that the transport will get from elsewhere. Raises the same."""
    _account(sender, length, end)
    transport.write(stream_id, frame_header(FrameType.DATA, length), False)


def _account(sender: MessageSender, size: int, end: bool) -> None:
    if end:
        sender.advance(MessageInput.DATA, MessageInput.END, size=size)
    else:
        sender.advance(MessageInput.DATA, size=size)
