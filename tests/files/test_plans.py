"""A directory that pushes: the whole stack, in virtual time."""

import asyncio
import os

import pytest

from h3push.client.response import ReceivedState
from h3push.files.directory import Directory
from h3push.files.handler import DirectoryHandler
from h3push.plans.cache import PlanCacheSettings
from h3push.plans.page import PageScanSettings
from h3push.runtime.settings import ServerSettings
from h3push.testing import LinkSettings, in_world, make_identity

HOST = "site.test"
LINK = LinkSettings(delay=0.05, rate=10_000_000, queue=125_000)


@pytest.fixture
def site(tmp_path):
    def write(files):
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return tmp_path

    return write


def visit(root, scenario, *, max_pushes=100, server_settings=None, link=LINK, **options):
    """Run `scenario(client, handler)` against a server of `root`; its result."""
    handler = DirectoryHandler(Directory(root), **options)
    return in_world(
        handler,
        lambda world: scenario(world.client, handler),
        host=HOST,
        identity=make_identity([HOST, "made.up"]),
        link=link,
        max_pushes=max_pushes,
        server_settings=server_settings,
    )


async def get(client, path, headers=None):
    """A response with its content and its pushes: (path, status, content) in the order of the promises."""
    response = await client.get(path, headers=headers)
    content = await response.read()
    pushes = [push async for push in response.pushes()]
    bodies = await asyncio.gather(*(read(push) for push in pushes))
    return response, content, [(push.request.path, *body) for push, body in zip(pushes, bodies, strict=True)]


async def read(push):
    response = await push.response()
    return response.status, await response.read()


def test_a_page_brings_what_it_needs_in_the_order_of_need(site):
    files = {
        "index.html": "<link rel=stylesheet href=a.css><script src=a.js defer></script><img src=a.png><p>x",
        "a.css": "@import 'b.css'; p { font-family: F }",
        "b.css": "@font-face { font-family: F; src: url(f.woff2) }",
        "a.js": "1",
        "a.png": b"\x89PNG",
        "f.woff2": b"font",
    }
    root = site(files)

    async def scenario(client, handler):
        return *await get(client, "/"), handler.totals

    response, content, pushes, totals = visit(root, scenario)
    assert response.status == 200
    assert content == files["index.html"].encode()
    assert [path for path, _, _ in pushes] == ["/a.css", "/b.css", "/f.woff2", "/a.js", "/a.png"]
    for path, status, body in pushes:
        assert status == 200
        assert body == (root / path[1:]).read_bytes()
    assert (totals.promised, totals.refused, totals.missing) == (5, 0, 0)


def test_names_with_spaces_percent_signs_letters_and_question_marks_are_pushed_right(site):
    names = {
        "a b.png": "/a%20b.png",
        "100%.png": "/100%25.png",
        "grün.png": "/gr%C3%BCn.png",
        "what?.png": "/what%3F.png",
    }
    links = {"a b.png": "a b.png", "100%.png": "100%25.png", "grün.png": "grün.png", "what?.png": "what%3F.png"}
    page = "<meta charset=utf-8>" + "".join(f'<img src="{links[name]}">' for name in names)
    root = site(
        {"index.html": page + "<img src=empty><img src=one>", "empty": b"", "one": b"1"}
        | {name: name for name in names}
    )

    async def scenario(client, _):
        return await get(client, "/")

    _, _, pushes = visit(root, scenario)
    expected = [(path, 200, name.encode()) for name, path in names.items()]
    assert pushes == [*expected, ("/empty", 200, b""), ("/one", 200, b"1")]


def test_promises_come_before_the_page_and_pushed_bytes_after_it(site):
    page = "<link rel=stylesheet href=a.css><img src=a.png>" + "<p>word</p>" * 10_000
    root = site({"index.html": page, "a.css": "a{}" * 5_000, "a.png": os.urandom(30_000)})

    async def scenario(client, _):
        response = await client.get("/")
        promised = list(client.session.pushes.values())
        await response.read()
        answers = [await push.response() for push in promised]
        for answer in answers:
            await answer.read()
        return response.timing, [push.promised_at for push in promised], [answer.timing for answer in answers]

    # A queue that never overflows: while a lost packet of the page waits to be noticed, pushes rightly use the idle link.
    page_timing, promised_at, pushed = visit(root, scenario, link=LinkSettings(delay=0.05, rate=1_000_000))
    assert len(promised_at) == 2
    assert max(promised_at) <= page_timing.first_byte
    # The last packet of the page has room for the first push, so they may end and begin in the same instant.
    assert all(timing.first_byte >= page_timing.ended for timing in pushed)
    assert pushed[0].ended <= pushed[1].ended


