"""`http.response.push`: the nine questions that ASGI leaves open, and our answers."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

import h3push
from h3push.delivery.decision import Way
from h3push.h3.push.rules import PushRefusal

from .harness import World, hints, in_world, now, respond
from .harness import visit as visit_page


def site(
    *pushes: Any, before: bool = True, page: str = "/", also: Callable[[Any], None] | None = None
) -> Callable[[Any, Any, Any], Any]:
    """An application that pushes with its page and answers everything else with its path."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if also is not None:
            also(scope)
        if scope["path"] != page:
            await respond(send, scope["path"].encode(), headers=[(b"cache-control", b"max-age=60")])
            return
        events = [
            one if isinstance(one, dict) else {"type": "http.response.push", "path": one, "headers": []}
            for one in pushes
        ]
        for event in events if before else []:
            await send(event)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for event in [] if before else events:
            await send(event)
        await send({"type": "http.response.body", "body": b"page"})

    return app


visit = partial(visit_page, max_pushes=100)


@pytest.mark.parametrize("before", [True, False], ids=["before start", "after start"])
def test_question_1_before_or_after_start(before: bool) -> None:
    """Both; the order never raises."""
    assert visit(site("/a.css", "/b.js", before=before))[0] == ["/a.css", "/b.js"]


def test_question_2_a_query_string() -> None:
    """`path` may have one; the promised request's scope has it apart."""
    seen = {}

    def look(scope: Any) -> None:
        seen[scope["path"]] = scope["query_string"]

    assert visit(site("/style.css?v=1&w=%20", also=look))[0] == ["/style.css?v=1&w=%20"]
    assert seen["/style.css"] == b"v=1&w=%20"


@pytest.mark.parametrize(
    ("path", "wire"),
    [
        ("/a b.css", "/a%20b.css"),
        ("/\xe9.css", "/%C3%A9.css"),
        ("/%C3%A9.css", "/%C3%A9.css"),
        ("/100%.css", "/100%25.css"),
        ("/\u65e5\u672c.js?q=\xfc", "/%E6%97%A5%E6%9C%AC.js?q=%C3%BC"),
        ("/a/../b.css", "/b.css"),
        ("/icons.svg#home", "/icons.svg"),
    ],
)
def test_question_3_decoded_or_encoded(path: str, wire: str) -> None:
    """Characters are percent-encoded as UTF-8, what is encoded stays, and the result is what a client would ask for."""
    assert visit(site(path))[0] == [wire]


@pytest.mark.parametrize(
    ("path", "refusal"),
    [
        ("rel.css", PushRefusal.RELATIVE),
        ("?v=1", PushRefusal.RELATIVE),
        ("//evil.example/x.css", PushRefusal.AUTHORITY),
        ("/\\evil.example/x.css", PushRefusal.AUTHORITY),
        ("https://evil.example/x.css", PushRefusal.AUTHORITY),
        ("http://origin.example/x.css", PushRefusal.AUTHORITY),
        ("javascript:alert(1)", PushRefusal.AUTHORITY),
        ("/x\r\nset-cookie: a=b", PushRefusal.MALFORMED),
        ("/x\x00", PushRefusal.MALFORMED),
        ("/\ud800", PushRefusal.MALFORMED),
        ("", PushRefusal.MALFORMED),
        (None, PushRefusal.MALFORMED),
        (b"/bytes.css", PushRefusal.MALFORMED),
    ],
)
def test_question_4_relative_foreign_and_broken_paths(path: Any, refusal: PushRefusal) -> None:
    """Refused without raising, counted, and the page is whole."""
    paths, response, counters = visit(site(path, "/good.css"))
    assert paths == ["/good.css"]
    assert response.status == 200
    assert counters.delivery.refusals == {refusal: 1}


def test_a_whole_url_of_the_same_origin_is_as_good_as_its_path() -> None:
    """The origin is the page's, so nothing is in doubt."""
    assert visit(site("https://origin.example/x.css"))[0] == ["/x.css"]


