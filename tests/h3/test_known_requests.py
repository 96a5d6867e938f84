"""Header sections of requests that we send are remembered for the whole process, as those of responses are, and as carefully."""

import pytest

from h3push.errors import LocalProtocolError
from h3push.h3 import known
from h3push.http.fields import RequestHead


def head(path=b"/known", *fields):
    return RequestHead(b"GET", b"https", b"known.example", path, [(b"x-known", b"1"), *fields], 0)


def is_remembered(request):
    known.known_request(request)
    known.known_request(request)
    return known.known_request(request) is known.known_request(request)


def test_a_request_is_remembered_from_the_second_time_on():
    """What never comes again costs a number; what comes again is checked once."""
    assert known.known_request(head()) is not known.known_request(head())
    assert is_remembered(head())
    assert known.known_request(head()).fields[0] == (b":method", b"GET")


@pytest.mark.parametrize("request_", [
    head(b"/known?token=1"),
    head(b"/known", (b"authorization", b"Bearer secret")),
    head(b"/known", (b"cookie", b"session=1")),
    head(b"/known", (b"x-large", b"x" * known.MAX_SIZE)),
])  # fmt: skip
def test_no_secret_no_query_and_nothing_large_is_remembered(request_):
    """It stays with the connection that it belongs to."""
    assert not is_remembered(request_)


def test_two_requests_that_differ_are_two():
    """In a field, in its order, in the authority: whatever goes out on the wire."""
    other = head(b"/known", (b"x-other", b"1"))
    assert is_remembered(other)
    assert known.known_request(other).fields != known.known_request(head()).fields
    elsewhere = head()._replace(authority=b"elsewhere.example")
    assert (b":authority", b"elsewhere.example") in known.known_request(elsewhere).fields


def test_what_cannot_be_sent_is_never_remembered():
    """It is refused each time."""
    for _ in range(3):
        with pytest.raises(LocalProtocolError):
            known.known_request(head(b"/known", (b"connection-specific header", b"")))
