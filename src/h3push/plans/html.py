"""HTML pages, read with selectolax (Lexbor: the parsing algorithm of the HTML Standard) for the resources that they name.

The policy, case by case. Taken: what a client with scripting on certainly fetches to show the page. Not taken:

* what only some clients fetch: an `img` with a `srcset` of several candidates or inside a `picture` with sources, because
  which one is taken depends on viewport and density, which the server does not know; `nomodule` scripts; `noscript`;
* what is fetched late or never: `loading=lazy`, `media=print`, alternate or disabled style sheets, icons, templates;
* what is another page: `iframe`, `object`, `a`.

A page is read as UTF-8; URLs that need another encoding are not understood. The standard's parsing takes time that grows with
the square of the nesting, so a page that is nested tens of thousands deep takes seconds: this is for pages of one's own.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from html import unescape

from selectolax.lexbor import LexborHTMLParser, LexborNode, SelectolaxError

from h3push.http.url import resolve
from h3push.plans.css import is_for_screen
from h3push.plans.plan import ResourceKind, Stage

_JAVASCRIPT = re.compile(
    r"(?:text|application)/(?:x-)?(?:java|ecma)script(?:1\.[0-5])?|text/(?:jscript|livescript)", re.IGNORECASE
)
_PSEUDO_ELEMENT = re.compile(r"::[\w-]+(?:\([^)]*\))?|:(?:before|after|first-line|first-letter)\b", re.IGNORECASE)
_NAMING = "link, script, img, input, video, image, use, base, style, [style]"
"""The elements that may name something: few, so that the rest of a page costs no Python."""
_NAMES_SOMETHING = re.compile(r"url|font|--|\\", re.IGNORECASE)
"""Occurs in every `style` attribute that names a file or a font family."""
_BRACKETS = re.compile(r"\([^()]*\)|\[[^\]]*\]")
_NEEDED_NAME = re.compile(r"[.#]([\w-]+)")
_CLASS = re.compile(r"class\s*=\s*(\"[^\"]*\"|'[^']*'|[^\s>]+)")
_ID = re.compile(r"id\s*=\s*(\"[^\"]*\"|'[^']*'|[^\s>]+)")
_PRELOADS = {
    "style": (ResourceKind.STYLE, Stage.BLOCKING),
    "script": (ResourceKind.SCRIPT, Stage.BLOCKING),
    "font": (ResourceKind.FONT, Stage.FONT),
    "fetch": (ResourceKind.FETCH, Stage.DEFERRED),
    "image": (ResourceKind.IMAGE, Stage.IMAGE),
}


@dataclass(frozen=True, slots=True)
class Reference:
    """A resource that the page names and needs."""

    url: str
    """Absolute https URL, percent-encoded, without fragment; any origin."""
    kind: ResourceKind
    """Its role in the page."""
    stage: Stage
    """When the page needs it."""


@dataclass(frozen=True, slots=True)
class InlineStyle:
    """CSS inside the page."""

    css: str
    """The text."""
    base: str
    """Absolute URL that its references are relative to."""
    is_attribute: bool
    """True for a `style` attribute (declarations only), False for a `style` element."""


class HtmlDocument:
    """A parsed page.

    Arguments:
        url: absolute.
        html: as it came.
        pause: called now and then while the page is read.
    """

    def __init__(self, url: str, html: bytes, pause: Callable[[], None] = lambda: None) -> None:
        self._html = html
        self._tree = LexborHTMLParser(html)
        self.items: tuple[Reference | InlineStyle, ...] = tuple(_Walk(url, html, pause).items(self._tree.root))
        """References and styles, in document order; a resource that is named twice is there twice."""

    def may_match(self, selector: str) -> bool:
        """False when no element can match: a class or an ID that the selector list needs stands nowhere in the page.

        Costs no look at the tree, and is the answer to most selectors of a style sheet that many pages share.
        """
        return any(map(self._names.issuperset, _names_needed(selector)))

    def matches(self, selector: str) -> bool:
        """True when an element matches the selector list, or when the selector is not understood."""
        try:
            return bool(self._tree.css_matches(_PSEUDO_ELEMENT.sub("", selector).strip() or "*"))
        except SelectolaxError:
            return True

    @cached_property
    def characters(self) -> tuple[int, ...]:
        """The code point of every character of the page's text, in ascending order."""
        body = self._tree.body
        return tuple(sorted(map(ord, set(body.text())))) if body is not None else ()

    @cached_property
    def _names(self) -> frozenset[str]:
        """Every class and ID of the page, in lower case, and more: whatever looks like one, in a comment too."""
        text = self._html.decode("utf-8", "replace").lower()
        values = {value for pattern in (_CLASS, _ID) for value in pattern.findall(text)}
        return frozenset(name for value in values for name in unescape(value).strip("\"'").split())


@lru_cache(4_096)
def _names_needed(selector: str) -> tuple[frozenset[str], ...]:
    """For each selector of a list, classes and IDs that must be there to match it; none where that is hard to say."""
    plain = _BRACKETS.sub("", selector)
    if "\\" in plain or "(" in plain:
        return (frozenset(),)
    return tuple(frozenset(_NEEDED_NAME.findall(one.lower())) for one in plain.split(","))


