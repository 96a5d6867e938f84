"""Scans of pages: the resources that a page needs, in the order of need."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from h3push.plans.page import PageScanSettings, scan_page
from h3push.plans.plan import ResourceKind, Stage

PAGE = "https://example.org/guide/index.html"


def scan(html: str, sheets: dict[str, str] | None = None, url: str = PAGE, settings: PageScanSettings | None = None):
    known = {path: css.encode() for path, css in (sheets or {}).items()}
    return scan_page(url, html.encode(), known.get, settings or PageScanSettings())


def paths(html: str, sheets: dict[str, str] | None = None, url: str = PAGE) -> list[str]:
    return [resource.path for resource in scan(html, sheets, url).resources]


def test_the_order_is_the_order_of_need():
    html = """<!doctype html><head><link rel=icon href=/icon.ico>
      <script src=/defer.js defer></script><link rel=stylesheet href=/a.css><script src=/sync.js></script>
      <link rel=stylesheet href=/b.css></head><body style="background: url(/body.png)"><img src=/one.png>
      <script type=module src=/module.js></script><img src=two.svg><script src=/end.js></script><p>Text</p>"""
    sheets = {
        "/a.css": '@import "deep/c.css"; body { font-family: Face, serif } p { background: url(p.png) }',
        "/deep/c.css": '@font-face { font-family: Face; src: url("../face.woff2") format("woff2") }',
    }
    assert paths(html, sheets) == [
        "/a.css", "/deep/c.css", "/sync.js", "/b.css", "/end.js",
        "/face.woff2",
        "/defer.js", "/module.js",
        "/one.png", "/guide/two.svg", "/body.png", "/p.png",
    ]  # fmt: skip


def test_a_resource_knows_its_kind_its_stage_and_where_it_was_named():
    plan = scan("<link rel=stylesheet href=/a.css>", {"/a.css": "body { background: url(b.png) }"})
    sheet, image = plan.resources
    assert (sheet.kind, sheet.stage, sheet.named_in) == (
        ResourceKind.STYLE,
        Stage.BLOCKING,
        "/guide/index.html",
    )
    assert (image.kind, image.stage, image.named_in) == (ResourceKind.IMAGE, Stage.IMAGE, "/a.css")
    assert sheet.priority.urgency < image.priority.urgency
    assert plan.sheets == ("/a.css",)


@pytest.mark.parametrize(
    ("reference", "path"),
    [
        ("a.css", "/guide/a.css"),
        ("./a.css", "/guide/a.css"),
        ("../a.css", "/a.css"),
        ("../../../a.css", "/a.css"),
        ("%2e%2E/a.css", "/a.css"),
        ("/a b.css", "/a%20b.css"),
        ("/a%20b.css", "/a%20b.css"),
        ("/100%.css", "/100%.css"),
        ("/é.css", "/%C3%A9.css"),
        ("/a.css?v=1&amp;w=é b", "/a.css?v=1&w=%C3%A9%20b"),
        ("/a.css?x#part", "/a.css?x"),
        ("/what%3F.css", "/what%3F.css"),
        ("https://example.org/a.css", "/a.css"),
        ("https://EXAMPLE.org:443/a.css", "/a.css"),
        ("//example.org/a.css", "/a.css"),
        ("  /a.css\n", "/a.css"),
        ("/a\n.css", "/a.css"),
        ("\\a.css", "/a.css"),
        ("/a.css?", "/a.css"),
        ("/./x/../a.css", "/a.css"),
    ],
)
def test_references_resolve_as_in_a_browser(reference, path):
    assert paths(f'<link rel=stylesheet href="{reference}">') == [path]


@pytest.mark.parametrize(
    "reference",
    ["", "#top", "data:text/css,a{}", "http://example.org/a.css", "https://other.org/a.css", "https://example.org:444/a.css",
     "//other.org/a.css", "mailto:a@b", "https://[::1/a.css", "https://example.org:x/a.css", "index.html", "javascript:1"],
)  # fmt: skip
def test_what_is_not_of_this_origin_or_nothing_to_fetch_is_not_pushed(reference):
    assert paths(f'<link rel=stylesheet href="{reference}">') == []


@pytest.mark.parametrize(
    "html",
    [
        "<link rel=stylesheet href=/a.css media=print>",
        "<link rel='alternate stylesheet' href=/a.css>",
        "<link rel=stylesheet href=/a.css disabled>",
        "<link rel=stylesheet href=/a.less type=text/less>",
        "<script type=application/json src=/a.json></script>",
        "<script src=/old.js nomodule></script>",
        "<script>inline()</script>",
        "<img src=/a.png loading=lazy>",
        "<img src=/a.png srcset='/a.png 1x, /b.png 2x'>",
        "<picture><source srcset=/a.avif><img src=/a.png></picture>",
        "<head><noscript><link rel=stylesheet href=/a.css></noscript><body><noscript><img src=/b.png></noscript>",
        "<template><img src=/a.png></template>",
        "<iframe src=/a.html></iframe><a href=/b.html>b</a>",
        "<!-- <img src=/a.png> -->",
        "<link rel=preload as=image href=/a.png imagesrcset='/a.png 1x, /b.png 2x'>",
        "<link rel=preload as=video href=/a.mp4>",
        "<style>@import '/a.css' print; @media print { a { background: url(/b.png) } } a { cursor: url(/c.png) }</style>",
        "<style>p { background: url(/never.png) }</style>",
        "<style>@font-face { font-family: Never; src: url(/n.woff2) }</style>",
        "<style>@font-face { font-family: F; src: local('F'), url(/n.woff2) } body { font-family: F }</style>",
        "<style>@font-face { font-family: F; src: url(/f.eot) format('embedded-opentype') } body { font: 1em F }</style>",
        "<style>@font-face { font-family: F; unicode-range: U+400-4FF; src: url(/f) } body { font: 1em F }</style>text",
        "<style>body { background: image-set(url(/a.png) 1x, url(/b.png) 2x) }</style>",
        "<style>body { color: red } @import '/late.css';</style>",
    ],
)
def test_what_only_some_clients_would_fetch_is_not_pushed(html):
    assert paths(html) == []


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<base href=/assets/><img src=a.png>", ["/assets/a.png"]),
        ("<img src=a.png><base href=/assets/><base href=/other/><img src=a.png>", ["/guide/a.png", "/assets/a.png"]),
        ("<base href=https://other.org/><img src=a.png><img src=https://example.org/b.png>", ["/b.png"]),
        ("<img srcset='/only.png 2x' src=/only.png>", ["/only.png"]),
        ("<img src=/a,b.png>", ["/a,b.png"]),
        ("<input type=image src=/a.png><video poster=/p.jpg></video>", ["/a.png", "/p.jpg"]),
        ("<svg><use href='/sprite.svg#a'/><use href='#b'/></svg>", ["/sprite.svg"]),
        ("<link rel=preload as=font href=/f.woff2><link rel=modulepreload href=/m.js>", ["/f.woff2", "/m.js"]),
        ("<link rel=preload as=fetch href=/d.json>", ["/d.json"]),
        ("<script src=/a.js async></script><script src=/a.js></script>", ["/a.js"]),
        ("<script async src=/z.js></script><script src=/s.js></script><script src=/z.js></script>", ["/s.js", "/z.js"]),
        ("<style>@import url(/a.css) screen;</style>", ["/a.css"]),
        ("<style>@layer x; @import '/a.css' layer(x) supports(display: grid) (min-width: 1px);</style>", ["/a.css"]),
        ("<style>p::before { content: url(/a.png) }</style><p>x", ["/a.png"]),
        ("<style>main { & p { background: url(/a.png) } }</style><main><p>x", ["/a.png"]),
        ("<style>@font-face { font-family: 'A B'; src: url(/f) } p { font: bold 1em 'A B', serif }</style>x", ["/f"]),
        ("<style>@font-face { font-family: A B; src: url(/f) } p { font: bold 1em A B }</style>x", ["/f"]),
        ("<style>@font-face { font-family: A; src: url(/f) } :root { --body: A }</style>x", ["/f"]),
        ("<style>@font-face { font-family: A; unicode-range: U+61; src: url(/f) } p { font-family: A }</style>a", ["/f"]),
    ],
)  # fmt: skip
def test_what_every_client_fetches_is_pushed_once(html, expected):
    assert paths(html) == expected


def test_imports_in_a_circle_end():
    sheets = {"/a.css": "@import 'b.css';", "/b.css": "@import 'a.css'; @import 'b.css'; @import 'c.css';"}
    assert paths("<link rel=stylesheet href=/a.css>", sheets) == ["/a.css", "/b.css", "/c.css"]


def test_imports_are_followed_to_the_bound_and_no_further():
    sheets = {f"/{n}.css": f"@import '{n + 1}.css';" for n in range(20)}
    plan = scan("<link rel=stylesheet href=/0.css>", sheets, settings=PageScanSettings(max_import_depth=3))
    assert [resource.path for resource in plan.resources] == ["/0.css", "/1.css", "/2.css", "/3.css"]


def test_the_most_needed_resources_are_kept_and_the_rest_is_counted():
    html = "".join(f"<img src=/{n}.png>" for n in range(10)) + "<script src=/s.js></script>"
    plan = scan(html, settings=PageScanSettings(max_resources=4))
    assert [resource.path for resource in plan.resources] == ["/s.js", "/0.png", "/1.png", "/2.png"]
    assert plan.left_out == 7


def test_only_so_many_bytes_and_sheets_are_read():
    html = "<img src=/a.png>" + " " * 100 + "<img src=/b.png>"
    assert len(scan(html, settings=PageScanSettings(max_page_bytes=50)).resources) == 1
    sheets = {"/a.css": " " * 100 + "@import 'c.css';", "/b.css": "@import 'd.css';"}
    links = "<link rel=stylesheet href=/a.css><link rel=stylesheet href=/b.css>"
    plan = scan(links, sheets, settings=PageScanSettings(max_sheet_bytes=50, max_sheets=1))
    assert [resource.path for resource in plan.resources] == ["/a.css", "/b.css"]


def test_hostile_nesting_is_read_without_harm():
    depth = 5_000
    deep = "<style>" + "a{" * depth + "b:url(/x.png)" + "}" * depth + "</style>" + "<div>" * depth + "<img src=/i.png>"
    assert paths(deep)[:1] == ["/i.png"]
    assert paths("<style>p{b:" + "f(" * depth + "url(/x.png)" + ")" * depth + "}</style><p>") == []


@pytest.mark.parametrize(
    "css",
    ["a:is({open}{close}) {{ b: url(/x.png) }}", "@media {open}{close} {{ a {{ b: url(/x.png) }} }}",
     "@import 'x' {open}{close};", "a {{ font-family: {open}{close} }}", "@font-face {{ font-family: a; src: {open}{close} }}"],
)  # fmt: skip
def test_hostile_brackets_end_the_reading_of_a_sheet_and_nothing_else(css):
    sheet = css.format(open="(" * 20_000, close=")" * 20_000)
    html = "<style>@font-face { font-family: F; src: url(/f) } p { font-family: F }</style><link rel=stylesheet href=/a.css><p>x"
    assert paths(html, {"/a.css": sheet}) == ["/a.css", "/f"]


@given(st.text(alphabet=st.sampled_from("<>=\"'/abc {}@import url()link:;srcet img style\\#?&%é\x00"), max_size=200))
def test_any_text_gives_a_plan(text):
    plan = scan(text, {"/guide/a": text})
    for resource in plan.resources:
        assert resource.path.startswith("/")
        assert resource.path.isascii()
        assert " " not in resource.path
