"""103 Early Hints and push side by side (RFC 8297 section 2)."""

import pytest

from conformance.push_support import (
    DATA,
    HEADERS,
    PUSH_PROMISE,
    WHOLE,
    PushClientRig,
    PushServerRig,
    promised,
    reply,
)
from conformance.support import OK, data, promise, read_frames, read_section, response, ways_to_arrive
from h3push.h3.events import InformationalResponseReceived, PushPromiseReceived, ResponseReceived

LINK = ("link", "</pushed>; rel=preload; as=style")


@ways_to_arrive
@pytest.mark.parametrize("order", ["hint first", "promise first", "promise between"])
@pytest.mark.rfc("EH-2-01")
def test_a_client_takes_both(chunk, order):
    """103 Early Hints and push coexist: a 103 before promises, and on a push stream, are legal, for the same resource too."""
    rig = PushClientRig(chunk=chunk)
    request = rig.ask()
    pieces = {
        "hint first": [response("103", LINK), promise(0)],
        "promise first": [promise(0), response("103", LINK)],
        "promise between": [response("103", LINK), promise(0), response("103", LINK)],
    }[order]
    rig.respond(request, *pieces, OK, data(b"page"), fin=True)
    hints = [event for event in rig.events_of(request) if isinstance(event, InformationalResponseReceived)]
    assert all(event.response.fields == [(b"link", LINK[1].encode())] for event in hints)
    assert len(hints) == len(pieces) - 1
    assert rig.promised() == [0]
    rig.push(0, response("103", ("link", "</font>; rel=preload; as=font")), reply(b"pushed"))
    assert rig.pushed(0) == WHOLE
    kinds = [type(event) for event in rig.events_of(request)]
    assert kinds.index(ResponseReceived) == len(pieces)
    assert kinds.count(PushPromiseReceived) == 1
    assert rig.completed(request)
    rig.expect_alive()


@ways_to_arrive
@pytest.mark.rfc("EH-2-01")
def test_a_server_sends_both(chunk):
    """A server may send 103, promise the same resource, and send 103 on the push stream."""
    rig = PushServerRig(max_push_id=3, chunk=chunk)
    request = rig.ask()
    link = [(b"link", LINK[1].encode())]
    rig.core.send_informational_response(request, 103, link)
    rig.core.send_push_promise(request, promised())
    rig.core.send_informational_response(request, 103, link)
    stream_id = rig.core.open_push_stream(0)
    rig.core.send_informational_response(stream_id, 103, [(b"link", b"</font>; rel=preload")])
    rig.finish(stream_id, b"pushed")
    rig.finish(request, b"page")
    frames = read_frames(bytes(rig.raw.stream(request).data))
    assert [one.type for one in frames] == [HEADERS, PUSH_PROMISE, HEADERS, HEADERS, DATA]
    statuses = [read_section(one.payload)[0][1] for one in frames if one.type == HEADERS]
    assert statuses == [b"103", b"103", b"200"]
    pushed = [read_section(payload)[0][1] for kind, payload in rig.pushed_frames(0) if kind == HEADERS]
    assert pushed == [b"103", b"200"]
    rig.expect_alive()


@pytest.mark.rfc("EH-2-01")
def test_without_push_the_hint_still_goes_out():
    """A client that allows no push gets its 103."""
    rig = PushServerRig()
    request = rig.ask()
    rig.core.send_informational_response(request, 103, [(b"link", b"</a>")])
    rig.finish(request)
    assert [fields[0] for fields in rig.response(request)[0]] == [(b":status", b"103"), (b":status", b"200")]
    rig.expect_alive()
