"""Link fields: RFC 8288 syntax, and which links may be pushed."""

import pytest

from h3push.http.links import FieldInjectionError, parse_links
from h3push.plans.links import link_value, planned, sort_links
from h3push.plans.plan import PlanSource, ResourceKind, Stage

PAGE = "https://origin.example/docs/page?x=1"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"</a.css>; rel=preload; as=style", [("/a.css", {"rel": "preload", "as": "style"})]),
        (b'</a>;rel="preload nofollow" ; As="script"', [("/a", {"rel": "preload nofollow", "as": "script"})]),
        (b"</a>; nopush, </b>", [("/a", {"nopush": ""}), ("/b", {})]),
        (b'</a,b;c>; title="x, </y>; z"; rel=preload', [("/a,b;c", {"title": "x, </y>; z", "rel": "preload"})]),
        (b'</a>; title="a\\"b"', [("/a", {"title": 'a"b'})]),
        (b"  </a> ; rel = preload ;; as=font", [("/a", {"rel": "preload", "as": "font"})]),
        (b"nonsense", []),
        (b"", []),
        (b"</a", []),
        (
            b"</a>; rel=preload garbage here, </b>; rel=preload",
            [("/a", {"rel": "preload"}), ("/b", {"rel": "preload"})],
        ),
        (b"</a>; rel=next; rel=preload", [("/a", {"rel": "next"})]),
    ],
)
def test_syntax(value: bytes, expected: list[tuple[str, dict[str, str]]]) -> None:
    """Section 3 and appendix B.2: what cannot be understood is skipped, the first of equal parameters counts."""
    links = list(parse_links(value))
    assert [(link.target, {name: link.get(name) for name, _ in link.parameters}) for link in links] == expected


@pytest.mark.parametrize("value", [b"</a>\r\nx: y", b"</a>\x00", b"</a>\x7f", b"\n"])
def test_a_value_that_would_break_out_is_refused(value: bytes) -> None:
    """RFC 9110 section 5.5: no control characters in a field value."""
    with pytest.raises(FieldInjectionError):
        list(parse_links(value))


@pytest.mark.parametrize(
    "link",
    [
        b"</a.css>; rel=preload; as=style",
        b'</a.js>; rel="modulepreload"',
        b"<a.css>; rel=PRELOAD",
        b"<https://origin.example/a.css>; rel=preload",
        b"<../a.css>; rel=preload",
    ],
)
def test_preloads_of_this_origin_may_be_pushed(link: bytes) -> None:
    """Targets are resolved against the page, as RFC 8288 section 3.1 says."""
    assert len(sort_links([link], PAGE).plan.resources) == 1


@pytest.mark.parametrize(
    "link",
    [
        b"</a.css>; rel=preload; nopush",
        b"</a.css>; rel=stylesheet",
        b"<https://cdn.example/a.css>; rel=preload",
        b"</a.css>; rel=preload; media=print",
        b'</a.png>; rel=preload; imagesrcset="/a.png 1x"',
        b"</a.css>; rel=preload; anchor=/other",
        b"<https://cdn.example>; rel=preconnect",
    ],
)
def test_what_is_for_the_client_alone_is_a_hint(link: bytes) -> None:
    """`nopush`, other relations, other origins, and what depends on the client."""
    links = sort_links([link], PAGE)
    assert links.plan.resources == ()
    assert links.hints == (link.decode(),)


def test_a_plan_of_links() -> None:
    """In the order of the field, each path once, with the link as it was written."""
    links = sort_links(
        [b"</b.js>; rel=preload; as=script, <c.woff2>; rel=preload; as=font; crossorigin", b"</b.js>; rel=preload"],
        PAGE,
    )
    assert links.plan.source is PlanSource.LINK
    assert links.plan.page == "/docs/page?x=1"
    assert [one.path for one in links.plan.resources] == ["/b.js", "/docs/c.woff2"]
    assert link_value(links.plan.resources[1]) == "<c.woff2>; rel=preload; as=font; crossorigin"


def test_links_are_bounded() -> None:
    """A response with a thousand links promises no thousand pushes."""
    links = sort_links([b", ".join(b"</%d.css>; rel=preload" % n for n in range(1_000))], PAGE)
    assert (len(links.plan.resources), links.plan.left_out) == (128, 872)


@pytest.mark.parametrize(
    ("path", "destination", "kind", "stage"),
    [
        ("/a.css?v=1", None, ResourceKind.STYLE, Stage.BLOCKING),
        ("/a", "style", ResourceKind.STYLE, Stage.BLOCKING),
        ("/a.mjs", None, ResourceKind.SCRIPT, Stage.BLOCKING),
        ("/a.woff2", None, ResourceKind.FONT, Stage.FONT),
        ("/a.AVIF", None, ResourceKind.IMAGE, Stage.IMAGE),
        ("/a.css", "fetch", ResourceKind.FETCH, Stage.DEFERRED),
        ("/data", None, ResourceKind.FETCH, Stage.DEFERRED),
    ],
)
def test_what_a_resource_is(path: str, destination: str | None, kind: ResourceKind, stage: Stage) -> None:
    """`as` says it; without one the extension does."""
    resource = planned(path, destination, "/")
    assert (resource.kind, resource.stage) == (kind, stage)


def test_links_that_we_write() -> None:
    """Fonts and data are fetched with CORS, so their preloads must say so; a path that would break out is refused."""
    assert link_value(planned("/a.css", None, "/")) == "</a.css>; rel=preload; as=style"
    assert link_value(planned("/a.woff2", None, "/")) == "</a.woff2>; rel=preload; as=font; crossorigin"
    assert link_value(planned("/api?x=1", None, "/")) == "</api?x=1>; rel=preload; as=fetch; crossorigin"
    for path in ("/a>; rel=x", "/a\r\nb", "/a b"):
        with pytest.raises(FieldInjectionError):
            link_value(planned(path, None, "/"))
