"""Push manifests."""

import json
from pathlib import Path
from typing import Any

import pytest

from h3push.plans.manifest import ManifestError, load_manifest, parse_manifest
from h3push.plans.plan import PlanSource


def paths(manifest: Any, page: str) -> list[str]:
    plan = parse_manifest(json.dumps(manifest).encode()).plan(page)
    return [] if plan is None else [resource.path for resource in plan.resources]


ONE = {"/css/app.css": {"type": "style", "weight": 1}, "js/app.js": {"type": "script", "weight": 1}}


def test_the_layout_of_one_page_is_the_index() -> None:
    """Resources at the top: they go with `/`, in the file's order, slash or not."""
    assert paths(ONE, "/") == ["/css/app.css", "/js/app.js"]
    assert paths(ONE, "/index.html") == ["/css/app.css", "/js/app.js"]
    assert paths(ONE, "/other") == []


def test_the_layout_of_many_pages() -> None:
    """Pages by file or by route; the query of a request does not count."""
    many = {
        "index.html": ONE,
        "docs/index.html": {"/d.css": {"type": "style"}},
        "/dashboard": {"/x.js": {"type": "script"}},
    }
    assert paths(many, "/?a=b") == ["/css/app.css", "/js/app.js"]
    assert paths(many, "/docs/") == ["/d.css"]
    assert paths(many, "/docs/index.html") == ["/d.css"]
    assert paths(many, "/dashboard?tab=2") == ["/x.js"]


def test_paths_become_what_clients_ask_for() -> None:
    """Percent-encoded, the page itself left out, other origins left out and counted."""
    manifest = {"/": {"/é b.css": {}, "/": {}, "https://fonts.example/x.css": {"type": "style"}}}
    parsed = parse_manifest(json.dumps(manifest).encode())
    plan = parsed.plan("/")
    assert plan is not None
    assert [resource.path for resource in plan.resources] == ["/%C3%A9%20b.css"]
    assert plan.source is PlanSource.MANIFEST
    assert parsed.left_out == 1


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "JSON object"),
        (b'{"/": []}', "page '/'"),
        (b'{"/": {"/a.css": 1, "/b.css": {}}}', "resource '/a.css'"),
        (b'{"/": {"/a.css": {"type": 1}}}', "type is a string"),
        (b'{"https://x.example/": {"/a.css": {}}}', "a path on this server"),
    ],
)
def test_what_is_no_manifest_is_said(data: bytes, sentence: str) -> None:
    """One sentence that names the place."""
    with pytest.raises(ManifestError, match=sentence):
        parse_manifest(data)


def test_an_empty_manifest_has_no_plans() -> None:
    """`{}` is a manifest."""
    assert not parse_manifest(b"{}").plans


def test_files(tmp_path: Path) -> None:
    """The error names the file."""
    file = tmp_path / "push_manifest.json"
    with pytest.raises(ManifestError, match=r"cannot read.*push_manifest\.json"):
        load_manifest(file)
    file.write_text("nonsense")
    with pytest.raises(ManifestError, match=r"push_manifest\.json: not JSON"):
        load_manifest(file)
    file.write_text(json.dumps(ONE))
    assert load_manifest(file).plan("/") is not None


LEARNED = {
    "$learned": {"version": 1},
    "/orders/{1}": {
        "$route": {"views": 11},
        "/orders/{1}/items": {"type": "fetch", "push": True, "classes": {"new": {"uses": 5}}},
        "/logo.svg": {"push": False, "reason": "too unlikely"},
        "/app.css": {"type": "style"},
    },
    "/orders/7": {"/seven.css": {}},
}


def test_a_page_may_be_a_template() -> None:
    """Its values are filled into what goes with it; a page of its own goes first; remarks and what is left are no resources."""
    assert paths(LEARNED, "/orders/17?sort=1") == ["/orders/17/items", "/app.css"]
    assert paths(LEARNED, "/orders/7") == ["/seven.css"]
    assert paths(LEARNED, "/orders/17/items") == []
    assert paths({"/{1}/{2}": {"/{2}/{1}": {}}}, "/a/b%20c") == ["/b%20c/a"]


@pytest.mark.parametrize("value", ["..", "%2e%2e", "a\\b", "{1}", "//", "a%00b"])
def test_a_client_s_value_leads_nowhere_else(value: str) -> None:
    """What a client writes in a placeholder stays a path of this server."""
    for path in paths({"/x/{1}": {"/y/{1}/z": {}}}, f"/x/{value}"):
        assert path.startswith("/")
        assert "/../" not in path


@pytest.mark.parametrize(
    ("page", "resource", "sentence"),
    [("/a/{2}", "/b", "from the left"), ("/a/{1}", "/b/{2}", r"has no \{2\}"), ("/a/{1}", "", None)],
)
def test_templates_that_make_no_sense(page: str, resource: str, sentence: str | None) -> None:
    manifest = json.dumps({page: {resource: {}}}).encode()
    if sentence is None:
        parse_manifest(manifest)
    else:
        with pytest.raises(ManifestError, match=sentence):
            parse_manifest(manifest)
