"""What may be pushed (RFC 9114 section 4.6): method, content, authority, scheme; and what is done with the rest."""

import pytest

from conformance.push_support import (
    CANCELLED,
    WHOLE,
    PushClientRig,
    PushServerRig,
    encoded_promise,
    promised,
    reply,
)
from conformance.support import frame, promise, section, ways_to_arrive
from h3push.errors import LocalProtocolError, PushNotAllowed
from h3push.h3.config import H3Config
from h3push.h3.events import CancelledBy, PushPromiseReceived
from h3push.http.fields import RequestHead


def crafted(push_id: int, *fields: tuple[str, str], method="GET", scheme="https", authority="a.test") -> bytes:
    """A promise of any request."""
    pseudo = [(":method", method), (":scheme", scheme), (":authority", authority), (":path", "/pushed")]
    return encoded_promise(push_id, section(*pseudo, *fields))


def check_refused(rig: PushClientRig, promise_frame: bytes, push_id: int = 0) -> None:
    """The promise is answered with CANCEL_PUSH, its response is not used, and everything else goes on."""
    request = rig.ask()
    rig.respond(request, promise_frame)
    rig.expect_open()
    assert rig.cancelled == [push_id]
    stream_id = rig.push(push_id, reply(b"pushed"), fin=False)
    assert rig.stopped(stream_id) == CANCELLED
    rig.respond(request, reply(), fin=True)
    assert rig.completed(request)
    assert rig.promised() == []
    assert rig.pushed(push_id) == (None, b"", False)
    assert rig.cancellations() == []
    assert rig.cancelled == [push_id], "said once"
    assert rig.limits == [7, 8]
    rig.expect_alive()


def refused_locally(rig: PushServerRig, request: RequestHead, stream_id: int | None = None) -> None:
    """The server's own check refuses; nothing goes out, nothing is used up."""
    stream_id = rig.ask() if stream_id is None else stream_id
    with pytest.raises((PushNotAllowed, LocalProtocolError)):
        rig.core.send_push_promise(stream_id, request)
    rig.run()
    assert bytes(rig.raw.stream(stream_id).data) == b""
    assert rig.core.pushes_under_way == 0
    assert rig.core.push_counters.promised == 0
    assert rig.core.send_push_promise(stream_id, promised()) == 0
    rig.finish(stream_id)
    rig.expect_alive()


# The server promises only what may be promised


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
@pytest.mark.rfc("H3-4.6-05")
def test_a_server_promises_get_and_head(method):
    """Methods that are safe and cacheable may be promised: GET and HEAD."""
    rig = PushServerRig(max_push_id=3)
    request = rig.ask()
    rig.core.send_push_promise(request, promised(method=method))
    rig.finish(request)
    assert rig.promises(request)[0][1][0] == (b":method", method)
    rig.expect_alive()


@pytest.mark.parametrize(
    "method", [b"POST", b"OPTIONS", b"TRACE", b"PUT", b"DELETE", b"PATCH", b"QUERY", b"get", b"PROPFIND", b"X"]
)
@pytest.mark.rfc("H3-4.6-05")
def test_a_server_promises_no_other_method(method):
    """POST (cacheable, not safe), OPTIONS and TRACE (safe, not cacheable), PUT, DELETE and unknown ones are refused."""
    rig = PushServerRig(max_push_id=3)
    refused_locally(rig, promised(method=method))


@pytest.mark.rfc("H3-4.6-05")
def test_a_server_promises_no_connect():
    """CONNECT is refused."""
    rig = PushServerRig(max_push_id=3)
    refused_locally(rig, RequestHead(b"CONNECT", None, b"a.test:443", None, [], None))


@pytest.mark.parametrize(
    "field",
    [
        (b"content-length", b"1"),
        (b"expect", b"100-continue"),
        (b"content-encoding", b"gzip"),
        (b"trailer", b"x-checksum"),
        (b"transfer-encoding", b"chunked"),
    ],
)
@pytest.mark.rfc("H3-4.6-06")
def test_a_server_promises_no_content(field):
    """A promised request has no content and no trailers."""
    rig = PushServerRig(max_push_id=3)
    refused_locally(rig, promised(fields=[field]))


