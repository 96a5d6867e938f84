"""Of a style sheet only the rules that tell something are parsed, in pieces, and it means the same as in one."""

import pytest
import tinycss2
from hypothesis import given
from hypothesis import strategies as st

from h3push.plans import css as module
from h3push.plans.css import CssScan, scan_css
from h3push.plans.css_rules import PIECE, split_rules, telling_rules

PARTS = [
    "@import 'a.css';", "@charset 'utf-8';", "@layer a, b;", "p { background: url(a.png) }",
    "@media screen { p { background: url(b) } }", "@font-face { font-family: F; src: url('f.woff2') }",
    ".x { font: 1em F, 'G } H' }", "/* } */", "/* ' { */", "/*", "*/", "'", '"', "}", "{", "(", ")", "[", "]", "url(",
    "url(x}y)", "url( 'a)}' )", "\\", "\\}", "\\{", "\n", " ", "a:b", ";", "<!--", "-->", "@x", "url(\\)})",
    "xurl(}", "#a", "\\'",
]  # fmt: skip


def scan_whole(css):
    """Scan a sheet that is parsed all at once."""
    rules = tinycss2.parse_stylesheet(css, skip_comments=True, skip_whitespace=True)
    scan = CssScan()
    module._scan_imports(rules, scan)
    module._scan_rules(rules, scan, (), 0)
    return scan


@given(st.lists(st.sampled_from(PARTS)).map("".join))
def test_a_sheet_in_parts_means_what_the_whole_sheet_means(css):
    """Nothing is open where a sheet is cut, and the rules that are left out name nothing, whatever nonsense stands in it."""
    assert "".join(split_rules(css)) == css
    assert scan_css(css) == scan_whole(css)


def test_a_long_sheet_is_parsed_in_pieces():
    """The tree of a megabyte of CSS would hold up every thread at each garbage collection."""
    css = "".join(f".a{n} {{ background: url(i{n}.png) }}\n" for n in range(5_000))
    rules = telling_rules(css)
    assert len(rules.pieces) > 5
    assert all(PIECE <= len(piece) < PIECE + 100 for piece in rules.pieces[:-1])
    assert [image.url for image in scan_css(css).images] == [f"i{n}.png" for n in range(5_000)]


def test_rules_that_name_nothing_are_not_parsed():
    """Most of a framework's sheet: margins and colours."""
    plain = ".a { margin: 0; color: var(--x) } .b--c:hover { border: 1px } "
    rules = telling_rules("@charset 'utf-8';" + plain * 1_000 + ".a { background: url(a.png) }" + plain * 1_000)
    assert rules.size < 100_000 / 2
    assert [image.url for image in scan_css("".join(rules.pieces)).images] == ["a.png"]


@pytest.mark.parametrize("before", ["", "@charset 'utf-8';", "@layer a, b; ", "/* } */"])
def test_an_import_counts_only_at_the_beginning_of_the_sheet(before):
    """Not at the beginning of each piece."""
    css = (
        before + "@import 'a.css'; " + "p { background: url(x) } " * 2_000 + "@import 'b.css'; p { background: url(y) }"
    )
    assert scan_css(css).imports == ["a.css"]
    assert scan_css("p { color: red } @import 'b.css'; p { background: url(y) }").imports == []
