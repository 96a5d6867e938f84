"""The pages of the documentation, taken apart: blocks with their language and title, commands, names in the text."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
_FENCE = re.compile(r"^```(\w*)(?: title=\"([^\"]*)\")?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    language: str
    title: str
    """Name of the file that the reader saves it as; empty when it is not a file."""
    text: str

    def commands(self) -> list[str]:
        """The lines of a shell block, continued ones joined."""
        return [line for line in re.sub(r"\\\n *", "", self.text).splitlines() if line]


def blocks(page: Path) -> list[Block]:
    return [Block(*found) for found in _FENCE.findall(page.read_text(encoding="utf-8"))]


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def inline_code(page: Path) -> list[str]:
    return _CODE.findall(prose(page))


def written_pages() -> list[Path]:
    """Every page that somebody wrote, with those in the root of the repository."""
    made = ("Made from the code", "Written by `tools/conformance.py`", "Drawn from")
    pages = [*sorted(DOCS.rglob("*.md")), *(ROOT / name for name in ("README.md", "CONTRIBUTING.md"))]
    return [page for page in pages if not any(words in page.read_text(encoding="utf-8")[:400] for words in made)]


def shell_lines(page: Path) -> Iterator[str]:
    """What a reader may type: lines of shell blocks, indented ones, and code in the text that begins with a command."""
    for block in blocks(page):
        if block.language == "sh":
            yield from block.commands()
        elif block.language == "ini":
            yield from re.findall(r"^ExecStart=(.*)$", block.text, re.MULTILINE)
    text = prose(page)
    yield from re.findall(r"^    ((?:h3push|make) .*)$", text, re.MULTILINE)
    yield from (code for code in inline_code(page) if code.startswith(("h3push ", "make ")))


def words(line: str) -> list[str]:
    """A shell line as words: the program without its folder; no redirection, no pipe, nothing said beside it."""
    found = shlex.split(re.split(r"[|>&]|\s{2,}", line.strip())[0])
    return [found[0].rpartition("/")[2], *found[1:]] if found else [""]
