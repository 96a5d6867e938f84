"""The needs of a page, as a browser comes to know of them: step by step, each resource once.

Theory of operation. Markup is read as it arrives, as a browser's preload scanner does. The styles in the page are read when the
page is complete, and a style sheet when it is: then its imports are known. Fonts and the images of style sheets come last,
because only when every sheet is there is it known which of them are used.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from h3push.http.url import resolve
from h3push.plans.css import CssImage, CssScan, FontFace, scan_css
from h3push.plans.html import HtmlDocument, InlineStyle, Reference
from h3push.plans.page import PageScanSettings, scan_inline, shown_images, used_fonts
from h3push.plans.plan import ResourceKind, Stage

MOST_RESOURCES = 10_000
"""Resources of one page, when nobody says how many: far more than any page has."""
_HTML_BYTES_OF_A_SELECTOR = 400
"""Bytes of HTML for each of which looking for a selector costs as much as reading one byte of CSS (measured)."""


@dataclass(slots=True)
class _Styles:
    """Fonts and images that style sheets named, kept until every sheet is there."""

    faces: list[tuple[FontFace, str]] = field(default_factory=list)
    images: list[tuple[CssImage, str]] = field(default_factory=list)
    families: set[str] = field(default_factory=set)


class Discovery:
    """One page load, seen by what it finds. Each method gives what is new.

    Args:
        url: the page, absolute and https.
        most: resources that are given out; `left_out` counts those beyond.
        settings: bounds of what is read.
    """

    def __init__(self, url: str, *, most: int = MOST_RESOURCES, settings: PageScanSettings | None = None) -> None:
        self._url = url
        self._most = most
        self._settings = settings or PageScanSettings()
        self._beyond: set[str] = set()
        self._known = {url.partition("#")[0]}
        self._depths: dict[str, int] = {}
        self._styles = _Styles()
        self._document: HtmlDocument | None = None
        self._asks_left = 0

    @property
    def left_out(self) -> int:
        """Resources beyond the bound on their number."""
        return len(self._beyond)

    def in_markup(self, html: bytes) -> list[Reference]:
        """Resources that the part of the page names that has arrived."""
        items = HtmlDocument(self._url, html[: self._settings.max_page_bytes]).items
        return self._new(item for item in items if isinstance(item, Reference))

    def in_page(self, html: bytes) -> list[Reference]:
        """Resources that the whole page names, the imports of its own styles included."""
        html = html[: self._settings.max_page_bytes]
        document = self._document = HtmlDocument(self._url, html)
        self._asks_left = self._settings.max_work // (1 + len(html) // _HTML_BYTES_OF_A_SELECTOR)
        found = self._new(item for item in document.items if isinstance(item, Reference))
        for item in document.items:
            if isinstance(item, InlineStyle):
                found += self._read(scan_inline(item), item.base, depth=0)
        return found

    def in_sheet(self, url: str, css: bytes) -> list[Reference]:
        """The imports of a style sheet.

        Args:
            url: as it was found.
            css: its content.
        """
        return self._read(scan_css(css[: self._settings.max_sheet_bytes]), url, self._depths.get(url, 0))

    def in_styles(self) -> list[Reference]:
        """The fonts and images of style sheets that the page uses. To be asked when the page and every sheet were read."""
        if self._document is None:
            return []
        used = used_fonts([face for face, _ in self._styles.faces], self._styles.families, self._document)
        shown = shown_images([image for image, _ in self._styles.images], self._document, self._may_ask)
        fonts = [
            Reference(url, ResourceKind.FONT, Stage.FONT)
            for face, base in self._styles.faces
            if face in used and (url := resolve(base, face.url)) is not None
        ]
        images = [
            Reference(url, ResourceKind.IMAGE, Stage.IMAGE)
            for image, base in self._styles.images
            if image in shown and (url := resolve(base, image.url)) is not None
        ]
        return self._new([*fonts, *images])

    def _may_ask(self) -> bool:
        self._asks_left -= 1
        return self._asks_left >= 0

    def _read(self, styles: CssScan, base: str, depth: int) -> list[Reference]:
        imports: list[Reference] = []
        for written in styles.imports:
            url = resolve(base, written)
            if url is not None and depth < self._settings.max_import_depth:
                self._depths.setdefault(url, depth + 1)
                imports.append(Reference(url, ResourceKind.STYLE, Stage.BLOCKING))
        self._styles.faces += [(face, base) for face in styles.fonts]
        self._styles.images += [(image, base) for image in styles.images]
        self._styles.families |= styles.families
        return self._new(imports)

    def _new(self, references: Iterable[Reference]) -> list[Reference]:
        found = []
        for reference in references:
            if reference.url in self._known:
                continue
            if len(self._known) > self._most:
                self._beyond.add(reference.url)
                continue
            self._known.add(reference.url)
            found.append(reference)
        return found
