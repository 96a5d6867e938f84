"""What the pages name exists: commands and their options, targets of make, names of h3push."""

import importlib
import re
from pathlib import Path

import pytest
import rich_click as click

import h3push
from h3push.cli.main import COMMANDS, cli

from .pages import ROOT, blocks, inline_code, shell_lines, words, written_pages

PAGES = written_pages()
OF_OTHERS = {
    "--since",
    "--deploy-hook",
    "--help",
    "--ignore-certificate-errors-spki-list",
    "--origin-to-force-quic-on",
    "--version",
}
"""Options that the text names and that are another program's, or every program's."""


def command_named(name: str) -> click.Command:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None, f"h3push has no command {name}"
    return command


def all_options(command: click.Command) -> set[str]:
    """The options of a command and of those below it."""
    found = {name for one in command.params for name in (*one.opts, *one.secondary_opts, *getattr(one, "aliases", ()))}
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            below = command.get_command(click.Context(command), name)
            assert below is not None
            found |= all_options(below)
    for below in getattr(command, "below", {}).values():
        found |= all_options(below)
    return found


def check_h3push(arguments: list[str]) -> None:
    """Hold a command line against the parser of its command."""
    if not arguments or arguments[0].startswith("-") or arguments[0] == "COMMAND":
        return
    command = command_named(arguments[0])
    known = {"-h", "--help", *all_options(command)}
    for word in arguments[1:]:
        if word.startswith("-") and len(word) > 1:
            assert word.partition("=")[0] in known, f"h3push {arguments[0]} has no option {word}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_their_options_exist(page: Path) -> None:
    """Shell blocks, units and code in the text name real commands, options and targets of make."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for line in shell_lines(page):
        found = [word for word in words(line) if "=" not in word or word.startswith("-")]
        if found and found[0] == "h3push":
            check_h3push(found[1:])
        elif found and found[0] == "make":
            assert set(found[1:]) <= targets, f"{line}: the Makefile has {sorted(targets)}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_in_the_text_exist(page: Path) -> None:
    """An option that a sentence names is one of some command."""
    known = set().union(*(all_options(command_named(name)) for name in COMMANDS)) | OF_OTHERS
    for code in inline_code(page):
        for option in re.findall(r"^--[a-z][a-z0-9-]*", code):
            assert option in known, f"no command has {option}"


def source_of(thing: type) -> str:
    """The file that a class stands in; what is imported may be compiled."""
    return (ROOT / "src").joinpath(*thing.__module__.split(".")).with_suffix(".py").read_text(encoding="utf-8")


def exists(name: str) -> bool:
    """Whether a dotted name that begins with h3push leads to something."""
    thing: object = h3push
    path = "h3push"
    for part in name.split(".")[1:]:
        path += f".{part}"
        if hasattr(thing, part):
            thing = getattr(thing, part)
            continue
        try:
            thing = importlib.import_module(path)
        except ModuleNotFoundError:
            return isinstance(thing, type) and bool(
                re.search(rf"self\.{part}\b|^    {part}:", source_of(thing), re.MULTILINE)
            )
    return True


LOGGERS = frozenset({"h3push.server", "h3push.lifecycle"})
"""Names of loggers that pages tell of."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_names_of_h3push_exist(page: Path) -> None:
    """A name in the text or in a block can be imported."""
    texts = [*inline_code(page), *(block.text for block in blocks(page) if block.language == "python")]
    for text in texts:
        for name in re.findall(r"(?<![\w./-])h3push(?:\.[A-Za-z_]\w*)+", text):
            assert exists(name) or name in LOGGERS, f"there is no {name}"


def test_figures_are_those_of_the_benchmarks() -> None:
    """What "When push pays" tells as measured stands in the tables that `make bench-page-loads` writes."""
    told = (ROOT / "docs" / "explanation" / "when-push-pays.md").read_text(encoding="utf-8")
    measured = (ROOT / "docs" / "reference" / "benchmarks.md").read_text(encoding="utf-8")
    pairs = re.findall(r"\| \d+ ms \| ([\d,]+) \| ([\d,]+) \|", told)
    rows = re.findall(
        r"^\| \d+ ms, 10 Mbit/s \| [\d.,]+ \| ([\d.,]+) \| [\d.,]+ \| ([\d.,]+) \|", measured, re.MULTILINE
    )
    rounded = {tuple(f"{float(figure.replace(',', '')):,.0f}" for figure in row) for row in rows}
    assert len(pairs) == 5
    assert set(pairs) <= rounded


def test_the_parsers_of_pages_can_fail() -> None:
    """A command, an option and a name that do not exist are seen."""
    with pytest.raises(AssertionError, match="no option --nonsense"):
        check_h3push(["serve", "site", "--nonsense"])
    with pytest.raises(AssertionError, match="no command"):
        check_h3push(["nonsense"])
    assert not exists("h3push.nonsense")
    assert exists("h3push.Server.counters")
    assert exists("h3push.ServerSettings.max_connections")
