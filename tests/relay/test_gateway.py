"""What a browser gets from the near relay, on the whole stack in virtual time: a round trip to the origin takes 300 ms."""

import asyncio

import pytest

import h3push
from h3push.client.push_stats import Unused
from h3push.relay.gateway import CutShortError
from h3push.relay.settings import RelaySettings
from h3push.relay.status import Status

from .support import Browser, Relayed, Site, Told, date, relayed

RESOURCES = tuple(f"/r{number}.css" for number in range(10))
ROUND_TRIP = 0.3
FRESH = {"cache-control": "max-age=600"}


async def visit(browser: Browser, **headers: str) -> list[Told]:
    page = await browser.get("/page", **headers)
    assert page.content == b"page"
    return await asyncio.gather(*(browser.get(path, **headers) for path in RESOURCES))


def test_the_page_takes_one_round_trip_and_its_resources_none() -> None:
    """With a warm connection the first byte comes after one round trip, and what was pushed with it answers at once."""
    site = Site(RESOURCES)

    async def scenario(relay: Relayed) -> None:
        page = await relay.browser.get("/page")
        assert 0.99 * ROUND_TRIP < page.began < 1.15 * ROUND_TRIP
        for told in await visit(relay.browser):
            assert told.status == 200
            assert told.began < 0.1 * ROUND_TRIP

    relayed(site, scenario)
    assert site.asked == ["/page", "/page"]


def test_the_promises_of_a_large_page_take_no_round_trip_of_their_own() -> None:
    """Fifty promises repeat what the browser says of itself by a number, so they and the page fit into the first window."""
    site = Site()
    browser = "a browser that says much of itself, " * 15

    async def large(request: h3push.Request) -> h3push.Response:
        for number in range(50):
            await request.push(f"/r{number}.css", headers={"user-agent": browser})
        return h3push.Response(200, {}, b"page")

    site.answers["/large"] = large

    async def scenario(relay: Relayed) -> None:
        page = await relay.browser.get("/large")
        assert page.content == b"page"
        assert page.began < 1.15 * ROUND_TRIP

    relayed(site, scenario)


def test_content_is_handed_on_as_it_arrives() -> None:
    """The first piece of a slow response is there long before the last one."""
    site = Site()

    async def slow(_request: object) -> h3push.Response:
        async def pieces():
            for number in range(5):
                yield b"piece %d" % number
                await asyncio.sleep(1)

        return h3push.Response(200, {}, pieces())

    site.answers["/slow"] = slow

    async def scenario(relay: Relayed) -> None:
        told = await relay.browser.get("/slow")
        assert told.content == b"".join(b"piece %d" % number for number in range(5))
        assert told.pieces[0] < 0.5
        assert told.pieces[-1] > 4

    relayed(site, scenario)


def test_who_asks_while_a_push_is_under_way_waits_for_it() -> None:
    """A request for something that is being pushed sends nothing to the origin, and gets all of it."""
    site = Site(("/slow.css",))

    async def slow(_request: object) -> h3push.Response:
        await asyncio.sleep(2)
        return h3push.Response(200, {}, b"late")

    site.answers["/slow.css"] = slow

    async def scenario(relay: Relayed) -> None:
        await relay.browser.get("/page")
        told = await relay.browser.get("/slow.css")
        assert (told.content, told.status) == (b"late", 200)
        assert told.began > 1

    relayed(site, scenario)
    assert site.asked == ["/page"]


def test_what_the_cache_has_fresh_is_cancelled_at_the_promise() -> None:
    """The second page of a site gets from the cache what both share, and its promises of it cost a cancellation each."""
    site = Site(RESOURCES, FRESH)

    async def scenario(relay: Relayed) -> None:
        await visit(relay.browser)
        await relay.browser.get("/page2")
        again = await asyncio.gather(*(relay.browser.get(path) for path in RESOURCES))
        assert all(told.status == 200 and told.began < 0.01 for told in again)
        assert relay.pool.push_stats.cancelled[Unused.FRESH] == len(RESOURCES)
        assert relay.loads.sources == {"server": 2, "push": 10, "store": 10, "relay": 0}

    relayed(site, scenario)
    assert site.asked == ["/page", "/page2"]


def test_what_was_requested_is_stored_too() -> None:
    """The cache is one of everything that may be stored, not only of what was pushed."""
    site = Site(fields=FRESH)

    async def scenario(relay: Relayed) -> None:
        first, second = await relay.browser.get("/a.css"), await relay.browser.get("/a.css")
        assert first.content == second.content
        assert second.get("age") is not None

    relayed(site, scenario)
    assert site.asked == ["/a.css"]


