"""`Headers`."""

import pytest

from h3push import Headers


def test_names_have_no_case() -> None:
    headers = Headers({"Content-Type": "text/plain"})
    assert headers["CONTENT-TYPE"] == "text/plain"
    assert "content-type" in headers
    assert 5 not in headers
    assert headers.raw == [(b"content-type", b"text/plain")]


def test_repeated_fields() -> None:
    headers = Headers([("Vary", "a"), (b"VARY", b"b"), ("x", "y")])
    assert headers["vary"] == "a, b"
    assert headers.get_all("Vary") == ["a", "b"]
    assert headers.get_all("none") == []
    assert (list(headers), len(headers)) == (["vary", "x"], 2)
    assert dict(headers) == {"vary": "a, b", "x": "y"}


def test_missing_names() -> None:
    headers = Headers()
    with pytest.raises(KeyError):
        headers["x"]
    assert headers.get("x") is None
    assert headers.get("\N{SNOWMAN}") is None


def test_every_byte_survives() -> None:
    every = bytes(range(1, 256))
    assert Headers([(b"x", every)])["x"].encode("latin-1") == every


def test_equality_and_text() -> None:
    assert Headers({"a": "b"}) == Headers([("A", "b")])
    assert Headers({"a": "b"}) != Headers({"a": "c"})
    assert Headers() != 5
    assert hash(Headers({"a": "b"})) == hash(Headers([("A", "b")]))
    assert repr(Headers({"a": "b"})) == "<Headers a: b>"


def test_text_outside_latin_1_is_refused() -> None:
    with pytest.raises(ValueError, match="latin-1"):
        Headers({"x": "\N{SNOWMAN}"})