@pytest.mark.rfc("H3-4.6-06")
def test_a_length_of_zero_may_be_promised():
    """`content-length: 0` says that there is no content: both sides take it."""
    rig = PushServerRig(max_push_id=3)
    request = rig.ask()
    rig.core.send_push_promise(request, promised(fields=[(b"content-length", b"0")]))
    rig.finish(request)
    assert (b"content-length", b"0") in rig.promises(request)[0][1]
    rig.expect_alive()

    client = PushClientRig()
    client.respond(client.ask(), crafted(0, ("content-length", "0")))
    assert client.promised() == [0]


@pytest.mark.parametrize("scheme", [b"http", b"ftp"])
@pytest.mark.rfc("H3-4.6-07")
def test_a_server_promises_https_only(scheme):
    """A promised request has the scheme https."""
    rig = PushServerRig(max_push_id=3)
    refused_locally(rig, promised(scheme=scheme))


@pytest.mark.parametrize("authority", [b"b.test", b"a.test:8443", b"sub.a.test", b"A.test.evil", None])
@pytest.mark.rfc("H3-4.6-07", "H3-4.6-08")
def test_a_server_promises_only_for_whom_it_was_asked(authority):
    """A promise names in :authority an origin that this server answers for: another virtual host is refused."""
    rig = PushServerRig(max_push_id=3)
    refused_locally(rig, promised(authority=authority))


@pytest.mark.rfc("H3-4.6-07")
def test_a_host_field_does_not_stand_for_authority():
    """The authority is in the pseudo-header field; a Host field alone is not enough, whatever the request was."""
    rig = PushServerRig(H3Config(max_field_section_size=300), max_push_id=3)
    refused_locally(rig, promised(authority=None, fields=[(b"host", b"a.test")]))

    rig = PushServerRig(H3Config(max_field_section_size=300), max_push_id=3)
    too_large = rig.ask("/", ("x-large", "x" * 400))
    with pytest.raises(PushNotAllowed):
        rig.core.send_push_promise(too_large, promised(authority=None, fields=[(b"host", b"b.test")]))
    rig.core.send_response(too_large, 431, [], True)
    rig.expect_alive()


@pytest.mark.rfc("H3-4.6-08")
def test_another_authority_has_to_be_permitted():
    """What one tenant may push for another is what `push_authorities` permits, and nothing else."""
    rig = PushServerRig(H3Config(push_authorities=(b"static.a.test",)), max_push_id=3)
    request = rig.ask()
    rig.core.send_push_promise(request, promised(authority=b"static.a.test"))
    with pytest.raises(PushNotAllowed, match=r"b\.test"):
        rig.core.send_push_promise(request, promised(authority=b"b.test"))
    rig.finish(request)
    assert [dict(fields)[b":authority"] for _, fields in rig.promises(request)] == [b"static.a.test"]
    rig.expect_alive()


# The client uses only what may be promised


@ways_to_arrive
@pytest.mark.parametrize("method", ["POST", "PUT", "OPTIONS", "TRACE", "FOO", "get", "QUERY"])
@pytest.mark.rfc("H3-4.6-09", "H3-4.6-10")
def test_a_method_that_may_not_be_promised_is_cancelled(chunk, method):
    """A promise whose method is not cacheable or not known to be safe is answered with CANCEL_PUSH and never used."""
    check_refused(PushClientRig(chunk=chunk), crafted(0, method=method))


@pytest.mark.parametrize(
    "field",
    [
        ("content-length", "5"),
        ("expect", "100-continue"),
        ("content-encoding", "br"),
        ("trailer", "x-checksum"),
    ],
)
@pytest.mark.rfc("H3-4.6-11", "H3-4.6-10")
def test_a_promise_with_content_is_cancelled(field):
    """A promise that indicates request content or trailers is answered with CANCEL_PUSH and never used."""
    check_refused(PushClientRig(), crafted(0, field))


