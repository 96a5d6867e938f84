"""One plan from many sources, delivered to each client its own way."""

import asyncio
import json
from typing import Any

import pytest

import h3push
from h3push.delivery.decision import Way
from h3push.h3.push.rules import PushRefusal
from h3push.plans.manifest import parse_manifest

from .harness import ROUND_TRIP, World, hints, in_world, now, pushed_paths, respond, visit

MANIFEST = parse_manifest(
    b'{"/": {"/a.css": {"type": "style"}, "/b.js": {"type": "script"}, "/f.woff2": {"type": "font"}}}'
)
HINTS = [
    "</a.css>; rel=preload; as=style",
    "</b.js>; rel=preload; as=script",
    "</f.woff2>; rel=preload; as=font; crossorigin",
]


def thinking(seconds: float = 0.0, *, page: Any = (), resource: Any = (), before: Any = ()) -> Any:
    """An application whose page sends events, thinks, and answers with fields; resources come at once."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] != "/":
            await respond(send, scope["path"].encode(), headers=resource)
            return
        for event in before:
            await send(dict(event))
        await asyncio.sleep(seconds)
        await respond(send, b"page", headers=page)

    return app


# sources


def test_a_manifest_is_pushed_before_the_application_runs() -> None:
    """Known at request time: the pushed responses are whole before the page's thinking is over."""

    async def scenario(world: World) -> tuple[float, float]:
        asking = asyncio.ensure_future(world.client.get("/"))
        async for push in world.client.pushes():
            await (await push.response()).read()
            if push.request.path == "/f.woff2":
                break
        pushed_at = now()
        response = await asking
        await response.read()
        return pushed_at, now()

    pushed_at, page_at = in_world(thinking(1.0), scenario, max_pushes=10, manifest=MANIFEST)
    assert pushed_at < page_at - 0.9


def test_a_manifest_is_one_103_before_the_application_answers() -> None:
    """A client that did not agree: all hints in one interim response, and again in the final one."""
    paths, response, counters = visit(thinking(1.0), manifest=MANIFEST)
    assert paths == []
    assert len(response.informational) == 1
    assert hints(response) == HINTS
    assert response.headers.get_all("link") == HINTS
    assert counters.delivery.ways == {Way.EARLY_HINT: 3}
    assert counters.promised == 0


LINKS = (
    b"</a.css>; rel=preload; as=style, </b.js>; rel=preload; as=script; nopush, <https://cdn.example>; rel=preconnect"
)


def test_link_fields_of_a_response_are_pushed_but_not_with_nopush() -> None:
    """The rules of Apache, h2o and Fastly; the field itself stays in the response."""
    paths, response, _ = visit(thinking(page=[(b"link", LINKS)]), max_pushes=10)
    assert paths == ["/a.css"]
    assert response.headers["link"] == LINKS.decode()


def test_link_fields_of_a_response_are_enough_for_who_takes_no_pushes() -> None:
    """No 103 together with a response that says the same."""
    _, response, _ = visit(thinking(page=[(b"link", LINKS)]))
    assert response.informational == []
    assert response.headers.get_all("link") == [LINKS.decode()]


EARLY = [
    {"type": "http.response.early_hint", "links": [LINKS]},
    {"type": "http.response.informational", "status": 103, "headers": [(b"Link", LINKS)]},
]


@pytest.mark.parametrize("event", EARLY, ids=lambda event: event["type"])
def test_early_hints_of_the_application_become_pushes_where_agreed(event: Any) -> None:
    """What may be pushed is, at once; what is for the client alone still goes out as 103."""
    paths, response, _ = visit(thinking(1.0, before=[event]), max_pushes=10)
    assert paths == ["/a.css"]
    assert hints(response) == ["</b.js>; rel=preload; as=script; nopush", "<https://cdn.example>; rel=preconnect"]


@pytest.mark.parametrize("event", EARLY, ids=lambda event: event["type"])
def test_early_hints_of_the_application_are_hints_elsewhere(event: Any) -> None:
    """One 103 with what the application wrote."""
    _, response, _ = visit(thinking(1.0, before=[event]))
    assert [status for status, _ in response.informational] == [103]
    assert sorted(hints(response)) == sorted(one.strip() for one in LINKS.decode().split(", "))


