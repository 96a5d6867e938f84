"""Reports of the benchmarks: tables as text and Markdown, the machine, the page that they are kept on."""

import os
import platform
import re
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "benchmarks.md"
"""Where the figures stand. Each program replaces what is between its own two markers."""

UNOPTIMISED = "no profile-guided optimisation"
"""What `build_of_python` says of an interpreter that nobody ships."""


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table for a terminal: the first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]

    def line(row: Sequence[str]) -> str:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        return "  ".join(cells).rstrip()

    return "\n".join([line(header), "  ".join("-" * width for width in widths), *(line(row) for row in rows)])


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The same in Markdown."""
    lines = [" | ".join(header), " | ".join(["---"] + ["--:"] * (len(header) - 1)), *(" | ".join(row) for row in rows)]
    return "\n".join(f"| {line} |" for line in lines)


def write_section(name: str, text: str) -> None:
    """Put `text` between the markers of that name."""
    begin, end = f"<!-- {name}: begin, written by bench/{name}.py -->", f"<!-- {name}: end -->"
    page = PAGE.read_text(encoding="utf-8")
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    section = f"{begin}\n\n{text.strip()}\n\n{end}"
    if not pattern.search(page):
        raise SystemExit(f"{PAGE} has no section for {name}: put {begin} and {end} where it belongs")
    PAGE.write_text(pattern.sub(lambda _: section, page), encoding="utf-8")


def machine() -> str:
    """Processor, cores, memory, kernel and Python, in one line."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    python = f"{platform.python_implementation()} {platform.python_version()} ({build_of_python()})"
    return f"{model}, {os.cpu_count()} cores, {gigabytes:.0f} GB, Linux {platform.release()}, {python}"


def build_of_python() -> str:
    """Who built this Python, or how: profile-guided optimisation saves Python code up to a fifth of its time.

    Distributions use it, but by a way of their own that their configuration does not show.
    """
    if "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or ""):
        return "profile-guided optimisation"
    if sys.base_prefix == "/usr":
        return f"as packaged by {platform.freedesktop_os_release()['NAME']}"
    return UNOPTIMISED


def figure(value: float) -> str:
    """A number with as many digits as it can claim."""
    return f"{value:,.0f}" if value >= 100 else f"{value:,.1f}"


@dataclass(frozen=True, slots=True)
class Target:
    """Something that the project holds itself to."""

    text: str
    """The sentence that the tables have for it."""
    measured: float | None
    """The ratio or figure; `None`: it could not be measured in this run."""
    wanted: float
    """The bound."""
    at_most: bool = False
    """True when less is better."""
    beside: float | None = None
    """For a ratio by CPU the same by rate, or the other way round: the table's header says which."""

    @property
    def met(self) -> bool:
        """Whether it was measured and is as wanted."""
        if self.measured is None:
            return False
        return self.measured <= self.wanted if self.at_most else self.measured >= self.wanted

    @property
    def row(self) -> list[str]:
        """The row of the table."""
        sign = "<=" if self.at_most else ">="
        if self.measured is None:
            return [self.text, "-", "", f"{sign} {self.wanted:g}", "not measured"]
        beside = "" if self.beside is None else f"{self.beside:.2f}"
        return [self.text, f"{self.measured:.2f}", beside, f"{sign} {self.wanted:g}", "pass" if self.met else "SHORT"]
