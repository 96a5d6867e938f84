"""The page of the command line: every command with its arguments and options, from the objects that parse them."""

import re

import rich_click as click
from documented import one_line, table, under_each_name

from h3push.cli.failures import ExitCode
from h3push.cli.main import COMMANDS, cli

HEAD = """# Command line

Made from the code by `tools/reference.py`; do not edit by hand. `h3push COMMAND --help` says the same in a terminal.
"""

EXIT_CODES = """Those of `h3push get` are curl's where curl has one. The kind is what `--json` puts into its `error` object.
"""


def usage(name: str, command: click.Command) -> str:
    """One line, as `--help` begins."""
    arguments = [
        one.make_metavar(click.Context(command)) for one in command.params if one.param_type_name == "argument"
    ]
    return " ".join(["h3push", name, "[OPTIONS]", *arguments])


def spelling(option: click.Option) -> str:
    """All that may be typed, with the value that follows."""
    names = [*option.opts, *option.secondary_opts, *getattr(option, "aliases", ())]
    context = click.Context(click.Command("none"))
    value = "" if option.is_flag or option.count else f" {value_of(option, context)}"
    return ", ".join(f"`{name}{value}`" for name in sorted(names, key=lambda name: (name.startswith("--"), len(name))))


def value_of(option: click.Option, context: click.Context) -> str:
    """The word that stands for the value."""
    if isinstance(option.type, click.Choice):
        return "{" + ",".join(option.type.choices) + "}"
    return option.metavar or ("N" if isinstance(option.type, click.IntRange) else option.make_metavar(context))


def default(option: click.Option) -> str:
    """The default: the option's own, or the one that its help tells."""
    told = re.search(r"\[default: (.*?)\]", option.help or "")
    if told:
        return told[1]
    if option.is_flag and not option.secondary_opts:
        return ""
    if option.is_flag:
        return f"`{(option.opts if option.default else option.secondary_opts)[0]}`"
    has_one = isinstance(option.default, (str, int, float)) and not isinstance(option.default, bool)
    return f"`{option.default:g}`" if isinstance(option.default, float) else f"`{option.default}`" if has_one else ""


def option_rows(command: click.Command) -> list[list[str]]:
    """A row for each option, in the order of the help."""
    rows = []
    for one in command.params:
        if isinstance(one, click.Option) and not one.hidden:
            told = re.sub(r"\s*\[default: .*?\]", "", one.help or "")
            rows.append([spelling(one), default(one), one_line(told)])
    return rows


def exit_codes() -> list[list[str]]:
    """Code, name and meaning."""
    texts = under_each_name(ExitCode)
    return [[f"`{code.value}`", f"`{code.name.lower()}`", texts.get(code.name, "")] for code in ExitCode]


def section(name: str, command: click.Command, depth: int = 2) -> list[str]:
    """One command, and those below it."""
    lines = ["#" * depth + f" h3push {name}", "", f"    {usage(name, command)}", ""]
    for paragraph in (command.help or "").split("\n\n"):
        lines += [one_line(paragraph), ""]
    example = (command.epilog or "").strip()
    rows = option_rows(command)
    lines += table(["option", "default", "meaning"], rows) if rows else []
    lines += [one_line(example), ""] if example else []
    if isinstance(command, click.Group):
        context = click.Context(command)
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            assert found is not None
            lines += section(f"{name} {below}", found, depth + 1)
    for below, found in getattr(command, "below", {}).items():
        lines += section(f"{name} {below}", found, depth + 1)
    return lines


def page() -> str:
    """The page."""
    lines = [HEAD]
    context = click.Context(cli)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        lines += section(name, command)
    lines += ["## Exit codes", "", EXIT_CODES, *table(["code", "kind", "meaning"], exit_codes())]
    return "\n".join(lines)
