"""Style sheets, read with tinycss2 (CSS Syntax Level 3) for the imports, fonts and images that they name.

A push helps only when its resource is certain to be fetched, so conditions are kept: a face carries its family and its
characters, an image the selectors that must match. Left out as uncertain: `print` and `speech` blocks, `local()` before a `url()`
(the client may have the font), `image-set()` (the client picks), and cursors (fetched when hovered).
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import tinycss2  # type: ignore[import-untyped]

from h3push.plans.css_rules import TellingRules, telling_rules

MAX_NESTING = 32
"""Blocks inside blocks that are followed. Sheets written by hand or by tools nest three or four."""

MAX_FAMILY_WORDS = 8
"""Words that the name of a font family without quotes may have. Of a run of words every ending may be a name, so a run without
bound would cost the square of its length."""

OTHER_MEDIA = frozenset({"print", "speech"})
"""Media types for which a page on a screen fetches nothing at once."""
_FONT_FORMATS = frozenset(
    {"woff2", "woff", "woff2-variations", "woff-variations", "opentype", "truetype", "otf", "ttf"}
)
_GROUPS = frozenset({"media", "supports", "layer", "container", "scope", "starting-style"})
_ALL_CHARACTERS = ((0, 0x10FFFF),)

# tinycss2 has no annotations; a component value of its tree is `Any` here and nowhere else.
Node = Any


@dataclass(frozen=True, slots=True)
class FontFace:
    """One @font-face with a file that the client would fetch when its family is used."""

    url: str
    """As written in the sheet."""
    family: str
    """Lower-case family name."""
    characters: tuple[tuple[int, int], ...] = _ALL_CHARACTERS
    """First and last code point of each range in `unicode-range`."""

    @property
    def covers_all(self) -> bool:
        """True for a face without `unicode-range`."""
        return self.characters == _ALL_CHARACTERS

    def covers(self, text: Sequence[int]) -> bool:
        """True when one of the code points in `text`, which are in ascending order, is in the face's range."""
        for first, last in self.characters:
            at = bisect_left(text, first)
            if at < len(text) and text[at] <= last:
                return True
        return False


@dataclass(frozen=True, slots=True)
class CssImage:
    """One `url()` in a declaration."""

    url: str
    """As written in the sheet."""
    selectors: tuple[str, ...] = ()
    """Selector lists of the rule and of the rules around it, outermost first; all must match for the image to be fetched."""


@dataclass(slots=True)
class CssScan:
    """The names in one style sheet, in its order."""

    imports: list[str] = field(default_factory=list)
    """@import URLs as written, without those for other media."""
    fonts: list[FontFace] = field(default_factory=list)
    """Faces."""
    images: list[CssImage] = field(default_factory=list)
    """Images."""
    families: set[str] = field(default_factory=set)
    """Lower-case names of the font families that some declaration may use."""


def scan_css(css: bytes | str) -> CssScan:
    """Read a style sheet. Nothing is raised for a malformed one: CSS says what is skipped.

    Where thousands of brackets are nested in one value or selector, reading ends there: what stands before is told.
    """
    return scan_rules(telling_rules(css))


def scan_rules(rules: TellingRules, pause: Callable[[], None] = lambda: None) -> CssScan:
    """Read the rules of a style sheet, piece by piece; `pause` is called after each.

    The tree of a piece is gone when the next one is read. That of a whole sheet is some hundred times its text, and each full
    garbage collection would hold up every thread to look through it.
    """
    scan = CssScan()
    with suppress(RecursionError):
        for number, piece in enumerate(rules.pieces):
            parsed = tinycss2.parse_stylesheet(piece, skip_comments=True, skip_whitespace=True)
            if number == 0 and rules.with_imports:
                _scan_imports(parsed, scan)
            _scan_rules(parsed, scan, (), 0)
            pause()
    return scan


def scan_style_attribute(css: str) -> CssScan:
    """Read the declarations of a `style` attribute."""
    scan = CssScan()
    with suppress(RecursionError):
        _scan_rules(tinycss2.parse_blocks_contents(css, skip_comments=True, skip_whitespace=True), scan, (), 0)
    return scan


def is_for_screen(media: str) -> bool:
    """True unless a media query list names other media only (`print`, `speech`); conditions count as fulfilled."""
    queries = [query.split() for query in media.lower().split(",") if query.strip()]
    return not queries or any(
        query[query[0] == "only" :][:1] != [] and query[query[0] == "only"] not in OTHER_MEDIA for query in queries
    )


def _scan_imports(rules: Iterable[Node], scan: CssScan) -> None:
    """@import counts only before any other rule but @charset and @layer without a block (CSS Cascade Level 5, section 2)."""
    for rule in rules:
        keyword = rule.lower_at_keyword if rule.type == "at-rule" else None
        if keyword == "import":
            values = [value for value in rule.prelude if value.type not in {"whitespace", "comment"}]
            url = _url_of(values[0], strings=True) if values else None
            if url is not None and is_for_screen(_import_media(values[1:])):
                scan.imports.append(url)
        elif rule.type != "error" and (keyword not in {"charset", "layer"} or rule.content is not None):
            return