def test_question_5_the_promised_request_has_request_fields_only() -> None:
    """accept, accept-encoding, accept-language and user-agent of the page's request; no cookie, no secret, no response field."""
    seen = {}

    def look(scope: Any) -> None:
        seen[scope["path"]] = scope["headers"]

    sent = {
        "accept": "text/html",
        "accept-encoding": "br",
        "accept-language": "fr",
        "user-agent": "test",
        "cookie": "session=1",
        "authorization": "Bearer x",
        "referer": "/other",
        "x-own": "1",
    }
    visit(site("/a.css", also=look), headers=sent)
    assert dict(seen["/a.css"]) == {
        b"host": b"origin.example",
        b"accept": b"text/html",
        b"accept-encoding": b"br",
        b"accept-language": b"fr",
        b"user-agent": b"test",
    }


def test_the_event_s_own_fields_replace_and_add() -> None:
    """What the application gives counts, cookies too; pseudo-fields and fields of the connection are left out."""
    seen = {}

    def look(scope: Any) -> None:
        seen[scope["path"]] = scope["headers"]

    given = [
        (b"Accept", b"text/css"),
        (b"cookie", b"session=1"),
        (b":path", b"/evil"),
        (b"connection", b"close"),
        (b"content-length", b"5"),
    ]
    event = {"type": "http.response.push", "path": "/a.css", "headers": given}
    assert visit(site(event, also=look), headers={"accept": "text/html", "user-agent": "test"})[0] == ["/a.css"]
    assert dict(seen["/a.css"]) == {
        b"host": b"origin.example",
        b"user-agent": b"test",
        b"accept": b"text/css",
        b"cookie": b"session=1",
    }


@pytest.mark.parametrize("field", [(b"x", b"a\r\nb: c"), (b"x\r\n", b"a"), (b"x y", b"a")])
def test_fields_that_would_break_out_are_refused(field: tuple[bytes, bytes]) -> None:
    """Field injection: nothing of such a promise is sent; the page is."""
    event = {"type": "http.response.push", "path": "/a.css", "headers": [field]}
    paths, response, counters = visit(site(event))
    assert (paths, response.status) == ([], 200)
    assert counters.delivery.refusals == {PushRefusal.MALFORMED: 1}


def test_question_6_a_pushed_page_pushes_on_the_original_request_stream() -> None:
    """RFC 9114 section 4.6: promises travel on request streams, and the only one there is is that of the request sent."""
    offered = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        offered[scope["path"]] = "http.response.push" in scope["extensions"]
        if scope["path"] == "/":
            await send({"type": "http.response.push", "path": "/frame.html", "headers": []})
            await asyncio.sleep(0.5)
        if scope["path"] == "/frame.html":
            await send({"type": "http.response.push", "path": "/frame.css", "headers": []})
        await respond(send)

    paths, _, counters = visit(app)
    assert paths == ["/frame.html", "/frame.css"]
    assert offered == {"/": True, "/frame.html": True, "/frame.css": True}
    assert (counters.promised, counters.fulfilled) == (2, 2)


