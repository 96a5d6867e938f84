"""`h3push get` of several URLs: one connection for an origin, pushes that answer, files, and the exit code."""

import asyncio
import json

import pytest

from h3push.server.response import Response


@pytest.fixture(scope="session")
def pushing(start):
    """A page that pushes two resources; everything says how often it was asked for."""
    asked = []

    async def handler(request):
        if request.push_id is None:
            asked.append(request.path)
        if request.path == "/page":
            await request.push("/a.txt")
            await request.push("/b.txt")
        status = 404 if request.path.startswith("/absent") else 200
        return Response(status, {"content-type": "text/plain"}, f"<{request.path}>")

    server = start(handler)
    server.asked = asked
    return server


@pytest.fixture
def get(run, pushing):
    pushing.asked.clear()
    return lambda *arguments, paths: run("get", "-k", *arguments, *[pushing.url + path for path in paths])


def test_pushed_responses_answer_the_next_urls(get, pushing):
    """A URL that was pushed costs no request and no connection, and is output in its place."""
    result = get("-w", "%{stderr}%{num_connects} %{num_pushes_used}\\n", paths=("page", "a.txt", "b.txt", "c.txt"))
    assert (result.code, result.out) == (0, b"</page></a.txt></b.txt></c.txt>")
    assert pushing.asked == ["/page", "/c.txt"]
    assert result.err.splitlines() == ["1 0", "0 1", "0 2", "0 2"]


def test_marks_tell_what_became_of_each_push(get, tmp_path):
    """Claimed, unclaimed and cancelled stand in the waterfall, in the table of -v, in --json and in the archive."""
    flags = ("-v", "--waterfall", "--json", "--har", tmp_path / "all.har", "--cancel", "b.txt")
    result = get(*flags, paths=("page", "a.txt", "b.txt"))
    lines = result.err.splitlines()
    assert "* 2 promised: 1 cancelled, 1 claimed" in lines
    rows = [line.split() for line in lines if line.startswith(("push /", "GET  /"))]
    assert [(row[0], row[1], row[-1].rpartition("█")[2]) for row in rows] == [
        ("GET", "/page", ""),
        ("push", "/a.txt", "claimed"),
        ("push", "/b.txt", "cancelled"),
        ("GET", "/b.txt", ""),
    ]
    told = [json.loads(line) for line in result.out.splitlines()]
    assert [one["pushed"] for one in told] == [False, True, False]
    assert [[push["claimed"] for push in one["pushes"]] for one in told] == [[True, False], [], []]
    assert told[0]["pushes"][0]["body_sha256"] is not None
    entries = json.loads((tmp_path / "all.har").read_text())["log"]["entries"]
    kinds = [(entry["request"]["url"].rpartition("/")[2], entry.get("_push_claimed")) for entry in entries]
    assert kinds == [("page", None), ("a.txt", True), ("b.txt", False), ("b.txt", None)]
    assert [entry["_was_pushed"] for entry in entries] == [0, 1, 1, 0]


def test_without_pushes_every_url_is_asked_for(get, pushing):
    """--push off sends every request; all of them go out on one connection."""
    result = get("--push", "off", "-w", "%{stderr}%{num_connects}\\n", paths=("page", "a.txt", "b.txt"))
    assert result.out == b"</page></a.txt></b.txt>"
    assert pushing.asked == ["/page", "/a.txt", "/b.txt"]
    assert result.err.splitlines() == ["1", "0", "0"]


def test_a_redirect_may_lead_to_what_was_pushed(run, start):
    """-L takes the response from the push that came with the redirect."""
    asked = []

    async def handler(request):
        if request.push_id is None:
            asked.append(request.path)
        if request.path == "/":
            await request.push("/target")
            return Response(302, {"location": "/target"})
        return Response(200, {}, "target")

    server = start(handler)
    result = run("get", "-k", "-L", "-w", "%{stderr}%{num_pushes_used}\\n", server.url)
    assert (result.out, result.err, asked) == (b"target", "1\n", ["/"])


def test_each_url_has_a_file_of_its_own(get, tmp_path):
    """-o and -O are for the URLs in their order, those without go to standard output (as in curl)."""
    result = get("-O", "-o", "second", "--output-dir", tmp_path, paths=("a.txt", "b.txt", "c.txt"))
    assert (result.code, result.out) == (0, b"</c.txt>")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "a.txt": b"</a.txt>",
        "second": b"</b.txt>",
    }


def test_every_url_may_have_its_own_name(get, tmp_path):
    """--remote-name-all stands for an -O for each URL that has nothing else."""
    result = get("-o", "-", "--remote-name-all", "--output-dir", tmp_path, paths=("a.txt", "b.txt", "c.txt"))
    assert (result.code, result.out) == (0, b"</a.txt>")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.txt", "c.txt"]


