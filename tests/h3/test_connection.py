"""What both roles share, and two real cores joined."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.push_support import dynamic_section, insert, set_capacity
from conformance.support import (
    GET,
    ClientRig,
    ServerRig,
    both_roles,
    data,
    frame,
    head,
    read_frames,
    silent,
    varint,
)
from h3push.errors import ErrorCode, NoStreamCredit, RequestNotProcessed, StreamStateError
from h3push.h3.client import H3ClientConnection
from h3push.h3.config import H3Config
from h3push.h3.content import JOINED_WRITE
from h3push.h3.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RequestReceived,
    ResponseReceived,
    SettingsReceived,
    StreamCreditReceived,
    StreamDrained,
    TrailersReceived,
)
from h3push.h3.server import H3ServerConnection
from h3push.http.fields import RequestHead
from h3push.testing.memory import (
    EndSettings,
    LinkSettings,
    MemoryPair,
    MemorySettings,
    RawPeer,
    SendSettings,
)


def quiet_server(**limits: int) -> tuple[MemoryPair, RawPeer, H3ServerConnection]:
    """A server that cannot start yet: our side allows it fewer streams than it needs."""
    pair = MemoryPair(MemorySettings(client=EndSettings(max_unidirectional_streams=2, **limits)))
    raw, server = RawPeer(pair.client), H3ServerConnection(pair.server)
    pair.join(raw, server)
    pair.run()
    return pair, raw, server


def test_start_is_idempotent_and_waits_for_credit() -> None:
    """Nothing without room for three streams; once there is, everything, once; nothing after a close."""
    pair, raw, server = quiet_server()
    server.start(1.0)
    assert not raw.streams
    pair.client.allow_streams(True, 10)
    pair.run()
    assert len(raw.streams) == 3
    server.start(2.0)
    pair.run()
    assert len(raw.streams) == 3
    assert StreamCreditReceived(unidirectional=True) in pair.server.events
    pair, raw, server = quiet_server()
    server.close()
    pair.client.allow_streams(True, 10)
    pair.run()
    server.start(3.0)
    assert not raw.streams


def test_what_was_said_before_the_control_stream_goes_behind_settings() -> None:
    """GOAWAY before there was room for a control stream: SETTINGS stay first."""
    pair, raw, server = quiet_server()
    server.send_goaway()
    pair.client.allow_streams(True, 3)
    pair.run()
    types = [frame.type for frame in read_frames(bytes(raw.stream(3).data)[1:])]
    assert types[:2] == [0x04, 0x07]


def test_requests_are_answered_before_our_control_stream_is_open() -> None:
    """A peer that allows us no stream yet still gets its answers."""
    pair, raw, server = quiet_server()
    stream_id = raw.open(unidirectional=False)
    raw.write(stream_id, GET, fin=True)
    pair.run()
    server.send_response(stream_id, 200, [(b"x", b"y")], end_stream=True)
    pair.run()
    assert raw.stream(stream_id).fin


def test_settings_are_applied_whenever_both_sides_are_there() -> None:
    """The peer's SETTINGS before our encoder stream, or after: the table is used from then on."""
    pair, raw, _ = quiet_server()
    control = raw.open(unidirectional=True)
    raw.write(control, b"\0" + frame(0x04, varint(0x01) + varint(4096)))
    pair.run()
    assert any(isinstance(event, SettingsReceived) for event in pair.server.events)
    pair.client.allow_streams(True, 3)
    pair.run()
    assert len(raw.stream(7).data) > 1, "Set Dynamic Table Capacity"


