"""Frames (RFC 9114 section 7): which may come where, their headers, and the payloads that are short enough to hold.

`FRAMES` is the one place that knows a frame type's permitted streams and senders; whatever else has to know derives it from
there. The reader that cuts a stream into frames is in `reader`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Final

from h3push.errors import ErrorCode, H3ConnectionError
from h3push.wire.registry import HTTP2_FRAME_TYPES, FrameType, Role, StreamKind, StreamType
from h3push.wire.varint import decode_varint, encode_varint


@dataclass(frozen=True, slots=True)
class FrameDefinition:
    """Where a frame of one type may stand."""

    name: str
    """As the RFC writes it."""
    streams: frozenset[StreamKind]
    """Kinds of stream that may carry it; none for what only HTTP/2 has."""
    senders: frozenset[Role]
    """The roles that may send it."""


def _definition(name: str, streams: set[StreamKind], senders: set[Role]) -> FrameDefinition:
    return FrameDefinition(name, frozenset(streams), frozenset(senders))


_CONTROL = {StreamKind.CONTROL}
_MESSAGES = {StreamKind.REQUEST, StreamKind.PUSH}
_BOTH = {Role.CLIENT, Role.SERVER}

FRAMES: Mapping[int, FrameDefinition] = MappingProxyType(
    {
        FrameType.DATA: _definition("DATA", _MESSAGES, _BOTH),
        FrameType.HEADERS: _definition("HEADERS", _MESSAGES, _BOTH),
        FrameType.CANCEL_PUSH: _definition("CANCEL_PUSH", _CONTROL, _BOTH),
        FrameType.SETTINGS: _definition("SETTINGS", _CONTROL, _BOTH),
        FrameType.PUSH_PROMISE: _definition("PUSH_PROMISE", {StreamKind.REQUEST}, {Role.SERVER}),
        FrameType.GOAWAY: _definition("GOAWAY", _CONTROL, _BOTH),
        FrameType.MAX_PUSH_ID: _definition("MAX_PUSH_ID", _CONTROL, {Role.CLIENT}),
        FrameType.PRIORITY_UPDATE_REQUEST: _definition("PRIORITY_UPDATE", _CONTROL, {Role.CLIENT}),
        FrameType.PRIORITY_UPDATE_PUSH: _definition("PRIORITY_UPDATE", _CONTROL, {Role.CLIENT}),
        **{number: _definition(f"HTTP/2 {name}", set(), set()) for number, name in HTTP2_FRAME_TYPES.items()},
    }
)
"""RFC 9114 section 7 table 1, RFC 9218 section 7.2 and, nowhere permitted, the HTTP/2 types of RFC 9114 section 7.2.8.

A type that is absent is unknown: it is skipped wherever it comes (RFC 9114 section 9)."""


class Disposition(Enum):
    """A receiver's treatment of a frame of a known type."""

    BUFFER = "buffer"
    """Hold the payload until it is complete."""
    STREAM = "stream"
    """Pass the payload on as it arrives."""
    UNEXPECTED = "unexpected"
    """Connection error H3_FRAME_UNEXPECTED, judged on the type alone."""


@cache
def dispositions(receiver: Role, kind: StreamKind) -> Mapping[int, Disposition]:
    """Treatment of each known frame type by `receiver`, on a stream of that kind; a type that is absent is skipped."""

    def disposition(frame_type: int, definition: FrameDefinition) -> Disposition:
        if kind not in definition.streams or receiver.peer not in definition.senders:
            return Disposition.UNEXPECTED
        return Disposition.STREAM if frame_type == FrameType.DATA else Disposition.BUFFER

    return MappingProxyType({number: disposition(number, definition) for number, definition in FRAMES.items()})


def frame_name(frame_type: int) -> str:
    """Name of a frame type for people, or its number when it is not known."""
    definition = FRAMES.get(frame_type)
    return definition.name if definition is not None else f"frame of type {frame_type:#x}"


# HTTP/3 frame (RFC 9114 section 7.1):
#
#     Type (varint), Length (varint), Frame Payload (Length bytes)


@lru_cache(maxsize=1024)
def frame_header(frame_type: int, length: int) -> bytes:
    """Type and Length of a frame whose payload has `length` bytes (RFC 9114 section 7.1).

    Raises:
        ValueError: a type that only HTTP/2 has (RFC 9114 section 7.2.8), or a number that no varint holds.
    """
    if frame_type in HTTP2_FRAME_TYPES:
        raise ValueError(f"HTTP/3 never carries the {frame_name(frame_type)} frame")
    return encode_varint(frame_type) + encode_varint(length)


