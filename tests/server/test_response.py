"""What a response remembers of its header fields changes nothing of what is sent."""

import pytest

import h3push
from h3push.h3.known import MAX_REMEMBERED
from h3push.server import response as module
from h3push.server.date import DateField
from h3push.server.response import Response

DATE = (b"date", b"Sat, 28 Nov 2026 22:00:00 GMT")
LATER = (b"date", b"Sat, 28 Nov 2026 22:00:01 GMT")


def sections(
    headers: dict[str, str], content: bytes, times: int = 4, status: int = 200
) -> list[list[tuple[bytes, bytes]]]:
    """The sections of responses that are alike, one after the other."""
    return [list(Response(status, headers, content).section(DATE, len(content)).fields) for _ in range(times)]


@pytest.mark.parametrize(
    ("headers", "sent"),
    [
        ({}, [(b"content-length", b"4"), DATE]),
        ({"X-Kind": "a"}, [(b"x-kind", b"a"), (b"content-length", b"4"), DATE]),
        ({"Date": "never", "x-kind": "b"}, [(b"date", b"never"), (b"x-kind", b"b"), (b"content-length", b"4")]),
        ({"Content-Length": "4"}, [(b"content-length", b"4"), DATE]),
    ],
)
def test_every_response_with_the_same_fields_is_sent_the_same(
    headers: dict[str, str], sent: list[tuple[bytes, bytes]]
) -> None:
    """The first, the second and the later ones: what is remembered is what would be made."""
    assert sections(headers, b"body") == [[(b":status", b"200"), *sent]] * 4


def test_a_later_date_another_length_and_another_status_are_seen() -> None:
    """Nothing of the last response but its fields goes over to the next."""
    headers = {"x-kind": "c"}
    sections(headers, b"body")
    later = Response(200, headers, b"body").section(LATER, 4).fields
    longer = Response(200, headers, b"longer body").section(LATER, 11).fields
    missing = Response(404, headers, b"longer body").section(LATER, 11).fields
    assert LATER in later
    assert (b"content-length", b"11") in longer
    assert missing[0] == (b":status", b"404")


def test_one_response_sent_again_and_again_follows_the_date() -> None:
    """A response that is kept and returned for every request has the date of each."""
    response = Response(200, [("x-kind", "d")], b"body")
    first = [response.section(DATE, 4).fields for _ in range(3)]
    assert first[0] == first[1] == first[2]
    assert LATER in response.section(LATER, 4).fields
    assert DATE not in response.section(LATER, 4).fields


def test_a_section_is_made_once_a_second() -> None:
    """Compiled code makes a new tuple of the Date field each time it is asked for; what is remembered is found by its value."""
    date = DateField(lambda: 1.0)
    headers = {"x-kind": "e"}
    sections(headers, b"body")
    assert Response(200, headers, b"body").section(date(), 4) is Response(200, headers, b"body").section(date(), 4)


def test_a_dictionary_that_was_changed_is_seen() -> None:
    """Which dictionary was given is only a guess at what is in it: the sent fields are those that it has now."""
    headers = {"x-kind": "f"}
    sections(headers, b"body")
    headers["x-kind"] = "g"
    assert sections(headers, b"body")[0][1] == (b"x-kind", b"g")
    headers["x-more"] = "h"
    assert (b"x-more", b"h") in sections(headers, b"body")[0]


def test_a_name_that_comes_twice_keeps_its_order() -> None:
    """Names that differ in case alone are one field, whose lines have an order: an equal dictionary may have another."""
    headers = {"x-kind": "1", "X-Kind": "2"}
    sections(headers, b"body")
    del headers["x-kind"]
    headers["x-kind"] = "1"
    assert [value for name, value in sections(headers, b"body")[0] if name == b"x-kind"] == [b"2", b"1"]


def test_secrets_are_not_remembered() -> None:
    """Cookies and tokens are one client's; what connections share holds none (SECURITY.md)."""
    for headers in ({"set-cookie": "session=1"}, {"x-access-token": "1"}):
        assert len({tuple(section) for section in sections(headers, b"body")}) == 1
        assert tuple(headers.items()) not in module._known.kept
        assert id(headers) not in module._last


def test_what_is_remembered_is_bounded() -> None:
    """Fields that differ each time push nothing out but others of their kind."""
    for number in range(3 * MAX_REMEMBERED):
        sections({"x-number": str(number)}, b"body", times=2)
    assert len(module._known.kept) <= MAX_REMEMBERED
    assert len(module._last) <= MAX_REMEMBERED


@pytest.mark.parametrize("headers", [{"x": ["list"]}, {"x": 1}, {1: "x"}])
def test_what_is_no_field_is_refused_each_time(headers: dict[str, str]) -> None:
    """One sentence says what is wrong, the first time and later; the compiled form has another one."""
    for _ in range(3):
        with pytest.raises(TypeError, match="headers must"):
            Response(200, headers)


def test_headers_cannot_be_changed_through_one_response() -> None:
    """Responses share the fields; what a handler sees of them is a view that cannot be written to."""
    for _ in range(3):
        response = h3push.Response(200, {"x-kind": "e"}, b"body")
        assert dict(response.headers) == {"x-kind": "e"}
        with pytest.raises(TypeError):
            response.headers["x-kind"] = "f"  # type: ignore[index]
