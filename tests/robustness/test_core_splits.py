"""Whatever arrives, legal or not: how it was cut into deliveries makes no difference.

Sections that wait for the encoder stream are left out: behind one, an error that came in the same delivery is told at once and
one that would have come later is not read yet (tests/rfc9204 and tests/h3/test_message.py).
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.push_support import dynamic_section, insert, set_capacity
from conformance.support import (
    ARRIVES_WHOLE,
    GET,
    OK,
    POST,
    Rig,
    both_roles,
    data,
    frame,
    headers,
    merged_data,
    promise,
    request,
    response,
    silent,
    varint,
)
from h3push.h3.config import H3Config
from h3push.h3.events import DataReceived, Event, MessageFailed, SettingsReceived
from h3push.h3.server import H3ServerConnection

DYNAMIC_REQUEST = frame(
    0x01, dynamic_section(1, (":method", "GET"), (":scheme", "https"), (":authority", "a.test"), (":path", "/"), 0)
)
DYNAMIC_RESPONSE = frame(0x01, dynamic_section(1, (":status", "200"), 0))
MESSAGE_PIECES = [
    GET,
    POST,
    OK,
    DYNAMIC_REQUEST,
    DYNAMIC_RESPONSE,
    response("103"),
    request("POST", "/", ("content-length", "3")),
    response("200", ("content-length", "3")),
    headers(("Bad", "x")),
    headers(("x", "y")),
    headers((":method", "CONNECT"), (":authority", "a.test:443")),
    data(b"abc"),
    data(b"ab"),
    data(b"c"),
    data(b""),
    frame(0x21, b"grease"),
    frame(0x01, b"\0\0\xff\x24"),
    frame(0x04),
    frame(0x07, b"\0"),
    frame(0x02),
    promise(0),
    promise(1, "/b"),
    varint(0),
    varint(0) + varint(5) + b"x",
]
CONTROL_PIECES = [
    frame(0x04),
    frame(0x04, "01 50 00 07 08"),
    frame(0x21, b"x"),
    frame(0x07, varint(8)),
    frame(0x07, varint(4)),
    frame(0x0D, varint(3)),
    frame(0x03, varint(0)),
    frame(0xF0700, b"\0u=1"),
    frame(0xF0700, b"\1u=1"),
    data(b""),
    frame(0x07, b"\x40"),
]
UNIDIRECTIONAL = st.one_of(
    st.lists(st.sampled_from(CONTROL_PIECES), max_size=4).map(lambda pieces: b"".join([b"\0", *pieces])),
    st.lists(st.sampled_from(CONTROL_PIECES), max_size=4).map(lambda pieces: b"".join([b"\0", frame(0x04), *pieces])),
    st.sampled_from([
        b"\2" + insert(b"x", b"y"),
        b"\3\x40",
        b"\3\x80",
        b"\x21 whatever",
        b"\x40",
        b"\1\0" + OK + data(b"pushed"),
        b"\1\1" + OK,
        b"",
    ]),
)  # fmt: skip
MESSAGE = st.lists(st.sampled_from(MESSAGE_PIECES), max_size=5).map(b"".join)
STREAMS = st.lists(st.tuples(st.booleans(), MESSAGE, UNIDIRECTIONAL, st.booleans()), min_size=1, max_size=4)


def outcome(make_rig: type, streams: list[tuple[bool, bytes, bytes, bool]], chunk: int | None, at_once: bool) -> object:
    """Everything that the application and the peer can see of these streams, sent one after the other."""
    rig: Rig = make_rig(H3Config(max_concurrent_pushes=4), chunk=chunk, greet=False)
    if hasattr(rig, "application"):
        rig.application = silent
    rig.uni("02", set_capacity(), insert(b"x", b"y"))
    rig.run()
    ids = [rig.open_message() if is_message else rig.raw.open(unidirectional=True) for is_message, *_ in streams]
    for stream_id, (is_message, message, unidirectional, fin) in zip(ids, streams, strict=True):
        if rig.raw.closed is not None:
            break
        sent = message if is_message else unidirectional
        if at_once:
            rig.write(stream_id, sent, fin=fin)
        else:
            rig.write(stream_id, sent)
            rig.run()
            rig.write(stream_id, b"", fin=fin)
        rig.run()
    seen = {}
    for stream_id in ids:
        stream = rig.raw.stream(stream_id)
        told: list[Event] = merged_data(rig.events_of(stream_id))
        if any(
            isinstance(event, MessageFailed) for event in told
        ):  # how much came before the defect does depend on the cut
            told = [event for event in told if not isinstance(event, DataReceived)]
        seen[stream_id] = ([_without_end(event) for event in told], stream.reset, stream.fin)
    others = [
        event for event in rig.events if not hasattr(event, "stream_id") and not isinstance(event, SettingsReceived)
    ]
    server = rig.core if isinstance(rig.core, H3ServerConnection) else None
    return seen, others, rig.close_code, server and server.max_push_id


def _without_end(event: Event) -> object:
    """An event without the cut that an end makes: its kind, and its content where it has some."""
    kept = getattr(event, "data", None), getattr(event, "request", None), getattr(event, "response", None)
    return type(event).__name__, kept, getattr(getattr(event, "error", None), "error_code", None)


@pytest.mark.rfc("H3-4.1-19", "ROB-31")
@both_roles
@given(streams=STREAMS)
@settings(derandomize=True, max_examples=200, deadline=None)
def test_how_bytes_are_cut_makes_no_difference(make_rig: type, streams: list[tuple[bool, bytes, bytes, bool]]) -> None:
    """Whole, byte by byte and in pieces: the same events, the same resets, the same end of the connection."""
    whole = outcome(make_rig, streams, ARRIVES_WHOLE, at_once=True)
    assert outcome(make_rig, streams, 1, at_once=True) == whole
    assert outcome(make_rig, streams, 3, at_once=True) == whole
