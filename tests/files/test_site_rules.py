"""What stands for a missing file, and Cache-Control (issue 12, point 7)."""

import os
import re
from pathlib import Path
from typing import Any

import pytest

from h3push.files.directory import Answer, Directory
from h3push.files.page_source import DirectoryPages
from h3push.files.rules import IMMUTABLE, CacheRule, SiteRules, parse_cache_rule
from h3push.http.default_fields import DefaultFields


@pytest.fixture
def site(tmp_path: Path) -> Path:
    root = tmp_path / "site"
    (root / "docs").mkdir(parents=True)
    (root / "index.html").write_text("index")
    (root / "about.html").write_text("about")
    (root / "docs" / "a & b.txt").write_text("text")
    (root / "docs" / ".hidden").write_text("hidden")
    (root / "docs" / "deep").mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    (root / "docs" / "out.txt").symlink_to(tmp_path / "secret.txt")
    return root


def get(root: Path, target: str, headers: Any = None, method: str = "GET", **rules: Any) -> Answer:
    return Directory(root, rules=SiteRules(**rules)).decide(method, target, headers or {})


@pytest.mark.parametrize("target", ["/about", "/about?query", "/about.html"])
def test_a_page_needs_no_extension(site: Path, target: str) -> None:
    """`/about` is about.html, with its type and its validators."""
    answer = get(site, target)
    assert (answer.status, answer.content) == (200, b"about")
    assert answer.headers["content-type"].startswith("text/html")
    assert get(site, target, {"if-none-match": answer.headers["etag"]}).status == 304


@pytest.mark.parametrize("target", ["/absent", "/about/", "/docs.html", "/about.htm", "/docs/deep/x"])
def test_what_is_not_there_is_not_there(site: Path, target: str) -> None:
    assert get(site, target).status == 404


def test_a_page_without_extension_is_planned_for(site: Path) -> None:
    """What goes with it is known as for about.html."""
    pages = DirectoryPages(Directory(site))
    assert pages.is_page("/about")
    assert pages.is_page("/")
    assert pages.is_there("/about")
    assert not pages.is_page("/docs")
    found = pages.read("/about", 100)
    assert found is not None
    assert found[1] == b"about"


def test_a_404_page_of_ones_own(site: Path) -> None:
    """Its content with 404, and nothing that a file's fields say of later requests; HEAD has no content."""
    (site / "404.html").write_text("<p>lost")
    headers = {"range": "bytes=0-1", "if-none-match": "*"}
    answer = get(site, "/absent.png", headers, cache=(CacheRule("*", "max-age=9"),))
    assert (answer.status, answer.content) == (404, b"<p>lost")
    assert answer.headers == {"content-type": "text/html", "content-length": "7"}
    assert (get(site, "/absent", method="HEAD").status, get(site, "/absent", method="HEAD").content) == (404, b"")


def test_an_application_that_routes_in_the_browser(site: Path) -> None:
    """Paths of pages get index.html; a script that is missing stays missing."""
    for target in ("/some/route", "/route?x", "/some/"):
        assert (get(site, target, spa=True).status, get(site, target, spa=True).content) == (200, b"index")
    assert get(site, "/about", spa=True).content == b"about"
    assert get(site, "/missing.js", spa=True).status == 404


def test_a_listing_shows_what_is_served(site: Path) -> None:
    """Directories first; no hidden names, no links out of the root; names are escaped for text and for links."""
    answer = get(site, "/docs/", browse=True)
    assert isinstance(answer.content, bytes)
    page = answer.content.decode()
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert re.findall(r'<li><a href="(.*?)">(.*?)</a>', page) == [
        ("../", ".."),
        ("./deep/", "deep/"),
        ("./a%20%26%20b.txt", "a &amp; b.txt"),
    ]
    assert get(site, "/docs/").status == 404
    assert get(site, "/docs", browse=True).status == 301
    assert get(site, "/", browse=True).content == b"index"
    assert get(site, "/absent/", browse=True).status == 404
    assert get(site, "/docs/%2e%2e/%2e%2e/", browse=True).status == 404


def test_a_name_that_is_no_utf8_is_listed(site: Path) -> None:
    (Path(os.fsdecode(os.fsencode(site) + b"/docs/deep/\xff.txt"))).write_text("x")
    answer = get(site, "/docs/deep/", browse=True)
    assert isinstance(answer.content, bytes)
    assert b'href="./%FF.txt"' in answer.content


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("/assets/a.css", "max-age=60"),
        ("/assets/deep/a.css", "max-age=60"),
        ("/index-BhX81yqK.js", IMMUTABLE),
        ("/app.3f2a9c1b.css.map", IMMUTABLE),
        ("/about.html", "no-cache"),
        ("/plain.txt", None),
        ("/component.js", None),
        ("/my-component.js", None),
    ],
)
def test_the_first_rule_that_matches_counts(site: Path, path: str, value: str | None) -> None:
    """By pattern, or by a hash in the name; and 304 repeats it (RFC 9110 section 15.4.5)."""
    file = site / path[1:]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("x")
    rules = tuple(map(parse_cache_rule, ["/assets/*=max-age=60", "hashed", "*.html=no-cache"]))
    answer = get(site, f"{path}?v=1", cache=rules)
    assert answer.headers.get("cache-control") == value
    again = get(site, path, {"if-none-match": answer.headers["etag"]}, cache=rules)
    assert (again.status, again.headers.get("cache-control")) == (304, value)


@pytest.mark.parametrize("text", ["", "assets=1", "no equals", "/a=\n", "/a=\xe9"])
def test_a_rule_that_makes_no_sense_is_told_of(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not PATTERN=VALUE|is no value"):
        parse_cache_rule(text)


@pytest.mark.parametrize("target", ["/", "/docs/", "/missing", "/docs/a%20%26%20b.txt"])
def test_every_answer_has_the_fields_of_the_site(site: Path, target: str) -> None:
    """Files, listings, redirects and errors alike, besides their own; a field that is there stays as it is."""
    given = DefaultFields([("x-frame-options", "DENY"), ("cache-control", "no-store")])
    plain = get(site, target, browse=True).headers
    assert get(site, target, browse=True, fields=given).headers == {
        "x-frame-options": "DENY",
        "cache-control": "no-store",
        **plain,
    }
