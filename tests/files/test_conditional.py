"""Conditions and ranges, as RFC 9110 decides them."""

import pytest

from h3push.files.conditional import Selection, select, validators_of

MTIME = 1_700_000_000_500_000_000
VALIDATORS = validators_of(MTIME, 10)
ETAG = VALIDATORS.etag
MODIFIED = VALIDATORS.fields["last-modified"]
EARLIER = "Tue, 14 Nov 2023 22:13:19 GMT"
HUGE = "Tue, 14 Nov 99999999999999999999 22:13:21 GMT"
LATER = "Tue, 14 Nov 2023 22:13:21 GMT"


def status(headers, method="GET"):
    return select(method, headers, VALIDATORS, 10).status


def test_validators_change_with_size_and_with_less_than_a_second():
    assert MODIFIED == "Tue, 14 Nov 2023 22:13:20 GMT"
    assert ETAG not in {validators_of(MTIME + 1, 10).etag, validators_of(MTIME, 11).etag}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 200),
        ({"if-none-match": ETAG}, 304),
        ({"if-none-match": f"W/{ETAG}"}, 304),
        ({"if-none-match": f'"other", {ETAG}'}, 304),
        ({"if-none-match": "*"}, 304),
        ({"if-none-match": '"other"'}, 200),
        ({"if-none-match": '"other"', "if-modified-since": LATER}, 200),
        ({"if-modified-since": MODIFIED}, 304),
        ({"if-modified-since": LATER}, 304),
        ({"if-modified-since": EARLIER}, 200),
        ({"if-modified-since": "yesterday"}, 200),
        ({"if-modified-since": HUGE}, 200),
        ({"if-unmodified-since": HUGE}, 200),
        ({"if-modified-since": "Fri, 31 Dec 9999 23:59:59 -2359"}, 200),
        ({"if-range": HUGE, "range": "bytes=0-0"}, 200),
        ({"if-match": ETAG}, 200),
        ({"if-match": "*"}, 200),
        ({"if-match": f"W/{ETAG}"}, 412),
        ({"if-match": '"other"'}, 412),
        ({"if-match": ETAG, "if-unmodified-since": EARLIER}, 200),
        ({"if-unmodified-since": MODIFIED}, 200),
        ({"if-unmodified-since": EARLIER}, 412),
        ({"if-match": '"other"', "if-none-match": ETAG}, 412),
    ],
)
def test_conditions(headers, expected):
    assert status(headers) == expected
    assert status(headers, "HEAD") == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("bytes=0-0", Selection(206, 0, 1)),
        ("bytes=2-5", Selection(206, 2, 4)),
        ("bytes=2-", Selection(206, 2, 8)),
        ("bytes=2-99", Selection(206, 2, 8)),
        ("bytes=-3", Selection(206, 7, 3)),
        ("bytes=-99", Selection(206, 0, 10)),
        ("BYTES=0-0", Selection(206, 0, 1)),
        ("bytes=10-", Selection(416)),
        ("bytes=-0", Selection(416)),
        ("bytes=5-2", Selection(200, 0, 10)),
        ("bytes=-", Selection(200, 0, 10)),
        ("bytes=0-1,3-4", Selection(200, 0, 10)),
        ("pages=0-1", Selection(200, 0, 10)),
        ("bytes=a-b", Selection(200, 0, 10)),
        ("bytes=" + "9" * 30 + "-", Selection(200, 0, 10)),
    ],
)
def test_ranges(value, expected):
    assert select("GET", {"range": value}, VALIDATORS, 10) == expected


def test_an_empty_file_has_no_range():
    assert select("GET", {"range": "bytes=0-"}, VALIDATORS, 0) == Selection(416)
    assert select("GET", {"range": "bytes=-1"}, VALIDATORS, 0) == Selection(416)
    assert select("GET", {}, VALIDATORS, 0) == Selection(200, 0, 0)


def test_only_get_has_ranges():
    assert status({"range": "bytes=0-0"}, "HEAD") == 200


@pytest.mark.parametrize(
    ("condition", "expected"),
    [(ETAG, 206), (f"W/{ETAG}", 200), ('"other"', 200), (MODIFIED, 206), (LATER, 200), ("nonsense", 200)],
)
def test_if_range_wants_a_part_of_the_same_version_only(condition, expected):
    assert status({"range": "bytes=0-0", "if-range": condition}) == expected


def test_a_file_from_before_1970_has_a_date():
    assert validators_of(-1, 0).fields["last-modified"] == "Thu, 01 Jan 1970 00:00:00 GMT"