@pytest.mark.parametrize("event", EARLY, ids=lambda event: event["type"])
@pytest.mark.parametrize("max_pushes", [None, 10])
def test_early_hints_after_the_start_do_not_raise(event: Any, max_pushes: int | None) -> None:
    """The order was turned round in ASGI once, so both are taken: too late for a hint, in time for a push."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] != "/":
            await respond(send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send(event)
        await send({"type": "http.response.body", "body": b"page"})

    paths, response, _ = visit(app, max_pushes=max_pushes)
    assert paths == (["/a.css"] if max_pushes else [])
    assert response.informational == []


def test_other_interim_responses_go_out_as_they_are() -> None:
    """102 with a field of its own; 103 with fields besides Link."""
    events = [
        {"type": "http.response.informational", "status": 102, "headers": [(b"x-progress", b"1")]},
        {"type": "http.response.informational", "status": 103, "headers": [(b"x-other", b"2")]},
    ]
    _, response, _ = visit(thinking(0.1, before=events))
    assert [(status, dict(fields)) for status, fields in response.informational] == [
        (102, {"x-progress": "1"}),
        (103, {"x-other": "2"}),
    ]


def test_every_source_at_once_is_one_set_of_pushes() -> None:
    """What several sources name is promised once."""
    event = {"type": "http.response.push", "path": "/b.js", "headers": []}
    app = thinking(0.1, before=[event, EARLY[0]], page=[(b"link", b"</c.css>; rel=preload")])
    paths, _, counters = visit(app, max_pushes=10, manifest=MANIFEST)
    assert paths == ["/a.css", "/b.js", "/f.woff2", "/c.css"]
    assert counters.delivery.refusals == {PushRefusal.HAS_IT: 2}


@pytest.mark.parametrize("wrong", [b"</a>; rel=preload\r\nset-cookie: a=b", b"</a\x00>; rel=preload"])
def test_link_values_that_would_break_out_are_not_sent(wrong: bytes) -> None:
    """Field injection: dropped and counted; the rest of the hints goes out."""
    event = {"type": "http.response.early_hint", "links": [wrong, b"</b.css>; rel=preload; as=style"]}
    _, response, counters = visit(thinking(0.1, before=[event]))
    assert hints(response) == ["</b.css>; rel=preload; as=style"]
    assert counters.delivery.fields_refused == 1


def test_nothing_is_pushed_with_what_is_not_the_page() -> None:
    """A redirect and "not modified" have Link fields too; their client needs none of it."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await respond(send, status=302, headers=[(b"link", LINKS), (b"location", b"/x")])

    assert visit(app, max_pushes=10)[0] == []


def test_a_plan_that_is_known_with_the_answer_only_is_a_link_field() -> None:
    """The client asks whether its copy of the page is good; it is not, and takes no pushes: no 103 just before the 200."""
    _, response, counters = visit(thinking(0.1), headers={"if-none-match": '"old"'}, manifest=MANIFEST)
    assert response.informational == []
    assert response.headers.get_all("link") == HINTS
    assert counters.delivery.ways == {Way.LINK: 3}


def test_hints_never_cost_a_client_its_page() -> None:
    """A client with room for small header sections only gets the page without them."""
    many = parse_manifest(json.dumps({"/": {f"/{'x' * 50}{n}.css": {} for n in range(20)}}).encode())
    config = h3push.H3Config(max_field_section_size=600)
    _, response, counters = visit(thinking(0.1), manifest=many, client_config=config)
    assert response.status == 200
    assert response.informational == []
    assert "link" not in response.headers
    assert counters.delivery.fields_refused == 1


# the helper


def test_the_helper_pushes_hints_or_says_why_not() -> None:
    """`h3push.push` tells what became of each path."""
    said = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/":
            said.append([(one.way, one.refusal) for one in await h3push.push(scope, "/a.css", "/b.js", "rel")])
            await asyncio.sleep(0.1)
        await respond(send)

    assert visit(app, max_pushes=10)[0] == ["/a.css", "/b.js"]
    response = visit(app)[1]
    assert len(response.informational) == 1
    assert said == [
        [(Way.PUSH, None), (Way.PUSH, None), (Way.NONE, PushRefusal.RELATIVE)],
        [
            (Way.EARLY_HINT, PushRefusal.NOT_ALLOWED_BY_CLIENT),
            (Way.EARLY_HINT, PushRefusal.NOT_ALLOWED_BY_CLIENT),
            (Way.NONE, PushRefusal.RELATIVE),
        ],
    ]