def test_a_push_that_nobody_asked_for_in_time_goes_into_the_cache() -> None:
    """What arrived is kept while it is fresh, though it counts as evicted: another visitor may want it."""
    site = Site(RESOURCES, FRESH)

    async def scenario(relay: Relayed) -> None:
        await relay.browser.get("/page")
        await asyncio.sleep(120)
        assert relay.pool.push_stats.cancelled[Unused.EVICTED] == len(RESOURCES)
        told = await relay.browser.get(RESOURCES[0])
        assert (told.status, told.content) == (200, RESOURCES[0].encode() * 100)

    relayed(site, scenario)
    assert site.asked == ["/page"]


@pytest.mark.parametrize(
    ("fields", "seconds", "asked_again"),
    [
        ({}, 60.0, []),
        ({}, 0.0, ["/a.css"]),
        ({"cache-control": "no-cache"}, 60.0, ["/a.css"]),
        ({"cache-control": "max-age=0"}, 60.0, ["/a.css"]),
        ({"vary": "accept-encoding"}, 60.0, []),
    ],
)
def test_what_says_nothing_of_its_freshness_is_used_for_a_while(
    fields: dict[str, str], seconds: float, asked_again: list[str]
) -> None:
    """An origin that remembers its pushes pushes it once on a connection: the next visitor gets it from here."""
    site = Site(("/a.css",), fields)

    async def scenario(relay: Relayed) -> None:
        await relay.browser.get("/page")
        await relay.browser.get("/a.css")
        await relay.browser.get("/a.css")
        assert await relay.browser.get("/a.css", cache_control="no-cache")

    relayed(site, scenario, settings=RelaySettings(silent_seconds=seconds))
    assert site.asked == ["/page", *asked_again, "/a.css"]


def test_a_known_version_is_confirmed_without_the_origin() -> None:
    """If-None-Match is answered with 304 from what was pushed or stored, and with all of it when the tag is another."""
    site = Site(("/a.css",), {**FRESH, "etag": '"one"'})

    async def scenario(relay: Relayed) -> None:
        await relay.browser.get("/page")
        same = await relay.browser.get("/a.css", if_none_match='W/"one", "two"')
        assert (same.status, same.content, same.get("etag")) == (304, b"", '"one"')
        await relay.browser.get("/a.css")
        other = await relay.browser.get("/a.css", if_none_match='"two"')
        assert (other.status, other.content) == (200, b"/a.css" * 100)
        assert (await relay.browser.get("/a.css", if_none_match='"one"')).status == 304

    relayed(site, scenario)
    assert site.asked == ["/page", "/a.css"]


@pytest.mark.parametrize("is_pushed", [False, True])
def test_many_who_ask_for_the_same_at_once_cost_one_request(is_pushed: bool) -> None:
    """A fleet that wakes up crosses the link once; everybody gets all of it."""
    site = Site(("/firmware",) if is_pushed else (), FRESH)

    async def slow(_request: object) -> h3push.Response:
        await asyncio.sleep(1)
        return h3push.Response(200, {**FRESH, "date": date()}, b"x" * 50_000)

    site.answers["/firmware"] = slow

    async def scenario(relay: Relayed) -> None:
        await relay.browser.get("/page")
        fleet = await asyncio.gather(*(relay.browser.get("/firmware") for _ in range(30)))
        assert {(told.status, told.content) for told in fleet} == {(200, b"x" * 50_000)}
        assert max(told.began for told in fleet) < 2

    relayed(site, scenario)
    assert site.asked == ["/page", *([] if is_pushed else ["/firmware"])]


@pytest.mark.parametrize(
    ("fields", "sent"),
    [({"cache-control": "no-store"}, {}), (FRESH, {"cookie": "id=ann"}), ({**FRESH, "set-cookie": "a=1"}, {})],
)
def test_nobody_waits_for_what_is_not_shared(fields: dict[str, str], sent: dict[str, str]) -> None:
    """Requests whose answers go to one person each are not held up by one another."""
    site = Site()
    begun = []

    async def endless(_request: object) -> h3push.Response:
        begun.append(asyncio.get_running_loop().time())

        async def pieces():
            yield b"x"
            await asyncio.sleep(30)
            yield b"y"

        return h3push.Response(200, {**fields, "content-length": "2", "date": date()}, pieces())

    site.answers["/a"] = endless

    async def scenario(relay: Relayed) -> None:
        first = asyncio.create_task(relay.browser.get("/a", **sent))
        await asyncio.sleep(1)
        await asyncio.gather(first, relay.browser.get("/a", **sent))
        assert begun[1] - begun[0] < 1.5

    relayed(site, scenario)


