"""Frames, settings and fields as qlog's events have them (draft-ietf-quic-qlog-h3-events).

The values of fields that hold secrets (`http.fields.is_secret`) are left out: such files are passed on.
"""

from collections.abc import Sequence
from typing import Any

from h3push.http.fields import Field, is_secret
from h3push.wire.registry import FrameType, Setting, StreamType, is_reserved
from h3push.wire.settings import Settings
from h3push.wire.varint import decode_varint

FRAME_NAMES = {
    FrameType.DATA: "data",
    FrameType.HEADERS: "headers",
    FrameType.CANCEL_PUSH: "cancel_push",
    FrameType.SETTINGS: "settings",
    FrameType.PUSH_PROMISE: "push_promise",
    FrameType.GOAWAY: "goaway",
    FrameType.MAX_PUSH_ID: "max_push_id",
    FrameType.PRIORITY_UPDATE_REQUEST: "priority_update",
    FrameType.PRIORITY_UPDATE_PUSH: "priority_update",
}
"""Types of frames, and the draft's words for them."""
SINGLE_IDS = {FrameType.CANCEL_PUSH: "push_id", FrameType.GOAWAY: "id", FrameType.MAX_PUSH_ID: "push_id"}
"""Frames that hold one number, and its name."""
PRIORITIZED = {FrameType.PRIORITY_UPDATE_REQUEST: "stream_id", FrameType.PRIORITY_UPDATE_PUSH: "push_id"}
"""PRIORITY_UPDATE frames, and the name of the number of what they are about."""
STREAM_NAMES = {
    StreamType.CONTROL: "control",
    StreamType.PUSH: "push",
    StreamType.QPACK_ENCODER: "qpack_encode",
    StreamType.QPACK_DECODER: "qpack_decode",
}
"""Types of unidirectional streams, and the draft's words."""
SETTING_NAMES = {
    Setting.QPACK_MAX_TABLE_CAPACITY: "settings_qpack_max_table_capacity",
    Setting.MAX_FIELD_SECTION_SIZE: "settings_max_field_section_size",
    Setting.QPACK_BLOCKED_STREAMS: "settings_qpack_blocked_streams",
    Setting.ENABLE_CONNECT_PROTOCOL: "settings_enable_connect_protocol",
    Setting.H3_DATAGRAM: "settings_h3_datagram",
}
"""Settings, and the draft's words."""


def frame_value(frame_type: int, header: int, length: int) -> dict[str, Any]:
    """A frame by its type and its length, without what is in it."""
    raw = {"length": header + length, "payload_length": length}
    name = FRAME_NAMES.get(FrameType(frame_type)) if frame_type in FRAME_NAMES else None
    if name is not None:
        return {"frame_type": name, "raw": raw}
    kind = "reserved" if is_reserved(frame_type) else "unknown"
    return {"frame_type": kind, "frame_type_bytes": frame_type, "raw": raw}


def stream_value(stream_type: int) -> dict[str, Any]:
    """The type of a unidirectional stream."""
    if stream_type in STREAM_NAMES:
        return {"stream_type": STREAM_NAMES[StreamType(stream_type)]}
    return {"stream_type": "reserved" if is_reserved(stream_type) else "unknown", "stream_type_bytes": stream_type}


def field_values(fields: Sequence[Field]) -> list[dict[str, str]]:
    """Fields; the values of secret ones are left out."""
    return [_field(name, value) for name, value in fields]


def _field(name: bytes, value: bytes) -> dict[str, str]:
    told = {"name": name.decode("ascii")} if name.isascii() else {"name_bytes": name.hex()}
    if is_secret(name):
        return told
    return told | ({"value": value.decode("ascii")} if value.isascii() else {"value_bytes": value.hex()})


def setting_values(payload: bytes) -> list[dict[str, Any]]:
    """The settings in the payload of SETTINGS, as they stand there."""
    found, at = [], 0
    while (identifier := decode_varint(payload, at)) is not None:
        value = decode_varint(payload, identifier[1])
        if value is None:
            break
        at = value[1]
        found.append(_setting(identifier[0]) | {"value": value[0]})
    return found


def _setting(identifier: int) -> dict[str, Any]:
    if identifier in SETTING_NAMES:
        return {"name": SETTING_NAMES[Setting(identifier)]}
    return {"name": "reserved"} if is_reserved(identifier) else {"name": "unknown", "name_bytes": identifier}


def parameters(settings: Settings) -> dict[str, Any]:
    """The event `parameters_set` of SETTINGS."""
    told: dict[str, Any] = {
        "max_table_capacity": settings.qpack_max_table_capacity,
        "blocked_streams_count": settings.qpack_blocked_streams,
        "extended_connect": int(settings.enable_connect_protocol),
        "h3_datagram": int(settings.h3_datagram),
    }
    if settings.max_field_section_size is not None:
        told["max_field_section_size"] = settings.max_field_section_size
    return told
