"""The flood limiter."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h3push.errors import ErrorCode, H3ConnectionError
from h3push.h3.config import H3Config
from h3push.h3.flood import FloodBudget


def budget(burst: int, rate: float) -> FloodBudget:
    return FloodBudget(H3Config(flood_burst=burst, flood_rate=rate))


def charge(subject: FloodBudget, count: int, now: float = 0.0) -> int:
    """How many of `count` are let through."""
    for number in range(count):
        try:
            subject.charge(now, "things")
        except H3ConnectionError as error:
            refused = error
        else:
            continue
        assert (refused.error_code, refused.reason) == (ErrorCode.H3_EXCESSIVE_LOAD, "too many things")
        return number
    return count


@pytest.mark.rfc("H3-10.5-01")
@pytest.mark.parametrize("burst", [0, 1, 2, 1000])
def test_the_burst_is_exact(burst: int) -> None:
    """That many at once, not one more."""
    assert charge(budget(burst, 100.0), burst + 5, now=7.0) == burst


def test_time_refills_up_to_the_burst() -> None:
    """`flood_rate` a second, from the first use on, never above the burst."""
    subject = budget(10, 2.0)
    assert charge(subject, 10, now=100.0) == 10
    assert charge(subject, 5, now=102.0) == 4
    assert charge(subject, 100, now=1e9) == 10


def test_progress_refills_up_to_the_burst() -> None:
    """A finished message gives some back; it cannot be saved up."""
    subject = budget(5, 0.0)
    for _ in range(100):
        subject.earn()
    assert charge(subject, 5) == 5
    subject.earn()
    assert charge(subject, 5) == subject.EARNED_BY_PROGRESS


def test_a_clock_that_goes_back_gives_nothing() -> None:
    """Only time that passes refills."""
    subject = budget(3, 1.0)
    assert charge(subject, 3, now=10.0) == 3
    assert charge(subject, 1, now=5.0) == 0


@given(gaps=st.lists(st.floats(0, 3), min_size=1, max_size=200))
@settings(derandomize=True, max_examples=100)
def test_never_more_than_burst_and_rate_allow(gaps: list[float]) -> None:
    """In any stretch of time: burst plus rate times its length."""
    subject, now = budget(5, 2.0), 0.0
    for passed, gap in enumerate(gaps, start=1):
        now += gap
        if not charge(subject, 1, now):
            break
        assert passed <= 5 + 2.0 * now + 1e-6
