"""HTTP semantics: dates as RFC 9110 section 5.6.7 has them, and as peers send them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from h3push.http.semantics import parse_date

NOT_DATES = [
    "",
    "yesterday",
    "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
    "Mon, 01 Jan 2000 99999999999999999999:00:00 GMT",
    f"Mon, 01 Jan {'9' * 5000} 00:00:00 GMT",
    "Mon, 01 Jan 2000 00:00:00 +99999999999999999999",
    "Mon, 32 Jan 2000 00:00:00 GMT",
]


@pytest.mark.parametrize(
    "value", ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
)
def test_the_three_forms_of_a_date_mean_the_same(value: str) -> None:
    """RFC 9110 section 5.6.7: a recipient accepts all three."""
    assert parse_date(value) == 784_111_777


@pytest.mark.parametrize("value", NOT_DATES)
def test_what_is_no_date_is_none(value: str) -> None:
    """Numbers of any size make a bad date, never an exception."""
    assert parse_date(value) is None


@given(
    st.lists(st.sampled_from([*" ,:+-.", "Mon", "Jan", "2000", "GMT", "9" * 30, "01", "-2359", "é"])).map("".join)
    | st.text()
)
def test_every_text_is_a_date_or_none(value: str) -> None:
    """Whatever a peer writes: seconds, or `None`."""
    seconds = parse_date(value)
    assert seconds is None or isinstance(seconds, int)
