"""A directory as a handler: what is answered in its call, and what has to wait."""

import asyncio
import io

import pytest

import h3push
from h3push.files.directory import Directory
from h3push.files.handler import DirectoryHandler
from h3push.plans.plan import PlannedResource, PlanSource, PushPlan, ResourceKind, Stage
from h3push.server.access_log import AccessLog
from h3push.testing import LinkSettings, in_world

HOST = "site.test"
SMALL, LARGE = b"small", bytes(range(256)) * 1_000


@pytest.fixture
def root(tmp_path):
    for name, content in {"page": b"page", "small": SMALL, "large": LARGE, "empty": b""}.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def visit(root, scenario, *, max_pushes=10, server_settings=None, client_config=None, **options):
    """Run `scenario(client)` against a server of `root`; its result, the most tasks that the server had, and the log."""
    log = io.StringIO()

    handler = DirectoryHandler(Directory(root), **options)
    tasks = 0

    def counting(request):
        nonlocal tasks
        result = handler(request)
        tasks += result is not None
        return result

    result = in_world(
        counting,
        lambda world: scenario(world.client),
        host=HOST,
        link=LinkSettings(),
        max_pushes=max_pushes,
        server_settings=server_settings,
        client_config=client_config,
        access_log=AccessLog(log),
    )
    return result, tasks, [line.split(" ", 2)[2] for line in log.getvalue().splitlines()]


def bringing(*paths):
    """A planner: these go with /page."""
    resources = tuple(PlannedResource(path, ResourceKind.FETCH, Stage.DEFERRED, "/page") for path in paths)
    return lambda request: PushPlan("/page", PlanSource.MANIFEST, resources) if request.path == "/page" else None


async def get(client, path, method="GET", headers=None):
    response = await client.request(method, path, headers=headers)
    content = await response.read()
    bodies = [await (await push.response()).read() async for push in response.pushes()]
    return response, content, bodies


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "expected"),
    [
        ("GET", "/small", {}, 200, SMALL),
        ("GET", "/large", {}, 200, LARGE),
        ("GET", "/empty", {}, 200, b""),
        ("GET", "/large", {"range": "bytes=1-199999"}, 206, LARGE[1:200_000]),
        ("HEAD", "/small", {}, 200, b""),
        ("HEAD", "/large", {}, 200, b""),
        ("GET", "/large", {"if-none-match": "*"}, 304, b""),
        ("GET", "/small", {"if-match": '"x"'}, 412, None),
        ("GET", "/absent", {}, 404, None),
        ("DELETE", "/small", {}, 405, None),
    ],
)
def test_every_answer_is_given_in_the_call(root, method, path, headers, status, expected):
    async def scenario(client):
        return await get(client, path, method, headers)

    (response, content, _), tasks, log = visit(root, scenario)
    assert (response.status, tasks) == (status, 0)
    assert expected is None or content == expected
    assert log == [f'"{method} {path} HTTP/3" {status} {len(content)}']


def test_a_page_is_sent_before_what_it_brings(root):
    async def scenario(client):
        return await get(client, "/page")

    (_, content, bodies), tasks, log = visit(root, scenario, planners=(bringing("/small", "/large"),))
    assert (content, bodies, tasks) == (b"page", [SMALL, LARGE], 0)
    assert log == [
        '"GET /page HTTP/3" 200 4',
        '"GET /small HTTP/3" 200 5 push 0 for /page',
        '"GET /large HTTP/3" 200 256000 push 1 for /page',
    ]


def test_who_takes_no_pushes_is_told_before_the_page_and_with_it(root):
    async def scenario(client):
        response, _, _ = await get(client, "/page")
        return [fields.get_all("link") for _, fields in response.informational], response.headers.get_all("link")

    links = ["</small>; rel=preload; as=fetch; crossorigin"]
    assert visit(root, scenario, max_pushes=None, planners=(bringing("/small"),))[0] == ([links], links)


def test_links_that_the_client_has_no_room_for_are_left_out(root):
    async def scenario(client):
        response, content, _ = await get(client, "/page")
        return response.status, content, response.headers.get_all("link")

    config = h3push.H3Config(max_field_section_size=500)
    paths = [f"/{'x' * 90}{n}" for n in range(3)]
    result, tasks, _ = visit(root, scenario, max_pushes=None, client_config=config, planners=(bringing(*paths),))
    assert (result, tasks) == ((200, b"page", []), 0)


def test_a_page_that_the_client_has_brings_nothing(root):
    async def scenario(client):
        response, _, bodies = await get(client, "/page", headers={"if-none-match": "*"})
        changed, _, more = await get(client, "/page", headers={"if-none-match": '"older"'})
        return response.status, bodies, changed.status, more

    assert visit(root, scenario, planners=(bringing("/small"),))[0] == (304, [], 200, [SMALL])


def test_what_was_asked_for_is_not_pushed(root):
    async def scenario(client):
        await get(client, "/small")
        return (await get(client, "/page"))[2]

    assert visit(root, scenario, planners=(bringing("/small", "/empty"),))[0] == [b""]


def test_content_above_the_high_water_mark_goes_out_in_pieces(root):
    async def scenario(client):
        return (await get(client, "/small"))[1]

    result, tasks, log = visit(root, scenario, server_settings=h3push.ServerSettings(send_high_water=2))
    assert (result, tasks, log) == (SMALL, 1, ['"GET /small HTTP/3" 200 5'])


def test_a_page_that_is_held_open_for_credit_waits(root):
    async def scenario(client):
        response = await client.get("/page")
        reading = asyncio.ensure_future(response.read())
        bodies = [await (await push.response()).read() async for push in response.pushes()]
        return await reading, bodies

    result, tasks, _ = visit(
        root, scenario, max_pushes=2, push_wait=1.0, planners=(bringing("/small", "/empty", "/large"),)
    )
    assert result == (b"page", [SMALL, b"", LARGE])
    assert tasks == 1


@pytest.mark.skipif(h3push.compiled, reason="a function of a compiled class cannot be replaced")
def test_a_file_that_is_gone_when_it_is_sent_ends_the_stream(root, monkeypatch):
    """Half a response never looks whole."""
    decide = Directory.decide

    def and_then_remove(self, *asked):
        decided = decide(self, *asked)
        (root / "large").unlink()
        return decided

    monkeypatch.setattr(Directory, "decide", and_then_remove)

    async def scenario(client):
        with pytest.raises(h3push.StreamFailed):
            await get(client, "/large")

    assert visit(root, scenario)[2] == ['"GET /large HTTP/3" 200 0 (failed)']