def test_nobody_waits_long_for_a_slow_program() -> None:
    """What takes longer than `flight_seconds` is asked for again."""
    site = Site()

    async def slow(_request: object) -> h3push.Response:
        await asyncio.sleep(20)
        return h3push.Response(200, {**FRESH, "date": date()}, b"late")

    site.answers["/a"] = slow

    async def scenario(relay: Relayed) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        told = await asyncio.gather(relay.browser.get("/a"), relay.browser.get("/a"))
        assert [one.content for one in told] == [b"late"] * 2
        assert loop.time() - began < 27

    relayed(site, scenario)
    assert site.asked == ["/a", "/a"]


# what stays in the cache


@pytest.mark.parametrize(
    ("method", "status", "is_kept"),
    [
        ("PUT", 405, True), ("POST", 403, True), ("DELETE", 500, True),
        ("PUT", 204, False), ("POST", 303, False),
        ("GET", 304, True), ("GET", 403, True), ("GET", 503, True), ("OPTIONS", 204, True),
        ("GET", 404, False), ("GET", 410, False),
    ],
)  # fmt: skip
def test_only_an_answer_that_is_newer_or_a_change_outdates_what_is_stored(
    method: str, status: int, is_kept: bool
) -> None:
    """RFC 9111 section 4.4: a request that was refused has changed nothing, and the copy is good as before."""
    site = Site(fields=FRESH)

    async def scenario(relay: Relayed) -> None:
        await relay.browser.get("/a.css")
        site.answers["/a.css"] = lambda _: h3push.Response(status, {"cache-control": "no-store"}, b"")
        told = await relay.browser.get("/a.css", method=method, cache_control="no-cache")
        assert told.status == status
        again = await relay.browser.get("/a.css")
        assert (again.content == b"/a.css" * 100) == is_kept

    relayed(site, scenario)
    assert len(site.asked) == (2 if is_kept else 3)


@pytest.mark.parametrize(("status", "is_kept"), [(405, True), (204, False), (500, False)])
def test_a_refused_request_leaves_the_pushes_that_wait(status: int, is_kept: bool) -> None:
    """What was pushed goes when an unsafe request may have changed something: not when the origin refused it."""
    site = Site(("/a.css",), FRESH)
    site.answers["/form"] = lambda _: h3push.Response(status, {}, b"")

    async def scenario(relay: Relayed) -> None:
        await relay.browser.get("/page")
        await relay.browser.get("/form", method="POST", content=b"x")
        await relay.browser.get("/a.css")

    relayed(site, scenario)
    assert site.asked == ["/page", "/form", *([] if is_kept else ["/a.css"])]


CONTENT = b"/a.css" * 100


@pytest.mark.parametrize(
    ("asked", "status", "content", "extent"),
    [
        ({"range": "bytes=10-19"}, 206, CONTENT[10:20], "bytes 10-19/600"),
        ({"range": "bytes=590-"}, 206, CONTENT[590:], "bytes 590-599/600"),
        ({"range": "bytes=-7"}, 206, CONTENT[-7:], "bytes 593-599/600"),
        ({"range": "bytes=0-9", "if-range": '"1"'}, 206, CONTENT[:10], "bytes 0-9/600"),
        ({"range": "bytes=0-9", "if-range": '"0"'}, 200, CONTENT, None),
        ({"range": "bytes=0-1,5-6"}, 200, CONTENT, None),
    ],
)
def test_a_part_of_what_is_stored_comes_from_the_cache(
    asked: dict[str, str], status: int, content: bytes, extent: str | None
) -> None:
    """RFC 9110 section 14.2: whoever has all of a version can cut a part of it, and nothing crosses the link."""
    site = Site(fields={**FRESH, "etag": '"1"'})

    async def scenario(relay: Relayed) -> None:
        await relay.browser.get("/a.css")
        told = await relay.browser.get("/a.css", **asked)
        assert (told.status, told.content, told.get("content-range")) == (status, content, extent)
        assert told.get("content-length") == str(len(content))
        assert (await relay.browser.get("/a.css")).content == CONTENT
        assert relay.loads.sources["store"] == 2

    relayed(site, scenario)
    assert site.asked == ["/a.css"]


