"""From a page to its push plan: what the page and its style sheets need, same origin, in the order of need.

The order: style sheets and parser-blocking scripts as they stand in the document, each sheet's imports right after it; then
fonts; then deferred scripts; then images, the page's own before those of its style sheets. Needed bytes come before bytes
that are not needed yet: pushing in another order is what made push slow where it was slow (Akamai, Polaris).

Style sheets are asked for through a function, so that a server reads files, a proxy its cache and a test a dictionary.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from operator import attrgetter

from h3push.http.url import origin_of, resolve, target_of
from h3push.plans.css import CssImage, CssScan, FontFace, scan_css, scan_rules, scan_style_attribute
from h3push.plans.css_rules import telling_rules
from h3push.plans.html import HtmlDocument, InlineStyle, Reference
from h3push.plans.plan import PlannedResource, PlanSource, PushPlan, ResourceKind, Stage

LoadSheet = Callable[[str], bytes | CssScan | None]
"""Gives the bytes of the same-origin style sheet at a `:path`, or what they name where that is known; `None`: there is none."""

_HTML_BYTES = 8
_CSS_BYTES = 16
_REFERENCE = 16
_SELECTOR = 8
_HTML_BYTES_OF_A_SELECTOR = 400
"""Work in units of a byte of CSS that is parsed, measured: so many bytes of HTML, or of CSS that is looked through, are one; a
reference; asking for one selector, and each so many bytes of HTML that it is looked for in."""


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
    """Depth to which imports of imports are followed. Each level costs a client without push a round trip, so few sites have
    two."""
    max_resources: int = 128
    """Resources in a plan. Promises cost 40 to 120 bytes each before the page's first byte, and more than 50 may cost a
    further packet flight; half of all pages need fewer than 75 resources in all (HTTP Archive)."""
    max_work: int = 8_388_608
    """Work of a scan, where reading one byte of CSS is 1: some 0.7 us. Selectors are looked for in the page, so without a bound a
    page of a megabyte with as many selectors would take minutes."""


def scan_page(
    url: str,
    html: bytes,
    load_sheet: LoadSheet,
    settings: PageScanSettings = PageScanSettings(),
    sheet_read: Callable[[str, CssScan], None] | None = None,
    pause: Callable[[], None] = lambda: None,
) -> PushPlan:
    """The push plan of the page at `url` (absolute, https), whose body is `html`.

    `sheet_read` is told what each style sheet names that was loaded as bytes; `pause` is called each millisecond or two, so that
    a thread can let others run. The plan's `complete` is False when `max_work` left
    something out; what is in the plan is needed all the same.
    """
    scan = _Scan(url, load_sheet, settings, sheet_read, pause)
    scan.read(html[: settings.max_page_bytes])
    ordered = sorted(scan.found.values(), key=attrgetter("stage"))
    return PushPlan(
        page=scan.page,
        source=PlanSource.PAGE_SCAN,
        resources=tuple(ordered[: settings.max_resources]),
        left_out=max(0, len(ordered) - settings.max_resources),
        sheets=tuple(scan.sheets),
        complete=scan.complete,
    )


def scan_inline(style: InlineStyle) -> CssScan:
    """Read the CSS inside a page."""
    return scan_style_attribute(style.css) if style.is_attribute else scan_css(style.css)


def used_fonts(faces: Iterable[FontFace], families: set[str], document: HtmlDocument) -> list[FontFace]:
    """The faces whose family some declaration names and whose characters the page shows: what a browser would fetch.

    A face for every character is taken for used without a look at the text, for hardly a page has none.
    """
    return [face for face in faces if face.family in families and (face.covers_all or face.covers(document.characters))]


def shown_images(
    images: Iterable[CssImage], document: HtmlDocument, may_ask: Callable[[], bool] = lambda: True
) -> list[CssImage]:
    """The images of style rules that some element of the page matches; none of a rule that `may_ask` forbids to look for."""
    answers: dict[str, bool] = {}
    shown = []
    for image in images:
        for selector in image.selectors:
            if selector not in answers:
                answers[selector] = document.may_match(selector) and may_ask() and document.matches(selector)
            if not answers[selector]:
                break
        else:
            shown.append(image)
    return shown


class _Scan:
    """A scan under way. Fonts and images of sheets wait until every sheet is read: any sheet may use any font."""

    def __init__(
        self,
        url: str,
        load_sheet: LoadSheet,
        settings: PageScanSettings,
        sheet_read: Callable[[str, CssScan], None] | None,
        pause: Callable[[], None],
    ) -> None:
        self.url = url
        self.origin = origin_of(url)
        self.page = target_of(url)
        self.load_sheet = load_sheet
        self.sheet_read = sheet_read
        self.pause = pause
        self.settings = settings
        self.found: dict[str, PlannedResource] = {}
        self.sheets: dict[str, None] = {}
        self.faces: list[tuple[FontFace, str, str]] = []
        self.images: list[tuple[CssImage, str, str]] = []
        self.families: set[str] = set()
        self.complete = True
        self._work = 0

    def read(self, html: bytes) -> None:
        """Read the page and its style sheets."""
        if not self._may_do(len(html) // _HTML_BYTES):
            return
        document = HtmlDocument(self.url, html, self.pause)
        for item in document.items:
            if isinstance(item, Reference):
                self.add(item, self.page)
            elif self._may_do(len(item.css)):
                self.add_styles(scan_inline(item), item.base, self.page, depth=0)
        self.add_fonts_and_images(document, _SELECTOR + len(html) // _HTML_BYTES_OF_A_SELECTOR)

    def _may_do(self, work: int) -> bool:
        """True, and accounted for, when the bound leaves room for this much work."""
        self.pause()
        if self._work + work > self.settings.max_work:
            self.complete = False
            return False
        self._work += work
        return True

    def add(self, reference: Reference, named_in: str, depth: int = 0) -> None:
        """Note a resource of this origin, and read it when it is a style sheet."""
        self._work += _REFERENCE  # never refused: the bytes that it stands in are accounted for
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

    def add_fonts_and_images(self, document: HtmlDocument, work_of_a_selector: int) -> None:
        """Note the fonts that are used and the images that are shown."""
        used = set(map(id, used_fonts([face for face, _, _ in self.faces], self.families, document)))
        images = [image for image, _, _ in self.images]
        shown = set(map(id, shown_images(images, document, partial(self._may_do, work_of_a_selector))))
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
        names = self._names_in(path, css) if isinstance(css, bytes) else css
        if names is not None:
            self.add_styles(names, url, path, depth)

    def _names_in(self, path: str, css: bytes) -> CssScan | None:
        """Read a style sheet, unless that is too much work."""
        css = css[: self.settings.max_sheet_bytes]
        if not self._may_do(len(css) // _CSS_BYTES):
            return None
        rules = telling_rules(css)
        if not self._may_do(rules.size):
            return None
        names = scan_rules(rules, self.pause)
        if self.sheet_read is not None:
            self.sheet_read(path, names)
        return names