@both_roles
@pytest.mark.parametrize("length", [0, 1, JOINED_WRITE - 1, JOINED_WRITE, JOINED_WRITE + 1, 300_000])
@pytest.mark.parametrize("end", [False, True])
def test_content_of_every_size(make_rig: type, length: int, end: bool) -> None:
    """One DATA frame a call, whatever its size."""
    rig = make_rig(window=1_000_000)
    content = bytes(range(256)) * (length // 256 + 1)
    content = content[:length]
    if make_rig is ServerRig:
        rig.application = silent
        stream_id = rig.send(GET, fin=True)
        rig.run()
        rig.core.send_response(stream_id, 200, [])
    else:
        stream_id = rig.core.send_request(head(b"POST"), end_stream=False)
    rig.core.send_data(stream_id, content, end_stream=end)
    rig.run()
    frames = [frame.payload for frame in read_frames(bytes(rig.raw.stream(stream_id).data)) if frame.type == 0]
    assert frames == ([content] if length or not end else [])[: 1 if length else 0]
    assert rig.raw.stream(stream_id).fin == end


def test_what_waits_is_told_and_so_is_when_it_is_gone() -> None:
    """send_* return what waits for the link; StreamDrained follows."""
    rig = ServerRig(application=silent, window=1_000)
    stream_id = rig.send(GET, fin=True)
    rig.run()
    rig.core.send_response(stream_id, 200, [])
    waiting = rig.core.send_data(stream_id, b"x" * 500_000)
    assert waiting > 400_000
    rig.run()
    assert StreamDrained(stream_id) in rig.events
    assert rig.core.send_data(stream_id, b"y") < 1_000


def test_reasons_to_pause_add_up() -> None:
    """A stream that is blocked and that the application paused goes on when both are over."""
    rig = ServerRig(application=silent)
    stream_id = rig.send(GET)
    rig.run()
    rig.core.pause(stream_id)
    opening = ((":method", "GET"), (":scheme", "https"), (":authority", "a.test"), (":path", "/"))
    blocked = rig.send(frame(0x01, dynamic_section(1, *opening, 0)), data(b"x"))
    rig.run()
    rig.core.pause(blocked)
    rig.core.pause(4_000)
    assert rig.core._pauses == {stream_id: {"application"}, blocked: {"application", "blocked"}}
    rig.uni("02", set_capacity(), insert(b"x", b"y"))
    rig.run()
    rig.write(blocked, data(b"y"))
    rig.run()
    assert rig.core._pauses == {stream_id: {"application"}, blocked: {"application"}}
    assert not [event for event in rig.events_of(blocked) if getattr(event, "data", b"") == b"y"]
    rig.core.resume(blocked)
    rig.core.resume(stream_id)
    rig.run()
    assert [event for event in rig.events_of(blocked) if getattr(event, "data", b"") == b"y"]
    assert rig.core._pauses == {}


def test_streams_under_way_are_counted() -> None:
    """In either direction; a stream that is done in both is forgotten."""
    rig = ServerRig(application=silent)
    assert rig.core.open_message_streams == 0
    first, second = rig.send(GET, fin=True), rig.send(GET)
    rig.run()
    assert rig.core.open_message_streams == 2
    rig.core.send_response(first, 200, [], end_stream=True)
    assert rig.core.open_message_streams == 1
    rig.write(second, b"", fin=True)
    rig.run()
    assert rig.core.open_message_streams == 1
    rig.core.send_response(second, 200, [], end_stream=True)
    assert rig.core.open_message_streams == 0
    with pytest.raises(StreamStateError):
        rig.core.send_data(first, b"x")


def test_a_client_out_of_streams_is_told() -> None:
    """NoStreamCredit, then StreamCreditReceived when the server allows more."""
    rig = ClientRig(streams=4)
    streams = [rig.open_message() for _ in range(4)]
    with pytest.raises(NoStreamCredit):
        rig.core.send_request(head())
    rig.write(streams[0], frame(0x01, b"\0\0\xd9"), fin=True)
    rig.run()
    assert StreamCreditReceived(unidirectional=False) in rig.events
    rig.core.send_request(head())


@both_roles
def test_nothing_works_after_the_end(make_rig: type) -> None:
    """Every call on a closed connection does nothing or says so; no event comes twice."""
    rig = make_rig()
    rig.raw.close(ErrorCode.H3_NO_ERROR, "done")
    rig.run()
    assert rig.events[-1] == ConnectionTerminated(ErrorCode.H3_NO_ERROR, "done", by_peer=True)
    assert rig.core.handle_timeout(100.0) == []
    assert rig.core.receive_stream_credit(True, 100.0) == []
    assert rig.core.receive_drained(0, 100.0) == []
    assert rig.core.receive_acknowledged(0, 100.0) == []
    assert rig.core.receive_closed(None, "", by_peer=False) == []
    rig.core.close()
    rig.core.pause(0)
    rig.core.resume(0)
    rig.core.stop_stream(0, 0)
    rig.core.reset_stream(0, 0)
    with pytest.raises(StreamStateError):
        rig.core.send_trailers(0, [])
    if make_rig is ClientRig:
        with pytest.raises(RequestNotProcessed):
            rig.core.send_request(head())


FIELDS = st.lists(
    st.tuples(
        st.sampled_from([b"x-a", b"x-b", b"cookie-like", b"authorization", b"content-type", b"x-long"]),
        st.binary(max_size=40).map(lambda value: bytes(byte % 94 + 33 for byte in value)),
    ),
    max_size=5,
)
CONTENT = st.lists(st.binary(max_size=300), max_size=4)


@given(
    exchanges=st.lists(st.tuples(FIELDS, CONTENT, FIELDS, CONTENT, FIELDS), min_size=1, max_size=6),
    chunk=st.sampled_from([None, 1, 7, 100]),
    window=st.sampled_from([50, 1_000, 100_000]),
    capacity=st.sampled_from([0, 100, 4_096]),
    link=st.sampled_from([LinkSettings(), LinkSettings(delay=0.05, rate=200_000, loss=0.1)]),
)
@settings(derandomize=True, max_examples=60, deadline=None)
def test_what_one_core_sends_the_other_receives(
    exchanges: list[tuple[list, list, list, list, list]],
    chunk: int | None,
    window: int,
    capacity: int,
    link: LinkSettings,
) -> None:
    """Fields, content and trailers, both ways, whatever the link, the windows and the table do."""
    limits = EndSettings(stream_window=window)
    pair = MemoryPair(MemorySettings(sends=SendSettings(chunk=chunk), client=limits, server=limits, link=link))
    config = H3Config(qpack_max_table_capacity=capacity)
    client, server = H3ClientConnection(pair.client, config), H3ServerConnection(pair.server, config)

    def application(event: Event) -> None:
        if isinstance(event, RequestReceived):
            _, _, fields, content, trailers = exchanges[event.stream_id >> 2]
            server.send_informational_response(event.stream_id, 103, fields)
            server.send_response(event.stream_id, 200, fields)
            for piece in content:
                server.send_data(event.stream_id, piece)
            server.send_trailers(event.stream_id, [(b"x-trailer", value) for _, value in trailers])

    pair.join(client, server, on_server_event=application)
    for fields, content, *_ in exchanges:
        stream_id = client.send_request(RequestHead(b"POST", b"https", b"a.test", b"/", fields, None), end_stream=False)
        for piece in content:
            client.send_data(stream_id, piece)
        client.send_trailers(stream_id, [(b"x-end", b"1")])
    pair.run()
    for number, (fields, content, answered, body, trailers) in enumerate(exchanges):
        arrived = [event for event in pair.server.events if getattr(event, "stream_id", None) == 4 * number]
        assert list(arrived[0].request.fields) == fields
        # A response that is complete stops the rest of the request: what came of it is its beginning.
        received = b"".join(event.data for event in arrived if isinstance(event, DataReceived))
        assert b"".join(content).startswith(received)
        told = [event for event in pair.client.events if getattr(event, "stream_id", None) == 4 * number]
        (final,) = [event for event in told if isinstance(event, ResponseReceived)]
        assert final.response.fields == answered
        assert b"".join(event.data for event in told if isinstance(event, DataReceived)) == b"".join(body)
        assert isinstance(told[-1], TrailersReceived)
        assert told[-1].trailers == [(b"x-trailer", value) for _, value in trailers]
    assert client.open_message_streams == server.open_message_streams == 0
    assert not client.is_closed