def test_several_calls_in_one_turn_share_one_103() -> None:
    """Chromium acts on the first 103 of a response only."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await h3push.push(scope, "/a.css")
        await h3push.push(scope, "/b.js")
        await asyncio.sleep(0.1)
        await respond(send)

    response = visit(app)[1]
    assert len(response.informational) == 1
    assert hints(response) == HINTS[:2]


def test_the_helper_does_nothing_on_other_servers() -> None:
    """An application that uses it runs everywhere; something that is no request at all is an error of the caller."""
    scope = {"type": "http", "extensions": {}}
    assert [one.way for one in h3push.push_nowait(scope, "/a.css")] == [Way.NONE]
    assert [one.way for one in h3push.push_nowait({"type": "http"}, "/a.css")] == [Way.NONE]
    with pytest.raises(TypeError, match="scope"):
        h3push.push_nowait(object(), "/a.css")  # type: ignore[arg-type]


def test_cookies_and_authorization_only_when_the_application_says_so() -> None:
    """`credentials=True` copies both from the page's request."""
    seen = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen[scope["path"]] = dict(scope["headers"])
        if scope["path"] == "/":
            await h3push.push(scope, "/public.css")
            await h3push.push(scope, "/private.json", credentials=True)
        await respond(send)

    visit(app, max_pushes=10, headers={"cookie": "s=1", "authorization": "Bearer x"})
    assert b"cookie" not in seen["/public.css"]
    assert seen["/private.json"][b"cookie"] == b"s=1"
    assert seen["/private.json"][b"authorization"] == b"Bearer x"


# memory


def test_the_same_resource_is_not_pushed_twice_while_it_is_fresh() -> None:
    """Fresh for 60 s: the second page of the connection pushes nothing; a minute later it does."""

    async def scenario(world: World) -> list[list[str]]:
        pushed = []
        for pause in (0.0, 30.0, 31.0):
            await asyncio.sleep(pause)
            pushed.append(await pushed_paths(await world.client.get("/")))
        return pushed

    app = thinking(resource=[(b"cache-control", b"max-age=60")])
    settings = h3push.ServerSettings(idle_timeout=1_000)
    clients = h3push.ClientSettings(idle_timeout=1_000)
    pushed = in_world(
        app, scenario, max_pushes=10, manifest=MANIFEST, server_settings=settings, client_settings=clients
    )
    everything = ["/a.css", "/b.js", "/f.woff2"]
    assert pushed == [everything, [], everything]


@pytest.mark.parametrize(
    ("fields", "again"),
    [([(b"cache-control", b"no-store")], True), ([(b"cache-control", b"max-age=0")], True), ([], False)],
    ids=["no-store", "max-age=0", "says nothing"],
)
def test_what_is_not_fresh_may_be_pushed_again(fields: Any, again: bool) -> None:
    """A response that may not be reused is of use again; one that says nothing is remembered: no push is the safe mistake."""

    async def scenario(world: World) -> list[str]:
        await pushed_paths(await world.client.get("/"))
        return await pushed_paths(await world.client.get("/"))

    pushed = in_world(thinking(resource=fields), scenario, max_pushes=10, manifest=MANIFEST)
    assert bool(pushed) is again


def test_what_was_served_is_not_pushed() -> None:
    """The client asked for a style sheet itself, then for the page."""

    async def scenario(world: World) -> list[str]:
        await (await world.client.get("/a.css")).read()
        return await pushed_paths(await world.client.get("/"))

    assert in_world(thinking(), scenario, max_pushes=10, manifest=MANIFEST) == ["/b.js", "/f.woff2"]


def test_what_the_client_named_a_validator_for_is_not_pushed() -> None:
    """It has a copy; even stale, a 304 is cheaper than a push."""

    async def scenario(world: World) -> list[str]:
        response = await world.client.get("/a.css", headers={"if-none-match": '"1"'})
        await response.read()
        return await pushed_paths(await world.client.get("/"))

    app = thinking(resource=[(b"cache-control", b"no-store")])
    assert in_world(app, scenario, max_pushes=10, manifest=MANIFEST) == ["/b.js", "/f.woff2"]