@pytest.mark.rfc("H3-4.6-10")
def test_a_refused_push_that_was_complete_before_is_not_used():
    """The response to a rejected promise is not used even if its push stream came whole, and first."""
    rig = PushClientRig()
    request = rig.ask()
    rig.push(0, reply(b"pushed"))
    rig.respond(request, crafted(0, method="POST"), reply(), fin=True)
    assert rig.promised() == []
    assert rig.pushed(0) == (None, b"", False)
    assert rig.completed(request)
    assert rig.limits == [7, 8]
    assert rig.core.pushes_under_way == 0
    rig.expect_alive()


@ways_to_arrive
@pytest.mark.rfc("H3-4.6-12")
def test_another_authority_is_cancelled_unless_the_certificate_covers_it(chunk):
    """For an origin not yet validated on this connection the certificate decides; without it the push is unusable."""
    check_refused(PushClientRig(chunk=chunk), crafted(0, authority="b.test"))

    asked = []

    def covers(authority: bytes) -> bool:
        asked.append(authority)
        return authority == b"b.test"

    rig = PushClientRig(is_authoritative=covers, chunk=chunk)
    request = rig.ask()
    rig.respond(request, promise(0, host="b.test"), promise(1, host="c.test"), promise(2), reply(), fin=True)
    assert asked == [b"b.test", b"c.test"], "the authority of our own requests needs no question"
    assert rig.promised() == [0, 2]
    assert rig.cancelled == [1]
    rig.push(0, reply(b"pushed"))
    assert rig.pushed(0) == WHOLE
    rig.expect_alive()


@pytest.mark.rfc("H3-4.6-12")
def test_a_promise_without_authority_is_cancelled():
    """A Host field does not stand for :authority (section 4.6: the server MUST include a value in it)."""
    fields = [(":method", "GET"), (":scheme", "https"), (":path", "/pushed"), ("host", "a.test")]
    check_refused(PushClientRig(), encoded_promise(0, section(*fields)))


@pytest.mark.parametrize("scheme", ["http", "ws", "ftp"])
@pytest.mark.rfc("H3-4.6-13")
def test_another_scheme_is_cancelled(scheme):
    """A promise with a scheme other than https is not trusted."""
    check_refused(PushClientRig(is_authoritative=lambda _: True), crafted(0, scheme=scheme))


def test_the_application_is_given_the_whole_promised_request():
    """A push is matched by the promised request: method, authority, path and every field reach the application in order."""
    rig = PushClientRig()
    fields = [("accept-language", "de"), ("x-one", "1"), ("x-one", "2"), ("cookie", "a=b")]
    rig.respond(rig.ask(), crafted(0, *fields))
    (told,) = [event for event in rig.events if isinstance(event, PushPromiseReceived)]
    request = told.request
    assert (request.method, request.scheme, request.authority, request.path) == (
        b"GET",
        b"https",
        b"a.test",
        b"/pushed",
    )
    assert list(request.fields) == [(name.encode(), value.encode()) for name, value in fields]
    rig.expect_alive()


@ways_to_arrive
@pytest.mark.parametrize("validated", [False, True])
@pytest.mark.rfc("ORI-2-01")
def test_an_origin_frame_is_no_certificate(chunk, validated):
    """An ORIGIN frame may widen the candidate set, but push authority still requires certificate validation."""
    rig = PushClientRig(is_authoritative=lambda authority: validated and authority == b"b.test", chunk=chunk)
    rig.tell(frame(0x0C, b"\0\x0ehttps://b.test"))
    rig.respond(rig.ask(), promise(0, host="b.test"))
    assert rig.promised() == ([0] if validated else [])
    assert rig.cancelled == ([] if validated else [0])
    rig.expect_alive()


@pytest.mark.rfc("H3-4.6-12")
def test_the_answer_about_an_authority_is_per_promise():
    """A push that is refused is counted as such, not as cancelled by somebody."""
    rig = PushClientRig()
    rig.respond(rig.ask(), promise(0), promise(1, host="b.test"))
    assert rig.core.push_counters.promised == 1
    assert rig.core.push_counters.cancelled == 0
    assert CancelledBy.REFUSED not in [event.by for event in rig.cancellations()]
