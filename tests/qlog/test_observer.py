"""qlog of a connection: what one side creates the other parses, in the drafts' words."""

import json
from collections import Counter

import pytest

from h3push.h3.config import H3Config
from h3push.h3.events import RequestReceived
from h3push.h3.observed import ObservedClientConnection, ObservedServerConnection
from h3push.http.fields import RequestHead
from h3push.http.priority import Priority
from h3push.qlog.observer import MAX_STREAMS, ConnectionObserver
from h3push.qlog.streams import WatchedStream
from h3push.qlog.trace import RECORD_SEPARATOR, Trace, observe
from h3push.qlog.values import field_values
from h3push.testing.memory import MemoryPair
from h3push.wire.frames import encode_frame, frame_header
from h3push.wire.registry import FrameType, Role


class ListLog:
    def __init__(self):
        self.events = []
        self.closed = 0

    def event(self, name, data):
        self.events.append((name.removeprefix("http3:"), data))

    def close(self):
        self.closed += 1

    def frames(self, name):
        return [data for event, data in self.events if event == name]


def head(path, *fields):
    return RequestHead(b"GET", b"https", b"site.test", path, list(fields), None)


@pytest.fixture
def watched():
    """A client that asks twice, a server that pushes, and the log of each."""
    logs = ListLog(), ListLog()
    pair = MemoryPair()
    config = H3Config(max_concurrent_pushes=4, grease_seed=7)
    client = ObservedClientConnection(pair.client, config, ConnectionObserver(Role.CLIENT, logs[0]))
    server = ObservedServerConnection(
        pair.server, H3Config(grease_seed=7), None, ConnectionObserver(Role.SERVER, logs[1])
    )

    def application(event):
        if isinstance(event, RequestReceived):
            if event.request.path == b"/":
                push_id = server.send_push_promise(event.stream_id, head(b"/style.css", (b"x-long", b"y" * 100)))
                pushed = server.open_push_stream(push_id)
                server.send_response(pushed, 200, [(b"x-pushed", b"z" * 50)])
                server.send_data(pushed, b"pushed", end_stream=True)
            answer = [(b"x-answer", event.request.path * 20)]
            server.send_response(event.stream_id, 200, answer)
            server.send_data(event.stream_id, b"content" * 3_000, end_stream=True)

    pair.join(client, server, on_server_event=application)
    for path in (b"/", b"/again"):
        client.send_request(
            head(path, (b"authorization", b"Basic x"), (b"x-name", b"value" * 9)), priority=Priority(urgency=1)
        )
        pair.run()
    return client, server, pair, logs


def test_what_one_side_creates_the_other_parses(watched):
    """Every frame is told by both sides with the same content: fields that QPACK's table encodes too."""
    _, _, _, (client, server) = watched
    for sender, receiver in ((client, server), (server, client)):
        created = [json.dumps(frame, sort_keys=True) for frame in sender.frames("frame_created")]
        parsed = [json.dumps(frame, sort_keys=True) for frame in receiver.frames("frame_parsed")]
        assert Counter(created) == Counter(parsed)
        assert len(created) > 4
    kinds = {frame["frame"]["frame_type"] for frame in server.frames("frame_created")}
    assert kinds >= {"settings", "headers", "data", "push_promise", "reserved"}


def test_secrets_are_not_written(watched):
    """A log is passed on: the value of a field that holds a secret is not in it."""
    _, _, _, (client, _) = watched
    headers = client.frames("frame_created")
    fields = [field for frame in headers for field in frame["frame"].get("headers", [])]
    assert {"name": "authorization"} in fields
    assert {"name": "x-name", "value": "value" * 9} in fields


def test_streams_say_what_they_are(watched):
    """Each stream is told of once by each side, by whoever opened it; a push stream with its push ID."""
    _, _, _, (client, server) = watched
    told = {stream["stream_id"]: stream for stream in client.frames("stream_type_set")}
    assert len(told) == len(client.frames("stream_type_set")) == len(server.frames("stream_type_set"))
    assert {stream["stream_type"] for stream in told.values()} >= {
        "control",
        "qpack_encode",
        "qpack_decode",
        "request",
        "push",
    }
    pushed = next(stream for stream in told.values() if stream["stream_type"] == "push")
    assert (pushed["initiator"], pushed["associated_push_id"]) == ("remote", 0)


def test_parameters_and_decisions_are_events_of_their_own(watched):
    """parameters_set for both sides' SETTINGS; push_resolved as the application says; the end closes the log."""
    client, _, pair, (log, _) = watched
    assert [event["initiator"] for event in log.frames("parameters_set")] == ["local", "remote"]
    client.push_resolved(0, claimed=True)
    client.push_resolved(1, claimed=False)
    assert log.frames("push_resolved") == [
        {"push_id": 0, "decision": "claimed"},
        {"push_id": 1, "decision": "abandoned"},
    ]
    client.close()
    pair.run()
    assert log.closed == 1


