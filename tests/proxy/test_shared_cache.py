"""The proxy's cache: what it may answer, it answers; nobody gets what is another's (RFC 9111, as a shared cache)."""

import asyncio
from typing import Any

import pytest


class Site:
    """Answers with what it is told to, and counts."""

    def __init__(self, *fields: tuple[bytes, bytes], status: int = 200) -> None:
        self.fields = fields
        self.status = status
        self.asked: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked.append(scope["method"])
        person = dict(scope["headers"]).get(b"cookie", b"nobody")
        body = b"%d for %s" % (len(self.asked), person)
        head = [(b"content-length", str(len(body)).encode()), (b"etag", b'"1"'), *self.fields]
        await send({"type": "http.response.start", "status": self.status, "headers": head})
        await send({"type": "http.response.body", "body": body})


FRESH = (b"cache-control", b"max-age=60")


def asked_for(proxied: Any, site: Site, *requests: dict[str, Any]) -> list[Any]:
    async def scenario(one: Any) -> list[Any]:
        return [await one.get("3", request.pop("path", "/"), **request) for request in [dict(r) for r in requests]]

    answers: list[Any] = proxied(scenario, app=site)
    return answers


@pytest.mark.parametrize(
    "fields", [[FRESH], [(b"cache-control", b"s-maxage=60")], [(b"cache-control", b"public, max-age=9")]]
)
def test_what_is_fresh_is_answered_from_here(proxied: Any, fields: Any) -> None:
    """The second request does not reach the upstream; Age says how old the answer is."""
    site = Site(*fields)
    first, second = asked_for(proxied, site, {}, {})
    assert first.content == second.content == b"1 for nobody"
    assert second.all(b"age") == ["0"]
    assert site.asked == ["GET"]


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [(b"last-modified", b"Sun, 06 Nov 1994 08:49:37 GMT")],
        [(b"cache-control", b"no-store, max-age=60")],
        [(b"cache-control", b"private, max-age=60")],
        [(b"cache-control", b"no-cache")],
        [FRESH, (b"set-cookie", b"a=1")],
        [FRESH, (b"vary", b"*")],
    ],
)
def test_what_is_not_for_everybody_is_not_kept(proxied: Any, fields: Any) -> None:
    """Nothing private, nothing that sets a cookie, and nothing that does not say how long it is fresh."""
    site = Site(*fields)
    asked_for(proxied, site, {}, {})
    assert site.asked == ["GET", "GET"]


@pytest.mark.parametrize(
    "field", [(b"authorization", b"Basic eA=="), (b"range", b"bytes=0-1"), (b"cache-control", b"no-cache")]
)
def test_a_request_of_its_own_is_not_answered_from_here(proxied: Any, field: Any) -> None:
    """One with an authorization or a range, and one that asks for the upstream, goes there."""
    site = Site(FRESH)
    asked_for(proxied, site, {}, {"headers": [field]})
    assert site.asked == ["GET", "GET"]


def test_an_answer_for_one_person_is_not_another_s(proxied: Any) -> None:
    """`Vary: cookie` keeps people apart."""
    site = Site(FRESH, (b"vary", b"cookie"))
    one, two, again = asked_for(proxied, site, *({"headers": [(b"cookie", name)]} for name in (b"a=1", b"a=2", b"a=1")))
    assert (one.content, two.content) == (b"1 for a=1", b"2 for a=2")
    assert again.content in {b"1 for a=1", b"3 for a=1"}


def test_whoever_has_the_version_is_told_from_here(proxied: Any) -> None:
    """304 for the entity tag that is kept, without a word to the upstream."""
    site = Site(FRESH)
    _, again = asked_for(proxied, site, {}, {"headers": [(b"if-none-match", b'"1"')]})
    assert (again.status, again.content) == (304, b"")
    assert site.asked == ["GET"]


def test_a_change_is_the_end_of_what_is_kept(proxied: Any) -> None:
    """POST to a URL: its answers are good no more (RFC 9111 section 4.4)."""
    site = Site(FRESH)
    asked_for(proxied, site, {}, {"method": "POST", "content": b"x"}, {})
    assert site.asked == ["GET", "POST", "GET"]


def test_what_broke_off_is_not_kept(proxied: Any) -> None:
    """A short answer is nobody's next answer."""
    count = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        await reader.readuntil(b"\r\n\r\n")
        count += 1
        body = b"short" if count == 1 else b"the whole "
        writer.write(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\n" + body)

    async def scenario(one: Any) -> None:
        with pytest.raises(Exception, match=r"reset|ended"):
            await one.get("3")
        assert (await one.get("3")).content == b"the whole "

    proxied(scenario, raw=handle)
    assert count == 2