def test_a_pushed_page_that_comes_too_late_to_push_does_without() -> None:
    """When the original response has ended nothing can carry the promise: counted, and the pushed page is whole."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/":
            await send({"type": "http.response.push", "path": "/frame.html", "headers": []})
        if scope["path"] == "/frame.html":
            await asyncio.sleep(1)
            await send({"type": "http.response.push", "path": "/frame.css", "headers": []})
        await respond(send)

    paths, _, counters = visit(app)
    assert paths == ["/frame.html"]
    assert counters.delivery.refusals == {PushRefusal.RESPONSE_ENDED: 1}


def test_question_7_no_credit_is_no_error_and_is_counted() -> None:
    """Three allowed of fourteen: three come, eleven are counted, and the client is at least told of them."""
    paths, response, counters = visit(site(*(f"/{n}.css" for n in range(14))), max_pushes=3)
    assert paths == ["/0.css", "/1.css", "/2.css"]
    assert counters.refused_for_credit == 11
    assert counters.promised == 3
    assert hints(response) == [f"</{n}.css>; rel=preload; as=style" for n in range(3, 14)]


def test_the_event_is_offered_only_where_the_client_agreed() -> None:
    """No MAX_PUSH_ID, no extension; an application that sends the event all the same reaches the client as 103."""
    offered = []

    def look(scope: Any) -> None:
        offered.append("http.response.push" in scope["extensions"])

    paths, response, counters = visit(site("/a.css", also=look), max_pushes=None)
    assert offered == [False]
    assert paths == []
    assert hints(response) == ["</a.css>; rel=preload; as=style"]
    assert counters.delivery.ways == {Way.EARLY_HINT: 1}


def test_question_8_an_application_knows_a_push() -> None:
    """`extensions["h3push"]` has the push ID and the path of the page; for requests that were sent both are `None`."""
    seen = {}

    def look(scope: Any) -> None:
        marker = scope["extensions"]["h3push"]
        seen[scope["path"]] = (marker["push_id"], marker["initiator"])

    visit(site("/a.css", "/b.css", also=look))
    assert seen == {"/": (None, None), "/a.css": (0, "/"), "/b.css": (1, "/")}


def test_question_9_priority_method_and_duplicates() -> None:
    """`priority`, `method` and `as` are optional keys that other servers ignore; a duplicate is not promised twice."""
    methods = {}

    def look(scope: Any) -> None:
        methods[scope["path"]] = scope["method"]

    events = [
        {"type": "http.response.push", "path": "/low.css", "headers": [], "priority": "u=7"},
        {"type": "http.response.push", "path": "/head", "headers": [], "method": "HEAD"},
        {"type": "http.response.push", "path": "/low.css", "headers": []},
        {"type": "http.response.push", "path": "/post", "headers": [], "method": "POST"},
    ]
    paths, _, counters = visit(site(*events, also=look))
    assert paths == ["/low.css", "/head"]
    assert methods["/head"] == "HEAD"
    assert counters.delivery.refusals == {PushRefusal.HAS_IT: 1, PushRefusal.METHOD: 1}


def test_a_cancelled_push_is_a_disconnect_in_its_application() -> None:
    """CANCEL_PUSH before the response began: the promised request's `receive` says `http.disconnect`."""
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/":
            await send({"type": "http.response.push", "path": "/slow.css", "headers": []})
            await respond(send)
            return
        await receive()
        seen.append(((await receive())["type"], round(now(), 1)))
        try:
            await respond(send)
        except OSError:
            seen.append("gone")

    async def scenario(world: World) -> Any:
        response = await world.client.get("/")
        async for push in response.pushes():
            push.cancel()
        await asyncio.sleep(1)
        return world.server.counters

    counters = in_world(app, scenario, max_pushes=10)
    assert [one[0] if isinstance(one, tuple) else one for one in seen] == ["http.disconnect", "gone"]
    assert (counters.promised, counters.cancelled, counters.fulfilled) == (1, 1, 0)


def test_a_promise_that_names_a_validator_is_not_made() -> None:
    """Its answer would be 304, of no use to who does not have the thing."""
    event = {"type": "http.response.push", "path": "/a.css", "headers": [(b"if-none-match", b'"1"')]}
    paths, _, counters = visit(site(event))
    assert paths == []
    assert counters.delivery.refusals == {PushRefusal.VALIDATOR: 1}


def test_pushing_may_be_turned_off_for_a_server() -> None:
    """`H3Config.enable_push`: every client gets hints then."""
    paths, response, _ = visit(site("/a.css"), server_config=h3push.H3Config(enable_push=False))
    assert paths == []
    assert hints(response) == ["</a.css>; rel=preload; as=style"]
