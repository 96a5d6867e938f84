"""Links between pages lead somewhere; `make docs` holds those of the site to the same."""

import re
from pathlib import Path

import pytest

import h3push

from .pages import DOCS, ROOT, prose

PAGES = [*sorted(DOCS.rglob("*.md")), *sorted(ROOT.glob("*.md"))]
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """What the headings of a page are called in links."""
    headings = _HEADING.findall(prose(page))
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading.lower()).strip()) for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """A file that a page links to is there, and so is the heading."""
    for link in _LINK.findall(re.sub(r"`[^`\n]*`", "", prose(page))):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_file(), f"{link} leads nowhere"
        assert not anchor or anchor in anchors(target), f"{target.name} has no heading for #{anchor}"


def test_every_public_name_is_documented() -> None:
    """Each name of `h3push.__all__` stands on a page of the reference."""
    reference = "".join(page.read_text(encoding="utf-8") for page in sorted((DOCS / "reference").glob("*.md")))
    for name in h3push.__all__:
        if name != "__version__":
            assert re.search(rf"\b{name}\b", reference), f"docs/reference/python.md does not have {name}"


def test_every_page_is_in_the_navigation() -> None:
    """A page that `zensical.toml` does not name cannot be found in the site."""
    navigation = (ROOT / "zensical.toml").read_text(encoding="utf-8")
    for page in DOCS.rglob("*.md"):
        assert f'"{page.relative_to(DOCS)}"' in navigation, page
