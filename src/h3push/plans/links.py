"""Link fields (RFC 8288) as a source of pushes: which resources `rel=preload` names, and which of them may be pushed.

The rules are those that Apache, h2o, Caddy and Fastly taught people: `Link: </a.css>; rel=preload; as=style` on a response
means "push this with it", and the parameter `nopush` means "only tell the client". What depends on the client (`media`,
`imagesrcset`), is not about this page (`anchor`) or lies on another origin is never pushed; as a hint it is as good as ever.

Parsing follows RFC 8288 appendix B.2: what cannot be understood is skipped and the rest counts. Writing is strict: a value
with a character that could end a header line or begin another one is refused (`FieldInjectionError`).
"""

import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from h3push.http.links import FieldInjectionError, parse_links
from h3push.http.url import origin_of, resolve, target_of
from h3push.plans.plan import PlannedResource, PlanSource, PushPlan, ResourceKind, Stage

MAX_LINKS = 128
"""Links read from one message. Promises cost 40 to 120 bytes each before the page's first byte."""

_K = ResourceKind
_AS: Mapping[str, tuple[ResourceKind, Stage]] = MappingProxyType(
    {
        "style": (_K.STYLE, Stage.BLOCKING),
        "script": (_K.SCRIPT, Stage.BLOCKING),
        "font": (_K.FONT, Stage.FONT),
        "image": (_K.IMAGE, Stage.IMAGE),
        "audio": (_K.IMAGE, Stage.IMAGE),
        "video": (_K.IMAGE, Stage.IMAGE),
        "track": (_K.IMAGE, Stage.IMAGE),
    }
)
"""Value of `as` -> what it is to the page and when it needs it; any other value is data (`fetch`, `document`, `worker`)."""

_DATA = (_K.FETCH, Stage.DEFERRED)

_EXTENSIONS: Mapping[str, str] = MappingProxyType(
    {
        ".css": "style",
        ".js": "script",
        ".mjs": "script",
        **dict.fromkeys((".woff2", ".woff", ".ttf", ".otf"), "font"),
        **dict.fromkeys((".png", ".jpg", ".jpeg", ".gif", ".webp", ".avif", ".svg", ".ico"), "image"),
    }
)
"""File extension -> the `as` to assume where none is given."""

_NOT_IN_A_TARGET = re.compile(r"[^\x21\x23-\x3b\x3d\x3f-\x7e]")


@dataclass(frozen=True, slots=True)
class SortedLinks:
    """The links of a message, by what may become of them."""

    plan: PushPlan
    """The resources that may be pushed; each keeps its link."""
    hints: tuple[str, ...] = ()
    """Links that are for the client alone: `nopush`, preconnect, other origins."""
    refused: int = 0
    """Field values that were refused for the characters in them."""


def sort_links(values: Iterable[bytes], url: str) -> SortedLinks:
    """Read the Link field values of a message for the page at `url` (absolute, https)."""
    origin = origin_of(url)
    resources: dict[str, PlannedResource] = {}
    hints: dict[str, None] = {}
    refused = left_out = 0
    for value in values:
        try:
            links = list(parse_links(value))
        except FieldInjectionError:
            refused += 1
            continue
        for link in links:
            target = resolve(url, link.target)
            if len(resources) + len(hints) >= MAX_LINKS:
                left_out += 1
            elif link.may_be_pushed and target is not None and origin_of(target) == origin:
                path = target_of(target)
                resources.setdefault(path, planned(path, link.get("as"), target_of(url), link=link.text))
            else:
                hints.setdefault(link.text)
    plan = PushPlan(target_of(url), PlanSource.LINK, tuple(resources.values()), left_out)
    return SortedLinks(plan, tuple(hints), refused)


def planned(path: str, destination: str | None, page: str, *, link: str | None = None) -> PlannedResource:
    """A resource of which the path is known and perhaps its `as`; without one the file extension tells."""
    kind, stage = _AS.get((destination or guess_destination(path)).lower(), _DATA)
    return PlannedResource(path, kind, stage, page, link=link)


def guess_destination(path: str) -> str:
    """The `as` that fits a path's extension; "fetch" when nothing better is known."""
    return _EXTENSIONS.get(posixpath.splitext(path.partition("?")[0])[1].lower(), "fetch")


def stage_of(destination: str) -> Stage:
    """The stage in which a page needs what has such an `as`."""
    return _AS.get(destination, _DATA)[1]


def link_value(resource: PlannedResource) -> str:
    """The Link field value that tells a client of a resource: its source's own, or one made for it.

    Fonts are always fetched with CORS, so a preload without `crossorigin` would fetch them twice (HTML Standard, link type
    preload); the same holds for `fetch()` in its default mode. Raises `FieldInjectionError`.
    """
    if resource.link is not None:
        return resource.link
    wrong = _NOT_IN_A_TARGET.search(resource.path)
    if wrong is not None:
        raise FieldInjectionError(f"a path may not hold {wrong[0]!r}: {resource.path[:80]!r}")
    value = f"<{resource.path}>; rel=preload; as={resource.kind.value}"
    return f"{value}; crossorigin" if resource.kind in {ResourceKind.FONT, ResourceKind.FETCH} else value