def _import_media(values: list[Node]) -> str:
    """The media query list of an @import: what follows `layer`, `layer()` and `supports()`."""
    rest = [
        value
        for value in values
        if not (value.type == "function" and value.lower_name in {"layer", "supports"})
        and not (value.type == "ident" and value.lower_value == "layer")
    ]
    return " ".join(str(value.serialize()) for value in rest)


def _scan_rules(rules: Iterable[Node], scan: CssScan, selectors: tuple[str, ...], depth: int) -> None:
    if depth > MAX_NESTING:
        return
    for rule in rules:
        if rule.type == "declaration":
            _scan_declaration(rule, scan, selectors)
        elif rule.type == "qualified-rule":
            inner = (*selectors, str(tinycss2.serialize(rule.prelude)).strip())
            _scan_rules(_contents(rule), scan, inner, depth + 1)
        elif rule.type == "at-rule" and rule.content is not None:
            _scan_at_rule(rule, scan, selectors, depth)


def _scan_at_rule(rule: Node, scan: CssScan, selectors: tuple[str, ...], depth: int) -> None:
    keyword = rule.lower_at_keyword
    if keyword == "font-face":
        _scan_font_face(rule, scan)
    elif keyword in _GROUPS and (keyword != "media" or is_for_screen(str(tinycss2.serialize(rule.prelude)))):
        _scan_rules(_contents(rule), scan, selectors, depth + 1)


def _contents(rule: Node) -> Iterable[Node]:
    contents: Iterable[Node] = tinycss2.parse_blocks_contents(rule.content, skip_comments=True, skip_whitespace=True)
    return contents


def _scan_declaration(declaration: Node, scan: CssScan, selectors: tuple[str, ...]) -> None:
    name = declaration.lower_name
    if name in {"font", "font-family"} or name.startswith("--"):
        scan.families.update(_families(declaration.value))
    if name != "cursor":
        scan.images.extend(CssImage(url, selectors) for url in _urls(declaration.value))


def _scan_font_face(rule: Node, scan: CssScan) -> None:
    """A face counts with its first file in a format that today's clients read."""
    values = {item.lower_name: item.value for item in _contents(rule) if item.type == "declaration"}
    url = _first_font_file(values.get("src", []))
    families = _families(values.get("font-family", []))
    if url is None or not families:
        return
    ranges = [(value.start, value.end) for value in values.get("unicode-range", []) if value.type == "unicode-range"]
    scan.fonts.append(FontFace(url, max(families, key=len), tuple(ranges) or _ALL_CHARACTERS))


def _first_font_file(values: list[Node]) -> str | None:
    for source in _split_at_commas(values):
        if any(value.type == "function" and value.lower_name == "local" for value in source):
            return None
        url = next((found for value in source if (found := _url_of(value)) is not None), None)
        formats = [value for value in source if value.type == "function" and value.lower_name == "format"]
        if url is not None and (not formats or _font_format(formats[0]) in _FONT_FORMATS):
            return url
    return None


def _font_format(function: Node) -> str:
    return next((str(value.value).lower() for value in function.arguments if value.type in {"string", "ident"}), "")


def _split_at_commas(values: Iterable[Node]) -> Iterator[list[Node]]:
    part: list[Node] = []
    for value in values:
        if value.type == "literal" and value.value == ",":
            yield part
            part = []
        else:
            part.append(value)
    yield part


def _families(values: Iterable[Node]) -> set[str]:
    """Family names that a value may hold: each string, and each run of identifiers (`Source Sans`, `bold 1em Inter`).

    Of a run every ending counts, up to `MAX_FAMILY_WORDS`, because in `font` keywords stand before the family.
    """
    names: set[str] = set()
    for part in _split_at_commas(values):
        words: list[str] = []
        for value in part:
            if value.type == "string":
                names.add(value.value.lower())
            elif value.type == "ident":
                words.append(value.lower_value)
            elif value.type == "function":
                names |= _families(value.arguments)
        first = max(0, len(words) - MAX_FAMILY_WORDS)
        names.update(" ".join(words[start:]) for start in range(first, len(words)))
    return names


def _url_of(value: Node, *, strings: bool = False) -> str | None:
    """The URL in `url(x)`, `url("x")` and, where CSS takes one, in a string."""
    if value.type == "url" or (strings and value.type == "string"):
        return str(value.value)
    if value.type == "function" and value.lower_name == "url":
        return next((str(argument.value) for argument in value.arguments if argument.type == "string"), None)
    return None


def _urls(values: Iterable[Node], depth: int = 0) -> Iterator[str]:
    """Every `url()` in a value, also inside gradients and `var()` fallbacks, not inside `image-set()`."""
    for value in values:
        url = _url_of(value)
        if url is not None:
            yield url
        elif value.type == "function" and not value.lower_name.endswith("image-set") and depth < MAX_NESTING:
            yield from _urls(value.arguments, depth + 1)