def encode_frame(frame_type: int, payload: bytes) -> bytes:
    """Encode one whole frame (RFC 9114 section 7.1); raises like `frame_header`."""
    return frame_header(frame_type, len(payload)) + payload


# CANCEL_PUSH, GOAWAY, MAX_PUSH_ID (RFC 9114 sections 7.2.3, 7.2.6, 7.2.7):
#
#     ID (varint), and nothing after it


def encode_single_varint(frame_type: int, value: int) -> bytes:
    """Encode a whole CANCEL_PUSH, GOAWAY or MAX_PUSH_ID frame."""
    return encode_frame(frame_type, encode_varint(value))


def parse_single_varint(frame_type: int, payload: bytes) -> int:
    """ID that is the whole payload of CANCEL_PUSH, GOAWAY or MAX_PUSH_ID.

    Raises:
        H3ConnectionError: H3_FRAME_ERROR when the payload is not exactly one varint (RFC 9114 section 7.1).
    """
    decoded = decode_varint(payload, 0)
    if decoded is None:
        raise _frame_error(f"{frame_name(frame_type)} ends before its ID does")
    value, end = decoded
    if end != len(payload):
        raise _frame_error(f"{frame_name(frame_type)} goes on after its ID")
    return value


# Push stream header (RFC 9114 section 6.2.2), in front of the frames of a pushed response:
#
#     Stream Type (varint) = 0x01, Push ID (varint)


def push_stream_header(push_id: int) -> bytes:
    """Encode the header of a push stream (RFC 9114 section 6.2.2)."""
    return PUSH_STREAM + encode_varint(push_id)


PUSH_STREAM: Final = encode_varint(StreamType.PUSH)
"""The stream type, in front of an encoded push ID."""


# PUSH_PROMISE (RFC 9114 section 7.2.5):
#
#     Push ID (varint), Encoded Field Section (the rest)


def encode_push_promise(push_id: int, encoded_section: bytes) -> bytes:
    """Encode a whole PUSH_PROMISE frame (RFC 9114 section 7.2.5)."""
    return push_promise_frame(encode_varint(push_id), encoded_section)


def push_promise_frame(encoded_id: bytes, encoded_section: bytes) -> bytes:
    """The same for a push ID that is encoded already."""
    length = len(encoded_id) + len(encoded_section)
    header = _SHORT_PROMISES[length] if length < 0x40 else frame_header(FrameType.PUSH_PROMISE, length)
    return header + encoded_id + encoded_section


_SHORT_PROMISES: Final = tuple(frame_header(FrameType.PUSH_PROMISE, length) for length in range(0x40))
"""Headers of nearly all of them, by length."""


def parse_push_promise(payload: bytes) -> tuple[int, bytes]:
    """Push ID and encoded field section of PUSH_PROMISE (RFC 9114 section 7.2.5).

    Raises:
        H3ConnectionError: H3_FRAME_ERROR when the push ID is cut off. An empty section is the QPACK decoder's to judge.
    """
    decoded = decode_varint(payload, 0)
    if decoded is None:
        raise _frame_error("PUSH_PROMISE ends before its push ID does")
    push_id, end = decoded
    return push_id, payload[end:]


# PRIORITY_UPDATE (RFC 9218 section 7.2):
#
#     Prioritized Element ID (varint: stream ID in 0xf0700, push ID in 0xf0701), Priority Field Value (the rest, ASCII)


def encode_priority_update(frame_type: int, element_id: int, field_value: bytes) -> bytes:
    """Encode a whole PRIORITY_UPDATE frame (RFC 9218 section 7.2)."""
    return encode_frame(frame_type, encode_varint(element_id) + field_value)


def parse_priority_update(payload: bytes) -> tuple[int, bytes]:
    """Prioritized element ID and priority field value of PRIORITY_UPDATE (RFC 9218 section 7.2).

    Raises:
        H3ConnectionError: H3_FRAME_ERROR when the element ID is cut off. An empty value is legal and means the defaults.
    """
    decoded = decode_varint(payload, 0)
    if decoded is None:
        raise _frame_error("PRIORITY_UPDATE ends before its element ID does")
    element_id, end = decoded
    return element_id, payload[end:]


def _frame_error(sentence: str) -> H3ConnectionError:
    return H3ConnectionError(ErrorCode.H3_FRAME_ERROR, sentence)
