"""What was seen before is served faster, and just the same."""

import pytest

from conformance.support import ServerRig, data, request
from h3push.errors import LocalProtocolError, StreamStateError
from h3push.h3 import known
from h3push.h3.config import H3Config
from h3push.h3.events import RequestReceived, RequestTooLarge
from h3push.h3.server import H3ServerConnection

FIELDS = [(b"content-type", b"text/plain"), (b"content-length", b"5")]


@pytest.fixture(autouse=True)
def _forgetful():
    for memory in (known.requests, known._responses, known._promises):
        memory.clear()


def whole(server, event):
    if isinstance(event, RequestReceived):
        server.send_whole_response(event.stream_id, 200, FIELDS, b"hello")


def in_pieces(server, event):
    if isinstance(event, RequestReceived):
        server.send_response(event.stream_id, 200, FIELDS)
        server.send_data(event.stream_id, b"hello", True)


def test_a_request_is_the_same_the_second_time_and_on_another_connection():
    first, second = ServerRig(), ServerRig()
    for rig in (first, first, second):
        rig.send(request("GET", "/same", ("accept", "*/*")), fin=True)
        rig.run()
    heads = [*first.requests, *second.requests]
    assert len(heads) == 3
    assert heads[0] == heads[1] == heads[2]
    assert heads[0].path == b"/same"
    assert len(known.requests.kept) == 1


@pytest.mark.parametrize(
    ("parts", "fin"),
    [
        ((request("GET", "/secret", ("cookie", "a=b")),), True),
        ((request("GET", "/secret", ("x-vault-token", "a=b")),), True),
        ((request("GET", "/secret?token=abc"),), True),
        ((request("GET", "/large", ("x-large", "v" * 600)),), True),
        ((request("POST", "/content", ("content-length", "1")), data(b"x")), True),
        ((request("GET", "/open"),), False),
    ],
)
def test_what_is_not_remembered(parts, fin):
    rig = ServerRig()
    for _ in range(3):
        rig.send(*parts, fin=fin)
        rig.run()
    assert len(rig.requests) == 3
    assert not known.requests.kept


def test_a_smaller_limit_is_not_bypassed():
    usual = ServerRig()
    for _ in range(2):
        usual.send(request("GET", "/limit", ("x-some", "v" * 100)), fin=True)
        usual.run()
    assert len(known.requests.kept) == 1
    small = ServerRig(config=H3Config(max_field_section_size=250))
    stream_id = small.send(request("GET", "/limit", ("x-some", "v" * 100)), fin=True)
    small.run()
    assert small.events_of(stream_id) == [RequestTooLarge(stream_id)]


def test_the_memory_is_bounded():
    rig = ServerRig()
    for number in range(known.MAX_REMEMBERED + 2):
        for _ in range(2):
            rig.send(request("GET", f"/{number}"), fin=True)
            rig.run()
    assert len(known.requests.kept) == 2


def test_what_comes_once_is_not_kept():
    rig = ServerRig()
    for number in range(known.MAX_SEEN + 1):
        rig.send(request("GET", f"/{number}"), fin=True)
        rig.run()
    assert not known.requests.kept
    assert len(known.requests._seen) == 1


def test_a_whole_response_is_the_same_as_one_in_pieces():
    answers = []
    for answer in (in_pieces, whole, whole):
        rig = ServerRig(application=answer)
        stream_id = rig.send(request(), fin=True)
        rig.run()
        answers.append(rig.response(stream_id))
    assert answers[0] == answers[1] == answers[2]
    assert answers[0][1] == b"hello"


@pytest.mark.parametrize(("method", "status", "content"), [("HEAD", 200, b""), ("GET", 304, b""), ("GET", 204, b"")])
def test_a_whole_response_without_content(method, status, content):
    def answer(server: H3ServerConnection, event):
        if isinstance(event, RequestReceived):
            server.send_whole_response(event.stream_id, status, [], b"hello")

    rig = ServerRig(application=answer)
    stream_id = rig.send(request(method), fin=True)
    rig.run()
    assert rig.response(stream_id)[1] == content
    assert rig.status(stream_id) == status


def test_a_whole_response_is_held_to_its_length():
    failures = []

    def answer(server: H3ServerConnection, event):
        if isinstance(event, RequestReceived):
            with pytest.raises(StreamStateError) as caught:
                server.send_whole_response(event.stream_id, 200, FIELDS, b"too long")
            failures.append(caught.value)
            with pytest.raises(LocalProtocolError):
                server.send_whole_response(event.stream_id, 200, [(b"bad name", b"")], b"hello")
            server.send_whole_response(event.stream_id, 200, FIELDS, b"hello")

    rig = ServerRig(application=answer)
    stream_id = rig.send(request(), fin=True)
    rig.run()
    assert failures
    assert rig.response(stream_id)[1] == b"hello"


def test_what_connections_share_cannot_be_changed():
    """A handler that keeps or changes the fields of a request does not reach into those of another client."""
    first, second = ServerRig(), ServerRig()
    for rig in (first, first, second):
        rig.send(request("GET", "/same", ("accept", "*/*")), fin=True)
        rig.run()
    assert second.requests[0] is known.requests.kept[request("GET", "/same", ("accept", "*/*"))][0]
    assert isinstance(second.requests[0].fields, tuple)
    with pytest.raises(AttributeError):
        second.requests[0].fields.append((b"x", b"y"))
    assert hash(second.requests[0])
