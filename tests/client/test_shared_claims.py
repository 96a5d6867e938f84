"""Whose answers go to whom, where several people share what is pushed and stored."""

import pytest

from h3push.client.claims import Mismatch, made_for, why_not_another
from h3push.http.fields import RequestHead, ResponseHead


def request(cookie: str | None = None, method: bytes = b"GET") -> RequestHead:
    fields = [] if cookie is None else [(b"cookie", cookie.encode())]
    return RequestHead(method, b"https", b"origin.example", b"/", fields, None)


def response(**fields: str) -> ResponseHead:
    return ResponseHead(
        200, [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()], None
    )


@pytest.mark.parametrize(
    ("theirs", "ours", "fields", "is_given"),
    [
        (None, None, {}, True),
        (None, "id=bob", {}, True),
        ("id=ann", "id=ann", {}, True),
        ("id=ann; lang=en", "lang=en; id=ann; theme=dark", {}, True),
        ("id=ann", "id=bob", {}, False),
        ("id=ann", None, {}, False),
        ("id=ann", "id=ann2", {}, False),
        ("id=ann; lang=en", "id=ann", {}, False),
        ("id=ann", "id=bob", {"cache_control": "max-age=60"}, False),
        ("id=ann", "id=bob", {"cache_control": "max-age=60, Public"}, True),
        ("id=ann", None, {"cache_control": "s-maxage=60"}, True),
        (None, "id=bob", {"set_cookie": "id=new"}, False),
        ("id=ann", "id=bob", {"cache_control": "public", "set_cookie": "id=new"}, False),
        (None, None, {"set_cookie": "id=new"}, True),
    ],
)
def test_cookies_decide(theirs: str | None, ours: str | None, fields: dict[str, str], is_given: bool) -> None:
    """Whoever sends all cookies that an answer was made for gets it; others only what is for all and sets no cookie."""
    mismatch = why_not_another(request(ours), request(theirs), response(**fields))
    assert mismatch is (None if is_given else Mismatch.COOKIE)


def test_an_answer_to_a_login_is_nobody_elses() -> None:
    """A request that is not safe may say in its content who it is."""
    assert why_not_another(request(), request(method=b"POST"), response()) is Mismatch.COOKIE
    assert why_not_another(request(), request(method=b"POST"), response(cache_control="public")) is None


def test_a_push_is_stored_with_the_cookies_that_it_was_made_for() -> None:
    """Not with those of whoever claimed it first."""
    assert made_for(request("id=bob"), request()).fields == []
    assert made_for(request("id=ann; theme=dark"), request("id=ann")).fields == [(b"cookie", b"id=ann")]
