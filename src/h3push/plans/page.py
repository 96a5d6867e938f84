"""From a page to its push plan: what the page and its style sheets need, same origin, in the order of need.

The order: style sheets and parser-blocking scripts as they stand in the document, each sheet's imports right after it; then
fonts; then deferred scripts; then images, the page's own before those of its style sheets. Needed bytes come before bytes
that are not needed yet: pushing in another order is what made push slow where it was slow (Akamai, Polaris).

Style sheets are asked for through a function, so that a server reads files, a proxy its cache and a test a dictionary.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from operator import attrgetter

from h3push.http.url import origin_of, resolve, target_of
from h3push.plans.css import CssImage, CssScan, FontFace, scan_css, scan_style_attribute
from h3push.plans.html import HtmlDocument, InlineStyle, Reference
from h3push.plans.plan import PlannedResource, PlanSource, PushPlan, ResourceKind, Stage

LoadSheet = Callable[[str], bytes | None]
"""Gives the bytes of the same-origin style sheet at a `:path`, or `None` when there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageScanSettings:
    """Bounds of one scan. What they cut off is not pushed; the client asks for it as if push did not exist."""

    max_page_bytes: int = 1_048_576
    """Bytes of a page that are read. The largest hundredth of home pages' HTML begins below that (HTTP Archive)."""
    max_sheet_bytes: int = 1_048_576
    """Bytes of each style sheet that are read; a large framework's full sheet is a third of it."""
    max_sheets: int = 64
    """Style sheets that are read for one page; the rest is pushed unread, like any file."""
    max_import_depth: int = 8
    """How deep imports of imports are followed. Each level costs a client without push a round trip, so few sites have
    two."""
    max_resources: int = 128
    """Resources in a plan. Promises cost 40 to 120 bytes each before the page's first byte, and more than 50 may cost a
    further packet flight; half of all pages need fewer than 75 resources in all (HTTP Archive)."""


def scan_page(
    url: str,
    html: bytes,
    load_sheet: LoadSheet,
    settings: PageScanSettings = PageScanSettings(),
) -> PushPlan:
    """The push plan of the page at `url` (absolute, https), whose body is `html`."""
    document = HtmlDocument(url, html[: settings.max_page_bytes])
    scan = _Scan(url, load_sheet, settings)
    for item in document.items:
        if isinstance(item, Reference):
            scan.add(item, scan.page)
        else:
            scan.add_styles(scan_inline(item), item.base, scan.page, depth=0)
    scan.add_fonts_and_images(document)
    ordered = sorted(scan.found.values(), key=attrgetter("stage"))
    return PushPlan(
        page=scan.page,
        source=PlanSource.PAGE_SCAN,
        resources=tuple(ordered[: settings.max_resources]),
        left_out=max(0, len(ordered) - settings.max_resources),
        sheets=tuple(scan.sheets),
    )


def scan_inline(style: InlineStyle) -> CssScan:
    """What CSS inside a page names."""
    return scan_style_attribute(style.css) if style.is_attribute else scan_css(style.css)


def used_fonts(faces: Iterable[FontFace], families: set[str], document: HtmlDocument) -> list[FontFace]:
    """The faces whose family some declaration names and whose characters the page shows: what a browser would fetch."""
    text = document.characters()
    return [face for face in faces if face.family in families and face.covers(text)]


def shown_images(images: Iterable[CssImage], document: HtmlDocument) -> list[CssImage]:
    """The images of style rules that some element of the page matches."""
    answers: dict[str, bool] = {}
    shown = []
    for image in images:
        for selector in image.selectors:
            if selector not in answers:
                answers[selector] = document.matches(selector)
        if all(answers[selector] for selector in image.selectors):
            shown.append(image)
    return shown


class _Scan:
    """What was found so far. Fonts and images of sheets wait until every sheet is read: any sheet may use any font."""

    def __init__(self, url: str, load_sheet: LoadSheet, settings: PageScanSettings) -> None:
        self.origin = origin_of(url)
        self.page = target_of(url)
        self.load_sheet = load_sheet
        self.settings = settings
        self.found: dict[str, PlannedResource] = {}
        self.sheets: dict[str, None] = {}
        self.faces: list[tuple[FontFace, str, str]] = []
        self.images: list[tuple[CssImage, str, str]] = []
        self.families: set[str] = set()

    def add(self, reference: Reference, named_in: str, depth: int = 0) -> None:
        """Note a resource of this origin, and read it when it is a style sheet."""
        if origin_of(reference.url) != self.origin:
            return
        path = target_of(reference.url)
        if path == self.page or not self._note(PlannedResource(path, reference.kind, reference.stage, named_in)):
            return
        if reference.kind is ResourceKind.STYLE:
            self._read_sheet(reference.url, path, depth)

    def add_styles(self, styles: CssScan, base: str, named_in: str, depth: int) -> None:
        """Note what a style sheet names; its imports at once, in its place."""
        for written in styles.imports:
            url = resolve(base, written)
            if url is not None and depth < self.settings.max_import_depth:
                self.add(Reference(url, ResourceKind.STYLE, Stage.BLOCKING), named_in, depth + 1)
        self.faces += [(face, base, named_in) for face in styles.fonts]
        self.images += [(image, base, named_in) for image in styles.images]
        self.families |= styles.families

    def add_fonts_and_images(self, document: HtmlDocument) -> None:
        """Note the fonts that are used and the images that are shown."""
        used = set(map(id, used_fonts([face for face, _, _ in self.faces], self.families, document)))
        shown = set(map(id, shown_images([image for image, _, _ in self.images], document)))
        for face, base, named_in in self.faces:
            if id(face) in used:
                self._add_written(face.url, base, named_in, ResourceKind.FONT, Stage.FONT)
        for image, base, named_in in sorted(self.images, key=lambda found: found[2] != self.page):
            if id(image) in shown:
                self._add_written(image.url, base, named_in, ResourceKind.IMAGE, Stage.IMAGE)

    def _add_written(self, written: str, base: str, named_in: str, kind: ResourceKind, stage: Stage) -> None:
        url = resolve(base, written)
        if url is not None:
            self.add(Reference(url, kind, stage), named_in)

    def _note(self, resource: PlannedResource) -> bool:
        """Keep a resource; one that is there already only moves to the earlier of both stages. True when it is new."""
        known = self.found.get(resource.path)
        if known is None:
            self.found[resource.path] = resource
            return True
        if resource.stage < known.stage:
            del self.found[resource.path]
            self.found[resource.path] = resource
        return False

    def _read_sheet(self, url: str, path: str, depth: int) -> None:
        if len(self.sheets) >= self.settings.max_sheets:
            return
        css = self.load_sheet(path)
        self.sheets[path] = None
        if css is not None:
            self.add_styles(scan_css(css[: self.settings.max_sheet_bytes]), url, path, depth)
