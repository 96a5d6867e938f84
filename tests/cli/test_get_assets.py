"""`h3push get --assets`: a page as a browser loads it, from requests and from pushes."""

import json

import pytest

from h3push.files.directory import Directory
from h3push.files.handler import DirectoryHandler
from h3push.server.response import Response

FILES = {
    "index.html": "<link rel=stylesheet href=a.css><img src=i.png><p class=x>text",
    "a.css": "@import 'b.css'; .x { background: url(bg.png) }",
    "b.css": "p { color: red }",
    "i.png": "image",
    "bg.png": "background",
}


@pytest.fixture(scope="session")
def page(start, tmp_path_factory):
    root = tmp_path_factory.mktemp("page")
    for name, content in FILES.items():
        (root / name).write_text(content)
    return start(DirectoryHandler(Directory(root)))


def names(told):
    return sorted((asset["url"].rpartition("/")[2], asset["pushed"]) for asset in told["assets"])


def test_everything_that_a_page_names_is_taken_from_its_pushes(run, page, tmp_path):
    """One request for a page with four assets, imports and images of style sheets among them."""
    flags = (
        "--assets",
        "--waterfall",
        "--har",
        tmp_path / "page.har",
        "-w",
        "%{num_pushes} %{num_pushes_used} %{push_bytes_wasted}",
    )
    result = run("get", "-k", *flags, page.url)
    assert (result.code, result.out.decode()) == (0, FILES["index.html"] + "4 4 0")
    size = sum(map(len, FILES.values()))
    assert result.err.startswith(f"* 5 responses, {size} bytes in ")
    assert "1 asked for, 4 pushed; 0 pushes unclaimed (0 bytes wasted); 0 failed" in result.err
    assert [line.split()[0] for line in result.err.splitlines()[2:]] == ["GET", "push", "push", "push", "push"]
    assert result.err.count("claimed\n") == 4
    entries = json.loads((tmp_path / "page.har").read_text())["log"]["entries"]
    assert sorted(entry["_was_pushed"] for entry in entries) == [0, 1, 1, 1, 1]


def test_without_pushes_everything_is_asked_for(run, page):
    """--push off finds the same, by requests."""
    result = run("get", "-k", "-s", "--assets", "--json", "--push", "off", page.url)
    assert (result.code, result.err) == (0, "")
    told = json.loads(result.out)
    assert names(told) == [(name, False) for name in sorted(set(FILES) - {"index.html"})]
    assert [asset["status"] for asset in told["assets"]] == [200] * 4


def test_pushes_that_the_page_does_not_name_are_wasted(run, start):
    """What was pushed for nothing is counted."""

    async def handler(request):
        if request.path == "/":
            await request.push("/used.png")
            await request.push("/other.png")
            return Response(200, {"content-type": "text/html; charset=utf-8"}, "<img src=used.png>")
        return Response(200, {"content-type": "image/png"}, "12345")

    result = run(
        "get", "-k", "-s", "-w", "%{stderr}%{num_pushes_used} %{push_bytes_wasted}\\n", "--assets", start(handler).url
    )
    assert result.err == "1 5\n"


def test_assets_of_other_origins_get_no_credentials(run, start):
    """Fields go along, credentials to the page's own origin alone; the Referer is the page."""
    seen = {}

    async def handler(request):
        seen[request.path] = dict(request.headers)
        if request.path == "/":
            return Response(200, {"content-type": "text/html"}, f"<img src=own.png><img src={other.url}other.png>")
        return Response(200, {}, "image")

    other, own = start(handler), start(handler)
    assert run("get", "-k", "--assets", "-u", "a:b", "-b", "c=1", "-H", "X-Mine: y", own.url).code == 0
    assert (seen["/own.png"]["authorization"], seen["/own.png"]["cookie"]) == ("Basic YTpi", "c=1")
    assert not {"authorization", "cookie"} & set(seen["/other.png"])
    assert {seen[path]["x-mine"] for path in ("/own.png", "/other.png")} == {"y"}
    assert {seen[path]["referer"] for path in ("/own.png", "/other.png")} == {own.url}


def test_an_asset_that_fails_is_named_and_makes_no_failure(run, start):
    """The page is what was asked for: exit code 0, a line for the asset, its error in --json."""

    async def handler(request):
        if request.path == "/":
            return Response(
                200, {"content-type": "text/html"}, "<img src=broken.png><img src=https://nosuch.invalid/x>"
            )
        raise RuntimeError("broken")

    broken = start(handler)
    result = run("get", "-k", "--assets", "--json", broken.url)
    told = json.loads(result.out)
    assert result.code == 0
    assert [bool(asset["error"]) for asset in told["assets"]] == [False, True]
    assert told["assets"][0]["status"] == 500
    assert "* https://nosuch.invalid/x: cannot find host nosuch.invalid" in result.err
    assert result.err.endswith("; 1 failed\n")


def test_what_is_no_page_has_no_assets(run, start):
    """Only HTML is read for what it names, and only of a response that is no failure."""

    async def handler(request):
        kind = "text/plain" if request.path == "/text" else "text/html"
        return Response(404 if request.path == "/absent" else 200, {"content-type": kind}, "<img src=x.png>")

    server = start(handler)
    for path in ("text", "absent"):
        told = json.loads(run("get", "-k", "-s", "-f", "--assets", "--json", server.url + path).out)
        assert "assets" not in told


def test_the_number_of_assets_is_bounded(run, start, monkeypatch):
    """A page that names assets without end is left at the bound, and that is said."""
    monkeypatch.setattr("h3push.cli.assets.MAX_ASSETS", 3)

    async def handler(request):
        return Response(200, {"content-type": "text/html"}, "".join(f"<img src={number}>" for number in range(8)))

    result = run("get", "-k", "-o", "/dev/null", "--assets", start(handler).url)
    assert result.err.endswith("\n* 5 more were not loaded: they are too many\n")


def test_compressed_pages_and_sheets_are_read(run, start):
    """--compressed undoes the coding of pages and style sheets before they are read."""
    import gzip

    contents = {"/": ("text/html", b"<link rel=stylesheet href=a.css>"), "/a.css": ("text/css", b"@import 'b.css';")}

    async def handler(request):
        kind, content = contents.get(request.path, ("text/css", b""))
        return Response(200, {"content-type": kind, "content-encoding": "gzip"}, gzip.compress(content))

    told = json.loads(run("get", "-k", "-s", "--compressed", "--assets", "--json", start(handler).url).out)
    assert [asset["url"].rpartition("/")[2] for asset in told["assets"]] == ["a.css", "b.css"]