class _Walk:
    """One pass over the tree; `base` changes where the first `<base href>` stands, as in a browser."""

    def __init__(self, url: str, html: bytes, pause: Callable[[], None]) -> None:
        self.pause = pause
        self.document_url = url
        self.base = url
        self.base_seen = False
        self.has_noscript = b"<noscript" in html.lower()
        self.without_scripting: set[int] = set()
        self.pictures: dict[int, bool] = {}

    def items(self, root: LexborNode | None) -> Iterator[Reference | InlineStyle]:
        if root is None:
            return
        if self.has_noscript:
            self.without_scripting = {node.mem_id for node in root.css("noscript *")}
        for node in root.css(_NAMING):
            self.pause()
            if node.mem_id in self.without_scripting:
                continue
            attributes = {name.lower(): value or "" for name, value in node.attributes.items()}
            if _NAMES_SOMETHING.search(attributes.get("style", "")):
                yield InlineStyle(attributes["style"], self.base, is_attribute=True)
            tag = node.tag or ""
            if tag == "base":
                self._take_base(attributes)
            elif tag == "style":
                if is_for_screen(attributes.get("media", "")):
                    yield InlineStyle(node.text(), self.base, is_attribute=False)
            elif tag in _READERS:
                yield from self._references(tag, attributes, node)

    def _take_base(self, attributes: dict[str, str]) -> None:
        if "href" in attributes and not self.base_seen:
            self.base_seen = True
            self.base = resolve(self.document_url, attributes["href"]) or self.base

    def _references(self, tag: str, attributes: dict[str, str], node: LexborNode) -> Iterator[Reference]:
        found = _READERS[tag](attributes)
        if found is None:
            return
        reference, kind, stage = found
        if tag == "img" and (_is_one_of_several(attributes) or self._is_in_picture(node)):
            return
        url = resolve(self.base, reference)
        if url is not None:
            yield Reference(url, kind, stage)

    def _is_in_picture(self, node: LexborNode) -> bool:
        """True for the `img` of a `picture` with sources: the client picks among them."""
        parent = node.parent
        if parent is None or parent.tag != "picture":
            return False
        picks = self.pictures.get(parent.mem_id)
        if picks is None:
            picks = self.pictures[parent.mem_id] = parent.css_first("source") is not None
        return picks


_Found = tuple[str, ResourceKind, Stage] | None


def _read_link(attributes: dict[str, str]) -> _Found:
    relations = attributes.get("rel", "").lower().split()
    href = attributes.get("href", "")
    if not is_for_screen(attributes.get("media", "")):
        return None
    if "stylesheet" in relations:
        is_css = attributes.get("type", "").strip().lower() in {"", "text/css"}
        wanted = is_css and "alternate" not in relations and "disabled" not in attributes
        return (href, ResourceKind.STYLE, Stage.BLOCKING) if wanted else None
    if "modulepreload" in relations:
        return href, ResourceKind.SCRIPT, Stage.DEFERRED
    if "preload" in relations and not _candidates(attributes.get("imagesrcset", "")):
        preload = _PRELOADS.get(attributes.get("as", "").strip().lower())
        return (href, *preload) if preload is not None else None
    return None


def _read_script(attributes: dict[str, str]) -> _Found:
    kind = attributes.get("type", "").strip().lower()
    if "nomodule" in attributes or (kind not in {"", "module"} and not _JAVASCRIPT.fullmatch(kind)):
        return None
    deferred = kind == "module" or "async" in attributes or "defer" in attributes
    return attributes.get("src", ""), ResourceKind.SCRIPT, Stage.DEFERRED if deferred else Stage.BLOCKING


def _read_image(attributes: dict[str, str]) -> _Found:
    if attributes.get("loading", "").strip().lower() == "lazy":
        return None
    candidates = _candidates(attributes.get("srcset", ""))
    source = next(iter(candidates)) if len(candidates) == 1 else attributes.get("src", "")
    return source, ResourceKind.IMAGE, Stage.IMAGE


def _read_input(attributes: dict[str, str]) -> _Found:
    is_image = attributes.get("type", "").strip().lower() == "image"
    return (attributes.get("src", ""), ResourceKind.IMAGE, Stage.IMAGE) if is_image else None


def _read_poster(attributes: dict[str, str]) -> _Found:
    return attributes.get("poster", ""), ResourceKind.IMAGE, Stage.IMAGE


def _read_svg(attributes: dict[str, str]) -> _Found:
    return attributes.get("href") or attributes.get("xlink:href", ""), ResourceKind.IMAGE, Stage.IMAGE


_READERS = {
    "link": _read_link,
    "script": _read_script,
    "img": _read_image,
    "input": _read_input,
    "video": _read_poster,
    "image": _read_svg,
    "use": _read_svg,
}


def _candidates(srcset: str) -> set[str]:
    """The URLs of a `srcset` (HTML Standard, section 4.8.4.2.1). A URL may hold commas, but not end with one."""
    urls: set[str] = set()
    rest = srcset
    while rest := rest.lstrip(" \t\n\r\f,"):
        url, *tail = rest.split(None, 1)
        rest = "" if not tail else tail[0]
        if not url.endswith(","):
            rest = rest.partition(",")[2]
        urls.add(url.rstrip(","))
    return urls


def _is_one_of_several(attributes: dict[str, str]) -> bool:
    """True when the client picks among the candidates of a `srcset`."""
    if "srcset" not in attributes:
        return False
    return len(_candidates(attributes["srcset"]) | ({attributes["src"]} if "src" in attributes else set())) > 1