@pytest.mark.parametrize(
    ("flags", "paths", "code", "out"),
    [
        ([], ["absent", "a.txt"], 0, b"</a.txt>"),
        ([], ["a.txt", "absent"], 22, b"</a.txt>"),
        (["-Z"], ["absent", "a.txt"], 22, b"</a.txt>"),
        (["--fail-early"], ["absent", "a.txt"], 22, b""),
        (["--fail-early"], ["a.txt", "absent", "b.txt"], 22, b"</a.txt>"),
    ],
)
def test_the_exit_code_is_curls(get, flags, paths, code, out):
    """Of several URLs the last one decides; with -Z any failure does; --fail-early stops at the first failure."""
    result = get("-f", *flags, paths=paths)
    assert (result.code, result.out) == (code, out)
    assert result.err.endswith("absent: the server answered 404\n")
    assert result.err.count("\n") == 1


def test_what_was_not_tried_is_not_told_of(get):
    """After --fail-early neither --json nor -w speaks of the URLs that were left."""
    flags = ("-f", "--fail-early", "--json", "-w", "%{http_code}\n")
    lines = get(*flags, paths=("a.txt", "absent", "b.txt")).out.decode().splitlines()
    assert [json.loads(line)["status"] for line in lines[:2]] == [200, 404]
    assert lines[2:] == ["200", "404"]


def test_parallel_fetches_all_at_the_same_time(run, start, tmp_path):
    """-Z: nobody waits for anybody else, on one connection; --parallel-max bounds how many run at once."""
    waiting, most = [], []

    async def handler(request):
        waiting.append(request.path)
        most.append(len(waiting))
        if request.path != "/last":
            while "/last" not in waiting:  # noqa: ASYNC110 - it comes, or the test times out
                await asyncio.sleep(0.01)
        return Response(200, {}, request.path)

    server = start(handler)
    paths = ["a", "b", "c", "last"]
    outputs = [argument for path in paths for argument in ("-o", tmp_path / path)]
    result = run(
        "get", "-k", "-Z", "-m", "20", *outputs, "-w", "%{num_connects}", *[server.url + path for path in paths]
    )
    assert result.code == 0, result.err
    assert {path: (tmp_path / path).read_text() for path in paths} == {path: f"/{path}" for path in paths}
    assert result.out.decode().count("1") == 1
    assert max(most) == 4


def test_parallel_max_bounds_what_runs(run, start):
    """--parallel-max 1 is one after the other."""
    running, most = [], []

    async def handler(request):
        running.append(request.path)
        most.append(len(running))
        await request.read()
        running.remove(request.path)
        return Response(200, {}, request.path)

    server = start(handler)
    result = run("get", "-k", "-Z", "--parallel-max", "1", *[server.url + path for path in "abcdef"])
    assert (result.code, result.out, max(most)) == (0, b"/a/b/c/d/e/f", 1)


def test_max_time_is_for_each_url(run, start):
    """-m bounds each transfer, as in curl: the next URL has its own time."""

    async def handler(request):
        if request.path == "/slow":
            await request.wait_disconnected()
        return Response(200, {}, "quick")

    server = start(handler)
    result = run("get", "-k", "-m", "0.3", server.url + "slow", server.url)
    assert (result.code, result.out) == (0, b"quick")
    assert result.err == f"h3push: {server.url}slow: not everything arrived within 0.3 s (--max-time)\n"


def test_what_one_url_sent_goes_to_every_url(run, start):
    """-d is sent to each URL, -T to the URL in its place."""
    seen = []

    async def handler(request):
        seen.append((request.method, request.path, await request.read()))
        return Response(200)

    server = start(handler)
    assert run("get", "-k", "-d", "x=1", server.url + "a", server.url + "b").code == 0
    assert seen == [("POST", "/a", b"x=1"), ("POST", "/b", b"x=1")]


def test_uploads_are_for_the_urls_in_their_order(run, start, tmp_path):
    """One -T for each URL; a URL without one is fetched."""
    seen = []

    async def handler(request):
        seen.append((request.method, request.path, await request.read()))
        return Response(200)

    server = start(handler)
    (tmp_path / "one").write_text("1")
    (tmp_path / "two").write_text("2")
    flags = ("-T", tmp_path / "one", "-T", tmp_path / "two")
    assert run("get", "-k", *flags, server.url, server.url + "named", server.url + "c").code == 0
    assert seen == [("PUT", "/one", b"1"), ("PUT", "/named", b"2"), ("GET", "/c", b"")]


def test_an_unclaimed_push_is_read_when_no_url_can_want_it_any_more(run, start):
    """What waits for the last URL and is not it counts as unclaimed, whole and hashed, however large it is."""
    size = 3_000_000

    async def handler(request):
        if request.path == "/":
            await request.push("/large")
        return Response(200, {}, b"x" * size if request.path == "/large" else b"small")

    server = start(handler)
    result = run("get", "-k", "--json", server.url, server.url + "other")
    push = json.loads(result.out.splitlines()[0])["pushes"][0]
    assert (push["state"], push["claimed"], push["body_bytes"]) == ("fulfilled", False, size)
    assert push["body_sha256"] is not None