@pytest.mark.parametrize(
    ("fields", "asked"),
    [
        ({}, {"range": "bytes=600-"}),
        ({}, {"range": "bytes=0-9", "if-range": "Sun, 01 Nov 2026 00:00:00 GMT"}),
        ({}, {"range": "bytes=0-9", "if-match": '"1"'}),
        ({}, {"range": "bytes=0-9", "cache-control": "no-cache"}),
        ({"content-encoding": "gzip"}, {"range": "bytes=0-9"}),
        ({"cache-control": "private, max-age=600"}, {"range": "bytes=0-9"}),
        ({"vary": "accept-language"}, {"range": "bytes=0-9", "accept-language": "de"}),
    ],
)
def test_a_part_in_doubt_comes_from_the_origin(fields: dict[str, str], asked: dict[str, str]) -> None:
    """No part is cut of what may be another version, another's, or out of date; what is stored stays."""
    site = Site(fields={**FRESH, "etag": '"1"', **fields})

    async def scenario(relay: Relayed) -> None:
        await relay.browser.get("/a.css")
        site.answers["/a.css"] = lambda _: h3push.Response(206, {"content-range": "bytes 0-9/600"}, b"0123456789")
        assert (await relay.browser.get("/a.css", **asked)).content == b"0123456789"

    relayed(site, scenario)
    assert site.asked == ["/a.css"] * 2


# persons


def test_cookies_of_one_person_answer_nobody_else() -> None:
    """A push that came for somebody's cookies answers those cookies, pushed or stored; another person asks the origin."""
    site = Site(("/me.json",), FRESH)

    async def scenario(relay: Relayed) -> None:
        await relay.browser.get("/page", cookie="id=ann; lang=en")
        await relay.browser.get("/me.json", cookie="id=bob")
        await relay.browser.get("/me.json")
        assert site.asked == ["/page", "/me.json", "/me.json"]
        await relay.browser.get("/me.json", cookie="id=ann; lang=en; theme=dark")
        assert site.asked[3:] == []
        await relay.browser.get("/me.json", cookie="id=eve")
        assert len(site.asked) == 3, "what an anonymous visitor got is for all"

    relayed(site, scenario)


def test_stored_for_cookies_is_not_given_to_others() -> None:
    """A stored response that was made for cookies answers no request without them, nor with others."""
    site = Site(fields=FRESH)

    async def scenario(relay: Relayed) -> None:
        await relay.browser.get("/me.json", cookie="id=ann")
        await relay.browser.get("/me.json", cookie="id=bob")
        assert len(site.asked) == 2

    relayed(site, scenario)


def test_public_responses_are_shared() -> None:
    """`public` says that a response is for everybody, whatever the cookies are."""
    site = Site(("/a.css",), {"cache-control": "public, max-age=600"})

    async def scenario(relay: Relayed) -> None:
        await relay.browser.get("/page", cookie="id=ann")
        for cookie in ("id=bob", "id=eve"):
            await relay.browser.get("/a.css", cookie=cookie)

    relayed(site, scenario)
    assert site.asked == ["/page"]


@pytest.mark.parametrize(("control", "asked_again"), [("max-age=600", []), ("private, max-age=600", ["Bearer ann"])])
def test_authorization_of_one_person_answers_nobody_else(control: str, asked_again: list[str]) -> None:
    """Neither a push nor a stored response passes from one bearer to another (RFC 9111 section 3.5)."""
    site = Site(("/me.json",), {"cache-control": control})

    async def scenario(relay: Relayed) -> None:
        await relay.browser.get("/page", authorization="Bearer ann")
        await relay.browser.get("/me.json", authorization="Bearer bob")
        await relay.browser.get("/me.json")
        await relay.browser.get("/me.json", authorization="Bearer ann")
        assert [seen.get("authorization") for seen in site.seen] == ["Bearer ann", "Bearer bob", None, *asked_again]

    relayed(site, scenario)


def test_what_a_login_brought_is_for_who_logged_in() -> None:
    """A push that came with the answer to a POST answers nobody: the POST said who it was, whatever its cookies."""
    site = Site(fields=FRESH)

    async def login(request: object) -> h3push.Response:
        await request.push("/me.json")  # type: ignore[attr-defined]
        return h3push.Response(200, {"set-cookie": "id=ann"}, b"welcome")

    site.answers["/login"] = login

    async def scenario(relay: Relayed) -> None:
        await relay.browser.get("/login", method="POST", content=b"name=ann")
        await relay.browser.get("/me.json")

    relayed(site, scenario)
    assert site.asked == ["/login", "/me.json"]


