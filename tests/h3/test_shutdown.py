"""GOAWAY, both roles, both directions."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h3push.errors import ErrorCode, H3ConnectionError, LocalProtocolError
from h3push.h3.shutdown import Shutdown
from h3push.wire.registry import Role

LARGEST = (1 << 62) - 1


@pytest.mark.rfc("H3-5.2-11", "H3-5.2-15", "H3-5.2-12")
@pytest.mark.parametrize("role", Role)
@given(identifiers=st.lists(st.integers(0, 40), max_size=12))
@settings(derandomize=True, max_examples=200)
def test_identifiers_only_fall(role: Role, identifiers: list[int]) -> None:
    """Received: a connection error when it grows or names no request stream. Sent: a local error, and nothing changes."""
    received, sent = Shutdown(role), Shutdown(role)
    for identifier in identifiers:
        grows = received.received is not None and identifier > received.received
        if grows or (role is Role.CLIENT and identifier % 4):
            with pytest.raises(H3ConnectionError) as raised:
                received.receive(identifier)
            assert raised.value.error_code is ErrorCode.H3_ID_ERROR
        else:
            received.receive(identifier)
            assert received.received == identifier
        before = sent.sent
        if (before is not None and identifier > before) or (role is Role.SERVER and identifier % 4):
            with pytest.raises(LocalProtocolError):
                sent.send(identifier)
            assert sent.sent == before
        else:
            sent.send(identifier)
            assert sent.sent == identifier


@pytest.mark.parametrize("role", Role)
def test_what_is_excluded(role: Role) -> None:
    """Nothing before a GOAWAY; at and above the identifier after it."""
    shutdown = Shutdown(role)
    assert not shutdown.excludes(LARGEST)
    shutdown.send(8)
    shutdown.receive(4)
    assert [shutdown.excludes(number) for number in (0, 4, 7, 8, 9, LARGEST)] == [False, False, False, True, True, True]


@pytest.mark.parametrize("identifier", [-1, LARGEST + 1])
@pytest.mark.parametrize("role", Role)
def test_an_identifier_is_a_varint(role: Role, identifier: int) -> None:
    """Nothing else can be sent."""
    with pytest.raises(LocalProtocolError):
        Shutdown(role).send(identifier)