def test_each_thing_is_given_once_on_a_connection(site):
    root = site(
        {
            "index.html": "<link rel=stylesheet href=a.css><img src=a.png>",
            "other.html": "<link rel=stylesheet href=a.css><img src=b.png><img src=c.png>",
            "a.css": "",
            "a.png": "",
            "b.png": "",
            "c.png": "",
        }
    )

    async def scenario(client, handler):
        pushed = [await get(client, path) for path in ("/b.png", "/", "/", "/other.html")]
        return [[path for path, _, _ in pushes] for _, _, pushes in pushed], handler.totals

    paths, totals = visit(root, scenario)
    assert paths == [[], ["/a.css", "/a.png"], [], ["/c.png"]]
    assert (totals.promised, totals.given_before) == (3, 4)


def test_another_connection_is_another_ledger(site):
    root = site({"index.html": "<img src=a.png>", "a.png": ""})

    async def scenario(client, handler):
        return len((await get(client, "/"))[2]), handler

    first, _ = visit(root, scenario)
    second, _ = visit(root, scenario)
    assert (first, second) == (1, 1)


def test_only_the_authority_of_the_first_request_gets_pushes(site):
    root = site({"index.html": f"<img src=a.png><img src=https://{HOST}/b.png>", "a.png": "", "b.png": ""})

    async def scenario(client, handler):
        first = await get(client, "/a.png")
        other = await client.request("GET", "/", authority="made.up")
        await other.read()
        _, _, pushes = await get(client, "/")
        return first[0].status, other.status, handler.plans.scans, [path for path, _, _ in pushes]

    assert visit(root, scenario) == (200, 200, 1, ["/b.png"])


@pytest.mark.parametrize(
    ("method", "headers"),
    [("HEAD", {}), ("GET", {"range": "bytes=0-3"}), ("GET", {"if-modified-since": "Fri, 01 Jan 2100 00:00:00 GMT"})],
)
def test_only_a_whole_page_brings_pushes(site, method, headers):
    root = site({"index.html": "<img src=a.png>", "a.png": ""})

    async def scenario(client, handler):
        response = await client.request(method, "/", headers=headers)
        await response.read()
        return [push async for push in response.pushes()], handler.totals.promised

    assert visit(root, scenario) == ([], 0)


def test_a_page_that_changed_since_the_client_cached_it_brings_pushes(site):
    root = site({"index.html": "<img src=a.png>", "a.png": ""})

    async def scenario(client, _):
        response, _, pushes = await get(client, "/", {"if-none-match": '"older"'})
        return response.status, len(pushes)

    assert visit(root, scenario) == (200, 1)


def test_a_client_that_takes_no_pushes_gets_hints(site):
    root = site({"index.html": "<img src=a.png>", "a.png": ""})

    async def scenario(client, handler):
        response, _, pushes = await get(client, "/")
        hints = [value for _, fields in response.informational for value in fields.get_all("link")]
        return response.status, pushes, hints, handler.totals.promised, handler.totals.hinted

    assert visit(root, scenario, max_pushes=None) == (200, [], ["</a.png>; rel=preload; as=image"], 0, 1)


def test_what_a_page_names_and_is_not_there_is_shown_once(site, caplog):
    """A counter that nobody prints helps nobody: each missing file is named, once, with who names it."""
    root = site({"index.html": "<img src=gone.png><link rel=stylesheet href=a.css>", "a.css": "@import 'b.css'"})

    async def scenario(client, handler):
        await get(client, "/")
        await get(client, "/")
        return handler.totals.missing

    assert visit(root, scenario) == 4
    assert [record.getMessage() for record in caplog.records] == [
        "/a.css names /b.css, which is not there",
        "/ names /gone.png, which is not there",
    ]


def test_what_is_not_there_is_not_promised(site):
    root = site(
        {"index.html": "<img src=gone.png><img src=.hidden.png><img src=dir><img src=a.png>", "a.png": "", "dir/x": ""}
    )

    async def scenario(client, handler):
        _, _, pushes = await get(client, "/")
        return [path for path, _, _ in pushes], handler.totals.missing

    assert visit(root, scenario) == (["/a.png"], 3)


def test_without_credit_for_all_the_most_needed_are_promised_and_the_rest_is_refused(site):
    root = site({"index.html": "".join(f"<img src={n}.png>" for n in range(6))} | {f"{n}.png": "" for n in range(6)})

    async def scenario(client, handler):
        _, _, pushes = await get(client, "/")
        return [path for path, _, _ in pushes], handler.totals

    paths, totals = visit(root, scenario, max_pushes=2)
    assert paths == ["/0.png", "/1.png"]
    assert (totals.promised, totals.refused) == (2, 4)


def page_of(count):
    return {"index.html": "".join(f"<img src={n}.png>" for n in range(count))} | {
        f"{n}.png": str(n) for n in range(count)
    }


