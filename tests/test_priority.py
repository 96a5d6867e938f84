"""Extensible priorities (RFC 9218)."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from h3push.h3.urgency import CRITICAL_PRIORITY, transport_priority
from h3push.http.priority import MAX_VALUE_SIZE, Priority, encode_priority, parse_priority

priorities = st.builds(Priority, st.integers(0, 7), st.booleans())


@pytest.mark.rfc("PRI-4-01", "PRI-7.2-10")
@pytest.mark.parametrize(
    ("value", "urgency", "incremental"),
    [
        (b"", 3, False),
        (b"u=0", 0, False),
        (b"u=7, i", 7, True),
        (b"u=1,i", 1, True),
        (b"i", 3, True),
        (b"i=?1", 3, True),
        (b"i=?0", 3, False),
        (b"  u=5 ,  i ", 5, True),
        (b"u=8", 3, False),
        (b"u=-1", 3, False),
        (b"u=1.5", 3, False),
        (b"u", 3, False),
        (b'u="1"', 3, False),
        (b"u=(1)", 3, False),
        (b"i=1", 3, False),
        (b"u=2;x, foo", 2, False),
        (b"u=1, u=6", 6, False),
        (b"u=9, i, unknown=:AAA=:", 3, True),
    ],
)
def test_field_values(value: bytes, urgency: int, incremental: bool) -> None:
    """Parameters unknown, out of range or of the wrong type count for nothing; the others count."""
    assert parse_priority(value) == Priority(urgency, incremental)


@pytest.mark.rfc("PRI-7-01")
@pytest.mark.parametrize("value", [b"u=", b"=", b"u=1,", b"u=1 i", b"\xff", b"u=\x00", b"U=1", b"u=1;", b"1"])
def test_what_is_no_dictionary(value: bytes) -> None:
    """Such a value is the caller's to ignore or to answer."""
    with pytest.raises(ValueError, match="not a dictionary"):
        parse_priority(value)


def test_long_values_are_not_read() -> None:
    """Work on a priority is bounded."""
    value = b"u=1" + b", a" * (MAX_VALUE_SIZE // 3)
    with pytest.raises(ValueError, match="at most"):
        parse_priority(value)
    assert parse_priority(value[:-3]) == Priority(1)


@given(st.binary(max_size=30))
def test_any_value_is_a_priority_or_no_dictionary(value: bytes) -> None:
    """Nothing but ValueError leaves the parser."""
    with suppress(ValueError):
        parse_priority(value)


@given(priorities)
def test_round_trip(priority: Priority) -> None:
    """What is said is what is heard."""
    assert parse_priority(encode_priority(priority)) == priority


@pytest.mark.parametrize("urgency", [-1, 8])
def test_there_are_eight_urgencies(urgency: int) -> None:
    """Ours are checked too."""
    with pytest.raises(ValueError, match="urgency"):
        Priority(urgency)


# For the transport

orders = st.integers(0, 2**62)


@pytest.mark.rfc("PRI-10-01")
@given(priorities, orders, priorities, orders)
def test_a_push_never_comes_before_a_request(a: Priority, order_a: int, b: Priority, order_b: int) -> None:
    """Whatever the urgencies, requested is above pushed; both are below the critical streams and fit 32 bits."""
    requested = transport_priority(a, order=order_a, pushed=False)
    pushed = transport_priority(b, order=order_b, pushed=True)
    assert -(2**31) <= pushed < 0 < requested < CRITICAL_PRIORITY < 2**31


@pytest.mark.rfc("PRI-10-02")
@given(priorities, orders, priorities, orders, st.booleans())
def test_lower_urgency_goes_first(a: Priority, order_a: int, b: Priority, order_b: int, pushed: bool) -> None:
    """Among requests, and among pushes."""
    if a.urgency < b.urgency:
        assert transport_priority(a, order=order_a, pushed=pushed) > transport_priority(b, order=order_b, pushed=pushed)


@pytest.mark.rfc("PRI-10-02")
@given(st.integers(0, 7), st.integers(0, 2**26), st.integers(1, 1000), st.booleans())
def test_within_an_urgency(urgency: int, order: int, later: int, pushed: bool) -> None:
    """Non-incremental ones one after the other, then all incremental ones side by side."""
    first = transport_priority(Priority(urgency), order=order, pushed=pushed)
    second = transport_priority(Priority(urgency), order=order + later, pushed=pushed)
    shared = transport_priority(Priority(urgency, True), order=order, pushed=pushed)
    assert first > second > shared
    assert shared == transport_priority(Priority(urgency, True), order=order + later, pushed=pushed)
