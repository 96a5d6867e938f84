"""The holdings of a connection, and the freshness of responses."""

import pytest

from h3push.delivery.holdings import Holdings
from h3push.http.semantics import freshness_lifetime, names_validator

KEY = (b"GET", b"origin.example", b"/a.css")


def test_fresh_until_its_time() -> None:
    """Held at once, then as long as the response says."""
    holdings = Holdings()
    assert not holdings.holds(KEY, 0)
    holdings.hold(KEY)
    assert holdings.holds(KEY, 1e9)
    holdings.answered(KEY, 60, now=100)
    assert holdings.holds(KEY, 159.9)
    assert not holdings.holds(KEY, 160)


def test_a_response_that_says_nothing_leaves_it_held() -> None:
    """No push is the safe mistake."""
    holdings = Holdings()
    holdings.hold(KEY)
    holdings.answered(KEY, None, now=0)
    assert holdings.holds(KEY, 1e9)


def test_an_answer_to_what_is_not_remembered_changes_nothing() -> None:
    """Only what was asked for or promised is held."""
    holdings = Holdings()
    holdings.answered(KEY, 60, now=0)
    assert len(holdings) == 0


def test_forgotten_is_forgotten() -> None:
    """A push that failed on our side was not given."""
    holdings = Holdings()
    holdings.hold(KEY)
    holdings.forget(KEY)
    holdings.forget(KEY)
    assert not holdings.holds(KEY, 0)


def test_holdings_are_bounded() -> None:
    """The resource that was given longest ago is forgotten first."""
    holdings = Holdings(max_resources=2)
    for name in (b"a", b"b", b"c", b"a"):
        holdings.hold((b"GET", b"", name))
    assert len(holdings) == 2
    assert not holdings.holds((b"GET", b"", b"b"), 0)


def test_long_paths_are_not_remembered() -> None:
    """A client can make up any number of them."""
    holdings = Holdings()
    holdings.hold((b"GET", b"", b"/" * 2_000))
    assert len(holdings) == 0


DATE = b"Sun, 22 Nov 2026 12:00:00 GMT"
LATER = b"Sun, 22 Nov 2026 12:10:00 GMT"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([], None),
        ([(b"cache-control", b"public, max-age=60")], 60),
        ([(b"cache-control", b'Max-Age="60"')], 60),
        ([(b"cache-control", b"max-age=60"), (b"age", b"50")], 10),
        ([(b"cache-control", b"max-age=60"), (b"age", b"90")], 0),
        ([(b"cache-control", b"max-age=60, no-cache")], 0),
        ([(b"cache-control", b"max-age=60"), (b"cache-control", b"no-store")], 0),
        ([(b"cache-control", b"max-age=nonsense")], None),
        ([(b"expires", LATER), (b"date", DATE)], 600),
        ([(b"expires", DATE), (b"date", LATER)], 0),
        ([(b"expires", LATER), (b"date", DATE), (b"cache-control", b"max-age=5")], 5),
        ([(b"expires", b"0")], 0),
        ([(b"expires", LATER)], None),
        ([(b"expires", LATER), (b"date", b"today")], None),
        ([(b"expires", b"Mon, 01 Jan 99999999999999999999 00:00:00 GMT"), (b"date", DATE)], 0),
        ([(b"last-modified", DATE)], None),
    ],
)
def test_freshness_lifetime(fields: list[tuple[bytes, bytes]], expected: float | None) -> None:
    """RFC 9111 section 4.2.1 for a private cache; nothing is guessed."""
    assert freshness_lifetime(fields) == expected


def test_validators() -> None:
    """RFC 9110 section 13.1: If-None-Match and If-Modified-Since say that there is a copy."""
    assert names_validator([(b"if-none-match", b"*")])
    assert names_validator([(b"if-modified-since", DATE)])
    assert not names_validator([(b"if-match", b"*"), (b"range", b"bytes=0-")])