def test_frames_are_cut_however_they_arrive():
    """Byte by byte or all at once, frames are the same; DATA is told by its header, large ones without their content."""
    stream = encode_frame(FrameType.HEADERS, b"abc") + encode_frame(FrameType.DATA, b"x" * 70_000)
    stream += (
        encode_frame(0x21, b"yy")
        + encode_frame(FrameType.PUSH_PROMISE, b"z" * 70_000)
        + encode_frame(FrameType.GOAWAY, b"\0")
    )
    whole = [frame[0] for frame in WatchedStream().feed(stream)]
    watched = WatchedStream()
    pieces = [frame for at in range(len(stream)) for frame in watched.feed(stream[at : at + 1])]
    assert [frame[0] for frame in pieces] == whole == [1, 0, 0x21, 5, 7]
    assert [frame[2] for frame in pieces] == [3, 70_000, 2, 70_000, 1]
    assert [frame[3] for frame in pieces] == [b"abc", None, b"yy", None, b"\0"]


def test_content_that_goes_another_way_is_skipped():
    """A file goes to QUIC behind the core's back: the frame that follows is found all the same."""
    log = ListLog()
    observer = ConnectionObserver(Role.SERVER, log)
    observer.sent_elsewhere(0, 5_000)
    observer.sent(0, frame_header(FrameType.DATA, 5_000), False)
    observer.sent(0, encode_frame(FrameType.DATA, b"more"), True)
    assert [frame["frame"]["raw"]["payload_length"] for frame in log.frames("frame_created")] == [5_000, 4]


@pytest.mark.parametrize("seed", range(20))
def test_nonsense_is_told_and_raises_nothing(seed):
    """Whatever a peer sends, watching it neither fails nor holds more than it may: the core judges."""
    import random

    chance = random.Random(seed)
    log = ListLog()
    observer = ConnectionObserver(Role.CLIENT, log)
    for _ in range(300):
        stream_id = chance.randrange(40)
        observer.received(stream_id, chance.randbytes(chance.randrange(60)), chance.random() < 0.1)
    for number in range(2 * MAX_STREAMS):
        observer.received(4 * number, b"\x21\x02y", False)
    json.dumps(log.events)
    assert len(observer._in._streams) <= MAX_STREAMS


def test_bytes_that_are_no_text_are_hexadecimal():
    """Fields are text where they are ASCII."""
    assert field_values([(b"name", b"\xff"), (b"\xfe", b"value")]) == [
        {"name": "name", "value_bytes": "ff"},
        {"name_bytes": "fe", "value": "value"},
    ]


# the file


def texts(path):
    """The texts of a file of JSON text sequences."""
    raw = path.read_text(encoding="utf-8")
    assert raw.startswith(RECORD_SEPARATOR)
    parts = raw.split(RECORD_SEPARATOR)[1:]
    assert all(part.endswith("\n") for part in parts)
    return [json.loads(part) for part in parts]


def test_the_file_has_the_form_that_qvis_loads(tmp_path):
    """Qvis asks for .sqlog, a header with qlog_version, qlog_format and trace, and for times that ascend."""
    observer = observe(tmp_path, Role.CLIENT, "site.test")
    observer.push_resolved(1, claimed=True)
    observer.push_resolved(2, claimed=False)
    observer.closed()
    (path,) = tmp_path.iterdir()
    header, *events = texts(path)
    assert path.name == f"{header['trace']['common_fields']['group_id']}_client.sqlog"
    assert header["qlog_version"] in {"draft-02", "draft-02-RC1", "qlog-03-WIP", "0.3"}
    assert header["qlog_format"] == "JSON-SEQ"
    assert header["file_schema"] == "urn:ietf:params:qlog:file:sequential"
    assert header["trace"]["vantage_point"]["type"] == "client"
    assert [event["name"] for event in events] == ["http3:push_resolved"] * 2
    times = [event["time"] for event in events]
    assert times == sorted(times)
    assert times[0] > 1_700_000_000_000


def test_a_file_that_cannot_be_written_is_logged_once(tmp_path, caplog):
    """A full disk or a missing directory disturbs no connection."""
    trace = Trace(tmp_path / "absent", Role.SERVER, "title")
    trace.event("http3:push_resolved", {})
    trace.close()
    assert len(caplog.records) == 1
    assert "cannot be written" in caplog.text