def test_a_thousand_pushes_go_through_a_window_of_ten_when_the_page_waits_for_credit(site):
    root = site(page_of(1_000))
    most = 0

    async def scenario(client, handler):
        nonlocal most
        response = await client.get("/")
        bodies = {}
        async with asyncio.TaskGroup() as group:
            page = group.create_task(response.read())
            async for push in response.pushes():
                most = max(most, len(client.session.pushes.values()))
                group.create_task(note(push, bodies))
        return bodies, page.result(), handler.totals

    async def note(push, bodies):
        status, body = await read(push)
        assert push.state is ReceivedState.FULFILLED
        bodies[push.request.path] = (status, body)

    bodies, page, totals = visit(
        root,
        scenario,
        max_pushes=10,
        push_wait=5.0,
        scan_settings=PageScanSettings(max_resources=1_000),
        server_settings=ServerSettings(max_pushes_per_request=1_000),
    )
    assert page == (root / "index.html").read_bytes()
    assert bodies == {f"/{n}.png": (200, str(n).encode()) for n in range(1_000)}
    assert (totals.promised, totals.refused) == (1_000, 0)
    assert most <= 10


def test_a_client_that_gives_no_more_credit_does_not_keep_the_page_open(site):
    root = site(page_of(5))

    async def scenario(client, handler):
        begin = asyncio.get_running_loop().time()
        response = await client.get("/")
        await response.read()
        assert len([push async for push in response.pushes()]) == 2  # ends when the page's stream does
        return asyncio.get_running_loop().time() - begin, handler.totals

    seconds, totals = visit(root, scenario, max_pushes=2, push_wait=1.0)
    assert 1.0 < seconds < 1.5
    assert (totals.promised, totals.refused) == (2, 3)


def test_a_page_is_scanned_again_only_when_it_or_a_sheet_changed(site):
    root = site({"index.html": "<link rel=stylesheet href=a.css><p>x", "a.css": "", "a.png": ""})

    async def scenario(client, handler):
        first = await get(client, "/")
        await get(client, "/?again")
        (root / "a.css").write_text("p { background: url(a.png) }")
        changed = await get(client, "/")
        return handler.plans.scans, [path for path, _, _ in first[2]], [path for path, _, _ in changed[2]]

    assert visit(root, scenario) == (2, ["/a.css"], ["/a.png"])


def test_a_page_that_the_client_has_is_not_scanned(site):
    """A 304 costs no scan (issue 9, point 33)."""
    root = site({"index.html": "<img src=a.png>", "a.png": ""})

    async def scenario(client, handler):
        response = await client.get("/", headers={"if-none-match": "*"})
        await response.read()
        return response.status, handler.plans.scans

    assert visit(root, scenario) == (304, 0)


def test_every_page_of_a_site_keeps_its_plan(site):
    """More pages than any number that one would choose: plans are bounded by bytes (issue 9, point 33)."""
    root = site({f"{n}.html": "<link rel=stylesheet href=a.css>" for n in range(600)} | {"a.css": "p { color: red }"})

    async def scenario(client, handler):
        for _ in range(2):
            for n in range(600):
                await (await client.get(f"/{n}.html")).read()
        return len(handler.plans), handler.plans.scans

    assert visit(root, scenario) == (600, 600)


def test_plans_are_kept_within_the_bytes_that_the_user_says(site):
    """A bound has a name, and whoever serves a directory can set it."""
    root = site({f"{n}.html": "<img src=a.png>" for n in range(20)} | {"a.png": ""})

    async def scenario(client, handler):
        for n in range(20):
            await get(client, f"/{n}.html")
        return len(handler.plans)

    assert 0 < visit(root, scenario, cache_settings=PlanCacheSettings(max_plan_bytes=4_000)) < 20


def test_a_page_too_long_for_the_loop_goes_out_alone_and_later_with_its_pushes(site):
    """A push never delays what was asked for: the scan is made in a thread, and the next request has its result."""
    page = "<img src=a.png>" + "<p>word</p>" * 20_000
    root = site({"index.html": page, "a.png": ""})

    async def scenario(client, handler):
        return [[path for path, _, _ in (await get(client, "/"))[2]] for _ in range(2)], handler.plans.scans

    assert visit(root, scenario) == ([[], ["/a.png"]], 2)


def test_a_style_sheet_too_long_for_the_loop_is_pushed_at_once_and_what_it_names_later(site):
    """Resources that the page itself names need no reading of the sheet."""
    css = "p { background: url(b.png) }" + ".x { font-family: y }" * 5_000
    root = site(
        {"index.html": "<link rel=stylesheet href=a.css><img src=a.png><p>x", "a.css": css, "a.png": "", "b.png": ""}
    )

    async def scenario(client, handler):
        return [[path for path, _, _ in (await get(client, "/"))[2]] for _ in range(2)]

    assert visit(root, scenario) == [["/a.css", "/a.png"], ["/b.png"]]