@pytest.mark.parametrize(("status", "expected"), [(304, []), (200, ["/a.css", "/b.js", "/f.woff2"])])
def test_a_conditional_page_request_waits_for_its_answer(status: int, expected: list[str]) -> None:
    """Who has the page most likely has the rest: on 304 nothing is pushed, on 200 everything, with the header section."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await respond(send, status=status if scope["path"] == "/" else 200)

    assert visit(app, max_pushes=10, headers={"if-none-match": '"1"'}, manifest=MANIFEST)[0] == expected


def test_several_plans_wait_together() -> None:
    """A conditional request for a page that a manifest and another planner know."""
    more = parse_manifest(b'{"/": {"/c.css": {}}}').plan("/")
    app, headers = thinking(), {"if-none-match": '"old"'}
    paths = visit(app, max_pushes=10, headers=headers, manifest=MANIFEST, planners=[lambda _: more])[0]
    assert paths == ["/c.css", "/a.css", "/b.js", "/f.woff2"]


def test_a_push_that_failed_here_may_be_made_again(caplog: pytest.LogCaptureFixture) -> None:
    """The application raised on the promised request: the client got nothing."""
    runs = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/a.css":
            runs.append(scope["extensions"]["h3push"]["push_id"])
            raise ValueError
        await h3push.push(scope, "/a.css")
        await respond(send)

    async def scenario(world: World) -> None:
        for _ in range(2):
            await (await world.client.get("/")).read()
            await asyncio.sleep(1)

    in_world(app, scenario, max_pushes=10)
    assert runs == [0, 1]


def test_a_chain_of_pushes_does_not_lead_back_into_itself() -> None:
    """Two style sheets that name each other, neither reusable: each is pushed once for one page."""
    other = {"/": "/a.css", "/a.css": "/b.css", "/b.css": "/a.css"}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        link = f"<{other[scope['path']]}>; rel=preload, </>; rel=preload".encode()
        await h3push.push(scope, other[scope["path"]])
        await asyncio.sleep(0.1 if scope["path"] == "/" else 0)
        await respond(send, headers=[(b"cache-control", b"no-store"), (b"link", link)])

    assert visit(app, max_pushes=10)[0] == ["/a.css", "/b.css"]


@pytest.mark.parametrize(
    ("field", "refusal"),
    [
        ({"save-data": "on"}, PushRefusal.SAVE_DATA),
        ({"accept-push-policy": "none"}, PushRefusal.PUSH_POLICY),
        ({"accept-push-policy": '"none"'}, PushRefusal.PUSH_POLICY),
    ],
)
def test_save_data_and_push_policy_are_obeyed(field: dict[str, str], refusal: PushRefusal) -> None:
    """No push, and the event is not offered; a hint leaves the choice with the client."""
    offered = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        offered.append("http.response.push" in scope["extensions"])
        await respond(send)

    paths, response, counters = visit(app, max_pushes=10, headers=field, manifest=MANIFEST)
    assert paths == []
    assert offered == [False]
    assert hints(response) == HINTS
    assert counters.delivery.refusals == {refusal: 3}


# time


def load_time(**options: Any) -> float:
    """Seconds from asking for the page until it and its three resources are there, as a client that heeds hints loads them."""

    async def scenario(world: World) -> float:
        wanted = {"/a.css", "/b.js", "/f.woff2"}
        began = now()
        response = await world.client.get("/")
        got = set(await pushed_paths(response))
        await asyncio.gather(*(fetch(world.client, path) for path in wanted - got))
        return now() - began

    return in_world(thinking(0.2), scenario, **options)


async def fetch(client: h3push.ClientConnection, path: str) -> None:
    await (await client.get(path)).read()


def test_a_push_saves_the_round_trip() -> None:
    """A client that takes pushes has everything with the page; one that ignores hints needs one round trip more."""
    pushed = load_time(max_pushes=10, manifest=MANIFEST)
    asked = load_time()
    assert asked - pushed >= ROUND_TRIP * 0.99
