"""Every flag of `h3push get`: curl's letters with curl's meanings, and ours for pushes. One line of help each."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import rich_click as click

DEFAULT_MAX_PUSHES = 100
"""Pushes under way at once, when `--max-pushes` does not say: nearly every page has fewer resources."""
DEFAULT_MAX_REDIRECTS = 50
"""Redirects that `-L` follows, when `--max-redirs` does not say: curl's number."""

DEFAULT_PARALLEL = 50
"""URLs that `--parallel` fetches at once, when `--parallel-max` does not say: curl's number."""

FILE = click.Path(path_type=Path)
SECONDS = click.FloatRange(0, min_open=True)

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag."""

    names: tuple[str, ...]
    """As it is typed: `-o`, `--output`."""
    settings: dict[str, Any]
    """The rest of what `click.option` takes."""

    def add_to(self, command: Decorated) -> Decorated:
        """Give a command the flag."""
        return click.option(*self.names, **self.settings)(command)


def _flag(usage: str, help_line: str, **more: Any) -> Flag:
    """Declare a flag as its help shows it: `-o --output FILE`; without a word at the end it is a switch."""
    *names, last = usage.split()
    if last.startswith("-"):
        return Flag((*names, last), {"is_flag": True, "help": help_line, **more})
    return Flag(tuple(names), {"metavar": last, "help": help_line, **more})


REQUEST = (
    _flag("-X --request METHOD", "Request method.  [default: GET, or as -d, -F, -T, -I say]"),
    _flag("-H --header LINE", "Send 'NAME: VALUE'; 'NAME:' drops a default one.", multiple=True),
    _flag("-d --data DATA", "POST DATA, or @FILE without newlines; joined by &.", multiple=True),
    _flag("--data-binary DATA", "The same, with @FILE as it is.", multiple=True),
    _flag("-F --form NAME=VALUE", "POST a form (multipart); VALUE may be @FILE or <FILE.", multiple=True),
    _flag("-G --get", "Put what -d says into the URL's query, and GET it."),
    _flag("-T --upload-file FILE", "PUT FILE; - is standard input; one a URL.", multiple=True),
    _flag("-I --head", "Ask for the header section only (HEAD), and print it."),
    _flag("-A --user-agent NAME", "Send this User-Agent; '' sends none."),
    _flag("-e --referer URL", "Send this Referer; ';auto' at its end follows redirects."),
    _flag("-u --user USER:PASSWORD", "Log in (Basic); a password that is missing is asked for."),
    _flag("-b --cookie DATA", "Send the cookies 'NAME=VALUE; ...', or those of a file.", multiple=True),
    _flag("-c --cookie-jar FILE", "Write all cookies to FILE; - is standard output."),
    _flag("-r --range RANGE", "Ask for these bytes only, such as 0-499 or -500."),
    _flag("--compressed", "Ask for compressed content, and decompress it."),
    _flag("-L --location", "Follow redirects; without credentials elsewhere."),
    _flag("--location-trusted", "The same, and send credentials to other origins too."),
    _flag("--max-redirs N", "Follow at most N redirects.", type=click.IntRange(0), default=DEFAULT_MAX_REDIRECTS),
    _flag("--retry N", "Try again on time-out, 408, 429, 5xx.", type=click.IntRange(0), default=0),
)
"""About the request."""

PUSH = (
    Flag(("--push",), {"type": click.Choice(["accept", "off"]), "default": "accept", "help": "Take pushes, or none."}),
    _flag(
        "--max-pushes N",
        "Pushes under way at once, at most.",
        type=click.IntRange(1, 1_000_000),
        default=DEFAULT_MAX_PUSHES,
    ),
    _flag("--cancel GLOB", "Cancel pushes whose path, name or URL matches.", multiple=True),
    _flag("--push-timeout SECONDS", "Call off pushes that stand still so long.", type=SECONDS, default=10.0),
)
"""About pushes."""

CONNECTION = (
    _flag("-k --insecure", "Accept any certificate: for your own machine only."),
    _flag("--cacert FILE", "Trust these authorities (PEM), not the system's.", type=FILE),
    _flag("-E --cert FILE", "Client certificate (PEM), with its key or --key.", type=FILE),
    _flag("--key FILE", "The private key (PEM) of --cert.", type=FILE),
    _flag("--resolve HOST:PORT:ADDRESS", "Connect to ADDRESS for HOST:PORT.", multiple=True),
    _flag("--connect-to HOST:PORT:TO:PORT", "Connect to TO:PORT for HOST:PORT.", multiple=True),
    _flag("--connect-timeout SECONDS", "Give up without a connection by then.", type=SECONDS, default=10.0),
    _flag("--fallback", "Use HTTP/2 or 1.1 where HTTP/3 does not answer."),
    _flag("-m --max-time SECONDS", "Give up when not all has arrived by then.", type=SECONDS),
)
"""About the connection."""

OUTPUT = (
    _flag("-o --output FILE", "Write the content to FILE; one a URL.", type=FILE, multiple=True),
    Flag(
        ("-O", "--remote-name"),
        {
            "count": True,
            "metavar": " ",
            "show_default": False,
            "help": "Write it to a file of the name in the URL; one a URL.",
        },
    ),
    _flag("--remote-name-all", "The same for every URL that has no -o or -O of its own."),
    _flag("--output-dir DIR", "The directory of these files.", type=FILE),
    _flag("-i --include", "Print the header sections before the content."),
    _flag("-f --fail", "Exit with 22 when the status is 400 or above."),
    _flag("-s --silent", "No progress and no messages."),
    _flag("-S --show-error", "Say what failed although -s is given."),
    _flag("-v --verbose", "Tell what goes on, and about every push, on stderr."),
    _flag("-w --write-out FORMAT", "Print FORMAT at the end, such as %{num_pushes}; or @FILE."),
    _flag("--json", "Print JSON about responses and pushes, not the content."),
    _flag("--waterfall", "Draw what came when on stderr, pushed rows marked."),
    _flag("--har FILE", "Write an HTTP archive (HAR 1.2), for a browser's network panel.", type=FILE),
    _flag("--svg FILE", "Write the waterfall as a picture.", type=FILE),
    _flag("--qlog DIR", "Write what HTTP/3 does on each connection there (qlog).", type=FILE),
)
"""About what is printed and written."""

URLS = (
    _flag("-Z --parallel", "Fetch the URLs at the same time, not one after the other."),
    _flag("--parallel-max N", "So many of them at most.", type=click.IntRange(1, 65_535), default=DEFAULT_PARALLEL),
    _flag("--assets", "Load all that each page names too, as a browser does."),
    _flag("--fail-early", "Stop at the first URL that fails, and exit with its code."),
)
"""About several URLs."""

PANELS = {"URLs": URLS, "Request": REQUEST, "Pushes": PUSH, "Connection": CONNECTION, "Output": OUTPUT}
"""Headings of the help, and the flags below each."""


def all_flags(command: Decorated) -> Decorated:
    """Give a command every flag, under the headings of `PANELS`."""
    for heading, flags in reversed(PANELS.items()):
        for flag in reversed(flags):
            command = flag.add_to(command)
        command = click.option_panel(heading, options=[flag.names[-1] for flag in flags])(command)
    return command