def test_a_response_that_sets_cookies_is_not_stored() -> None:
    """Set-Cookie is for the one who asked."""
    site = Site(fields={**FRESH, "set-cookie": "id=1"})

    async def scenario(relay: Relayed) -> None:
        await relay.browser.get("/a.css")
        await relay.browser.get("/a.css")

    relayed(site, scenario)
    assert len(site.asked) == 2


# fields


def test_names_are_translated_both_ways() -> None:
    """Origin and Referer name the origin there; Location and cookies are the relay's here; Alt-Svc and HSTS stay out."""
    site = Site()
    site.answers["/old"] = lambda _request: h3push.Response(
        302,
        [
            ("location", "https://origin.example/new?x=1"), ("set-cookie", "a=1; Domain=origin.example; Secure; Path=/"),
            ("alt-svc", 'h3=":443"'), ("strict-transport-security", "max-age=1"),
            ("access-control-allow-origin", "https://origin.example"), ("connection-like", "kept"),
        ],
    )  # fmt: skip

    async def scenario(relay: Relayed) -> None:
        told = await relay.browser.get(
            "/old", origin="http://localhost:8080", referer="http://localhost:8080/page?y", connection="x-hop", x_hop="1",
            te="trailers", proxy_authorization="Basic eA==",
        )  # fmt: skip
        assert told.status == 302
        assert told.get("location") == "http://localhost:8080/new?x=1"
        assert told.get("set-cookie") == "a=1; Secure; Path=/"
        assert told.get("access-control-allow-origin") == "http://localhost:8080"
        assert told.get("alt-svc") is None
        assert told.get("strict-transport-security") is None
        assert told.get("via") == "3 h3push"

    relayed(site, scenario)
    (seen,) = site.seen
    assert seen["origin"] == "https://origin.example"
    assert seen["referer"] == "https://origin.example/page?y"
    assert seen["via"] == "1.1 h3push"
    assert {"x-hop", "connection", "te", "proxy-authorization", "host"}.isdisjoint(seen)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8080",
        "localhost:8081",
        "localhost.evil.example:8080",
        "10.0.0.1:8080",
        "[::2]:8080",
        "a b",
    ],
)
def test_another_host_is_refused(host: str) -> None:
    """DNS rebinding: a name that was made to lead here is not ours, and the sentence says so."""
    site = Site()

    async def scenario(relay: Relayed) -> None:
        told = await relay.browser.get("/page", host=host)
        assert told.status == 421
        assert b"this is a relay to origin.example, called localhost:8080" in told.content

    relayed(site, scenario)
    assert site.asked == []


@pytest.mark.parametrize(
    "host", ["localhost:8080", "127.0.0.1:8080", "[::1]:8080", "LOCALHOST:8080", "docs.localhost:8080"]
)
def test_its_own_names_are_taken(host: str) -> None:
    """The loopback's names and everything below `localhost`."""
    site = Site()

    async def scenario(relay: Relayed) -> None:
        assert (await relay.browser.get("/page", host=host)).status == 200

    relayed(site, scenario)


def test_a_request_in_a_circle_ends() -> None:
    """Via counts intermediaries; too many are a circle."""
    site = Site()

    async def scenario(relay: Relayed) -> None:
        assert (await relay.browser.get("/page", via=", ".join(["1.1 x"] * 30))).status == 508
        assert (await relay.browser.get("/page", method="CONNECT")).status == 501

    relayed(site, scenario)
    assert site.asked == []


# content of requests


def test_uploads_pass_in_pieces_and_whole() -> None:
    """What a program uploads arrives as it was, whether it comes in one piece or in many."""
    site = Site()

    async def echo(request: object) -> h3push.Response:
        return h3push.Response(200, {}, await request.read())  # type: ignore[attr-defined]

    site.answers["/echo"] = echo

    async def scenario(relay: Relayed) -> None:
        pieces = [bytes([number]) * 30_000 for number in range(20)]
        for content in (b"small", pieces):
            told = await relay.browser.get("/echo", method="POST", content=content)
            assert told.content == (content if isinstance(content, bytes) else b"".join(content))

    relayed(site, scenario)


# ends


