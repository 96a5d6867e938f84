"""Fields that an intermediary forwards (RFC 9110 section 7.6)."""

import asyncio
from typing import Any

import pytest

from h3push.proxy.exchange import forwarded_fields
from h3push.proxy.forwarding import Hop, end_to_end, hops, is_trusted, request_fields, response_fields
from h3push.proxy.settings import ProxySettings
from h3push.tcp.forwarded import behind_proxies

HOP = Hop(client="2001:db8::7", scheme="https", authority="example.com", version="3")


def test_what_belongs_to_the_connection_is_not_forwarded() -> None:
    """The fields that RFC 9110 names, and those that Connection names, end here; the rest goes on in order."""
    given = [
        (b"Connection", b"keep-alive, X-Own"),
        (b"Keep-Alive", b"timeout=5"),
        (b"X-Own", b"1"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Upgrade", b"h2c"),
        (b"Accept", b"*/*"),
        (b"Cookie", b"a=1"),
    ]
    assert end_to_end(given) == [(b"accept", b"*/*"), (b"cookie", b"a=1")]


def test_the_next_server_learns_who_asked_and_how() -> None:
    """Via, Forwarded and X-Forwarded-* say the hop; an IPv6 address is quoted in Forwarded (RFC 7239 section 6)."""
    fields = dict(request_fields([(b"accept", b"*/*")], HOP))
    assert fields == {
        b"accept": b"*/*",
        b"via": b"3 h3push",
        b"forwarded": b'for="[2001:db8::7]";host="example.com";proto=https',
        b"x-forwarded-for": b"2001:db8::7",
        b"x-forwarded-proto": b"https",
        b"x-forwarded-host": b"example.com",
    }


def test_what_a_stranger_says_of_the_way_is_dropped() -> None:
    """A client cannot make up an address: only what a trusted sender says is kept, with our own behind it."""
    claimed = [(b"x-forwarded-for", b"6.6.6.6"), (b"forwarded", b"for=6.6.6.6"), (b"x-forwarded-proto", b"http")]
    fields = request_fields(claimed, HOP)
    assert b"6.6.6.6" not in b" ".join(value for _, value in fields)
    kept = dict(request_fields(claimed, HOP, trusted=True))
    assert kept[b"x-forwarded-for"] == b"6.6.6.6, 2001:db8::7"
    assert kept[b"forwarded"].startswith(b"for=6.6.6.6, for=")
    assert kept[b"x-forwarded-proto"] == b"http"


def test_a_host_says_nothing_else_in_forwarded() -> None:
    """A quote in Host ends no value: it is escaped (RFC 9110 section 5.6.4), so that no parameter can be made up behind it."""
    hop = HOP._replace(authority='a";proto=http;for="6.6.6.6\\')
    told = dict(request_fields([], hop))[b"forwarded"]
    assert told == b'for="[2001:db8::7]";host="a\\";proto=http;for=\\"6.6.6.6\\\\";proto=https'


def test_trailers_are_asked_for_when_the_client_takes_them() -> None:
    """TE is of the connection; the one word of it that matters is said anew (RFC 9110 section 10.1.4)."""
    assert (b"te", b"trailers") in request_fields([(b"te", b"gzip, trailers")], HOP)
    assert not [name for name, _ in request_fields([(b"te", b"gzip")], HOP) if name == b"te"]


def test_a_response_says_the_way_too() -> None:
    """Via grows by the version that the response came by; several Set-Cookie fields stay apart."""
    fields = response_fields(
        [(b"Via", b"1.1 inner"), (b"Set-Cookie", b"a"), (b"Set-Cookie", b"b"), (b"Connection", b"close")], "1.1"
    )
    assert fields == [(b"set-cookie", b"a"), (b"set-cookie", b"b"), (b"via", b"1.1 inner, 1.1 h3push")]


def test_hops_are_counted_over_all_fields() -> None:
    """Via may be one field or several (RFC 9110 section 7.6.3)."""
    assert hops([(b"via", b"1.1 a, 1.1 b"), (b"Via", b"3 c")]) == 3


@pytest.mark.parametrize(
    ("address", "trusted", "expected"),
    [
        ("10.0.0.7", ["10.0.0.0/8"], True),
        ("10.0.0.7", ["10.0.0.8"], False),
        ("fe80::1%eth0", ["fe80::/10"], True),
        ("nobody", ["10.0.0.0/8"], False),
        ("nobody", ["*"], True),
        ("10.0.0.7", [], False),
    ],
)
def test_who_is_trusted(address: str, trusted: list[str], expected: bool) -> None:
    """Addresses, networks and "*"; what is no address (a UNIX socket's client) is trusted by "*" alone."""
    assert is_trusted(address, trusted) is expected


@pytest.mark.parametrize(("sender", "is_believed"), [(("10.0.0.1", 5), True), (("192.0.2.1", 5), False), (None, False)])
def test_a_believed_sender_over_tcp_keeps_the_way_that_it_tells(sender: Any, is_believed: bool) -> None:
    """The TCP side makes the client that a proxy told the scope's; the next server still hears of both, in their order."""
    told: list[Any] = []

    async def application(scope: Any, _receive: Any, _send: Any) -> None:
        told.extend([scope["client"], dict(forwarded_fields(scope, ProxySettings(trusted=("10.0.0.0/8",)), "inner"))])

    headers = [(b"x-forwarded-for", b"203.0.113.9"), (b"x-forwarded-host", b"outer.example"), (b"host", b"inner")]
    scope = {"type": "http", "http_version": "1.1", "scheme": "https", "client": sender, "headers": headers}
    asyncio.run(behind_proxies(application, "10.0.0.0/8")(scope, None, None))  # type: ignore[arg-type]
    client, fields = told
    if is_believed:
        assert client[0] == "203.0.113.9"
        assert fields[b"x-forwarded-for"] == b"203.0.113.9, 10.0.0.1"
        assert fields[b"x-forwarded-host"] == b"outer.example"
    else:
        assert client == sender
        assert b"203.0.113.9" not in fields[b"x-forwarded-for"]
        assert fields[b"x-forwarded-host"] == b"inner"