def test_a_response_that_ends_early_is_not_passed_off_as_whole() -> None:
    """The gateway raises, so that the server in front ends the connection; nothing short is stored."""
    site = Site()

    async def broken(_request: object) -> h3push.Response:
        async def pieces():
            yield b"x" * 1000
            await asyncio.sleep(1)
            raise RuntimeError("the disk is gone")

        return h3push.Response(200, {**FRESH, "date": date()}, pieces())

    site.answers["/broken"] = broken

    async def scenario(relay: Relayed) -> None:
        with pytest.raises(CutShortError) as raised:
            await relay.browser.get("/broken")
        told = raised.value.told  # type: ignore[attr-defined]
        assert told.status == 200
        assert not told.is_whole
        assert len(relay.store) == 0

    relayed(site, scenario)


def test_a_browser_that_leaves_ends_the_request_at_the_origin() -> None:
    """Nobody reads on for a browser that has gone."""
    site = Site()
    ended = []

    async def endless(_request: object) -> h3push.Response:
        async def pieces():
            try:
                while True:
                    yield b"x" * 1000
                    await asyncio.sleep(0.5)
            finally:
                ended.append(True)

        return h3push.Response(200, {}, pieces())

    site.answers["/endless"] = endless

    async def scenario(relay: Relayed) -> None:
        told, gone = Told(), asyncio.Event()
        asking = asyncio.create_task(relay.browser.ask(told, "/endless", gone=gone))
        await asyncio.sleep(3)
        gone.set()
        await asking
        await asyncio.sleep(3)
        assert told.content
        assert ended == [True]
        assert relay.loads.under_way == 0

    relayed(site, scenario)


def test_a_dead_connection_is_replaced() -> None:
    """A connection whose link is gone is noticed while nobody asks, and the next request finds another one."""
    site = Site()

    async def scenario(relay: Relayed) -> None:
        loop = asyncio.get_running_loop()
        await relay.browser.get("/page")
        broken = relay.drivers[0]
        for link in (broken.up, broken.down):
            link.settings = h3push.testing.LinkSettings(loss=1.0)
        await asyncio.sleep(20)
        assert len(relay.drivers) == 2
        began = loop.time()
        assert (await relay.browser.get("/page")).status == 200
        assert loop.time() - began < 1.15 * ROUND_TRIP
        assert relay.upkeep.opened == 2

    relayed(site, scenario)


def test_a_connection_that_ends_at_any_moment_is_replaced() -> None:
    """Whether it ends before the first look at it or later: there is a new one, and the status tells of it without an error."""
    site = Site()

    async def scenario(relay: Relayed) -> None:
        status = Status(
            relay.pool, relay.store, relay.loads, relay.settings, lambda: [("http://localhost:8080", relay.upkeep)]
        )
        for number in range(2, 6):
            assert relay.upkeep.connection is not None
            await relay.upkeep.connection.close()
            (told,) = status.facts()["origins"]
            assert told == {"origin": "https://origin.example", "here": "http://localhost:8080", "connected": False,
                            "connections_so_far": number - 1, "error": ""}  # fmt: skip
            await asyncio.sleep(5)
            (told,) = status.facts()["origins"]
            assert (told["connected"], told["connections_so_far"]) == (True, number)
        closed = relay.upkeep.connection
        assert closed is not None
        await closed.close()
        await asyncio.wait_for(relay.upkeep._watch(closed), 5)

    relayed(site, scenario)


def test_a_warm_connection_stays_open_for_hours() -> None:
    """PINGs keep what was used once, longer than any idle time-out."""
    site = Site()

    async def scenario(relay: Relayed) -> None:
        await relay.browser.get("/page")
        await asyncio.sleep(2 * 3600)
        assert relay.upkeep.opened == 1
        assert (await relay.browser.get("/page")).began < 1.15 * ROUND_TRIP

    relayed(site, scenario)


def test_the_status_counts_are_bounded() -> None:
    """Rows beyond the bound are counted, not kept; so are loads."""
    site = Site()

    async def scenario(relay: Relayed) -> None:
        for number in range(5):
            await relay.browser.get(f"/page{number}", sec_fetch_dest="document")
            for row in range(5):
                await relay.browser.get(f"/{row}.css")
        assert len(relay.loads.last) == 2
        assert [len(load.rows) for load in relay.loads.last] == [3, 3]
        assert [load.more for load in relay.loads.last] == [3, 3]

    relayed(site, scenario, settings=RelaySettings(loads=2, rows=3))
