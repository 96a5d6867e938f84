"""`-w FORMAT`: curl's variables, and ours for pushes."""

import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import rich_click as click

from h3push.cli.failures import CommandFailed, ExitCode, file_failure
from h3push.cli.options.redirects import location_of
from h3push.cli.outcome import Fetched, PushRecord
from h3push.cli.output.report import response_heads, text

ESCAPES = {"\\n": "\n", "\\r": "\r", "\\t": "\t", "\\\\": "\\"}
"""Escapes of a format, and the character each stands for."""
PIECE = re.compile(r"%%|%\{(?P<name>[^}]*)\}|%header\{(?P<header>[^}]*)\}|\\[nrt\\]")
"""A piece of a format that is replaced."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that a variable can ask about."""

    fetched: Fetched
    failure: CommandFailed | None
    path: Path | None
    """The file of the content."""
    retries: int
    """Attempts before the one that counts."""

    @property
    def total(self) -> float:
        """Seconds to the end of the response; without one, to the failure."""
        last = self.fetched.last
        end = self.fetched.time_total if last is None or last.done is None else last.done
        return self.since_turn(end)

    @property
    def pushes(self) -> list[PushRecord]:
        """All pushes so far, whatever URL they came with."""
        return self.fetched.outcome.pushes

    def since_turn(self, instant: float | None) -> float:
        """Give seconds from when the URL's turn came; 0 for what did not happen."""
        return 0.0 if instant is None else max(0.0, instant - self.fetched.started)

    def header(self, name: str) -> str:
        """Give a field of the last response; empty without it."""
        response = self.fetched.response
        value = "" if response is None else response.headers.get(name, "")
        return text(value.encode("latin-1"))

    def status(self) -> str:
        """Give the status; 000 when there is no response, as curl writes it."""
        response = self.fetched.response
        return "000" if response is None else f"{response.status:03}"

    def redirect_url(self) -> str:
        """Give where a redirect that was not followed leads to."""
        last = self.fetched.last
        if last is None or last.response is None:
            return ""
        return location_of(last.request, last.response) or ""

    def downloaded(self) -> int:
        """Give the size of the last response's content as it was on the wire, in bytes."""
        return 0 if self.fetched.last is None else self.fetched.last.body_bytes

    def header_bytes(self) -> int:
        """Give the size of the header sections, as text."""
        responses = [exchange.response for exchange in self.fetched.exchanges]
        lines = [line for one in responses if one is not None for head in response_heads(one) for line in [*head, ""]]
        return sum(len(line.encode()) + len("\r\n") for line in lines)

    def header_json(self) -> str:
        """Give the fields of the last response as a JSON object: each name has a list of its values, as curl writes it."""
        fields: dict[str, list[str]] = {}
        response = self.fetched.response
        for name, value in [] if response is None else response.headers.raw:
            fields.setdefault(text(name), []).append(text(value))
        return json.dumps(fields)

    def referer(self) -> str:
        """Give the Referer that the last request had; empty without it."""
        last = self.fetched.last
        return (
            "" if last is None else next((text(value) for name, value in last.request.fields if name == b"referer"), "")
        )

    def number(self) -> int:
        """Give the URL's place among those of the command, from 0."""
        return next((at for at, one in enumerate(self.fetched.outcome.transfers) if one is self.fetched), 0)

    def verify_result(self) -> int:
        """Give 0 when the certificate was accepted."""
        return int(self.failure is not None and self.failure.exit_code == ExitCode.CERTIFICATE)

    def start_of_last(self) -> float:
        """Give when the last request went out."""
        return self.since_turn(None if self.fetched.last is None else self.fetched.last.started)

    def first_byte(self) -> float:
        """Give when the last response began."""
        return self.since_turn(None if self.fetched.last is None else self.fetched.last.first_byte)

    def connected(self) -> float:
        """Give when the last connection was there."""
        return self.since_turn(max((one.connected or 0.0 for one in self.fetched.exchanges), default=None))

    def looked_up(self) -> float:
        """Give when the last address was known."""
        return self.since_turn(max((one.looked_up or 0.0 for one in self.fetched.exchanges), default=None))

    def http_version(self) -> str:
        """Give the version of the last response, as curl writes it."""
        return "0" if self.fetched.response is None else self.fetched.response.http_version


def _seconds(value: float | None) -> str:
    return f"{value or 0.0:.6f}"


def _push_bytes(facts: Facts, *, is_wasted: bool = False) -> int:
    return sum(push.body_bytes for push in facts.pushes if not (is_wasted and push.claimed))


def _first_push(facts: Facts) -> float | None:
    return min((push.promised for push in facts.pushes if push.promised is not None), default=None)


def _remote(facts: Facts, position: int) -> str:
    last = facts.fetched.last
    return "" if last is None or last.remote is None else str(last.remote[position])


VARIABLES: dict[str, Callable[[Facts], object]] = {
    "content_type": lambda facts: facts.header("content-type"),
    "errormsg": lambda facts: facts.failure.message if facts.failure else "",
    "exitcode": lambda facts: int(facts.failure.exit_code) if facts.failure else 0,
    "filename_effective": lambda facts: facts.path or "",
    "header_json": Facts.header_json,
    "http_code": Facts.status,
    "http_connect": lambda _: "000",
    "http_version": Facts.http_version,
    "method": lambda facts: facts.fetched.last.request.method if facts.fetched.last else "",
    "num_connects": lambda facts: facts.fetched.connects,
    "num_headers": lambda facts: len(facts.fetched.response.headers.raw) if facts.fetched.response else 0,
    "num_redirects": lambda facts: max(0, len(facts.fetched.exchanges) - 1),
    "num_retries": lambda facts: facts.retries,
    "redirect_url": Facts.redirect_url,
    "referer": Facts.referer,
    "remote_ip": lambda facts: _remote(facts, 0),
    "remote_port": lambda facts: _remote(facts, 1),
    "response_code": Facts.status,
    "scheme": lambda _: "https",
    "size_download": Facts.downloaded,
    "size_header": Facts.header_bytes,
    "speed_download": lambda facts: round(facts.downloaded() / facts.total) if facts.total else 0,
    "ssl_verify_result": Facts.verify_result,
    "time_appconnect": lambda facts: _seconds(facts.connected()),
    "time_namelookup": lambda facts: _seconds(facts.looked_up()),
    "time_connect": lambda facts: _seconds(facts.connected()),
    "time_pretransfer": lambda facts: _seconds(facts.start_of_last()),
    "time_redirect": lambda facts: _seconds(facts.start_of_last() if len(facts.fetched.exchanges) > 1 else 0.0),
    "time_starttransfer": lambda facts: _seconds(facts.first_byte()),
    "time_total": lambda facts: _seconds(facts.total),
    "url": lambda facts: facts.fetched.url,
    "urlnum": Facts.number,
    "url_effective": lambda facts: facts.fetched.last.request.url if facts.fetched.last else facts.fetched.url,
    # ours: of all URLs so far
    "num_pushes": lambda facts: facts.fetched.outcome.push_counts().total(),
    "num_pushes_used": lambda facts: sum(push.claimed for push in facts.pushes),
    "push_bytes": _push_bytes,
    "push_bytes_wasted": lambda facts: _push_bytes(facts, is_wasted=True),
    "time_first_push": lambda facts: _seconds(_first_push(facts)),
    "time_all_pushes": lambda facts: _seconds(facts.since_turn(facts.fetched.time_total)),
}
"""Names that stand in `%{...}`; curl's first."""
SWITCHES = frozenset({"stdout", "stderr", "onerror"})
"""Names that say where, or when, what follows is printed."""


@dataclass(frozen=True, slots=True)
class Template:
    """A format whose variables are all known."""

    written: str

    @classmethod
    def of(cls, argument: str) -> "Template":
        """Read `-w`: `@FILE` reads it from a file, `@-` from standard input. Raises `click.BadParameter` for an unknown name."""
        written = _read(argument[1:]) if argument.startswith("@") else argument
        for piece in PIECE.finditer(written):
            name = piece["name"]
            if name is not None and name not in VARIABLES and name not in SWITCHES:
                known = ", ".join(VARIABLES)
                raise click.BadParameter(
                    f"there is no variable {name!r}; there are: {known}.", param_hint="--write-out"
                )
        return cls(written)

    def fill(self, facts: Facts) -> tuple[str, str]:
        """Give what goes to standard output, and what to stderr."""
        parts = {"stdout": "", "stderr": ""}
        target, end = "stdout", 0
        for piece in PIECE.finditer(self.written):
            parts[target] += self.written[end : piece.start()]
            end = piece.end()
            name = piece["name"]
            if name == "onerror" and facts.failure is None:
                return parts["stdout"], parts["stderr"]
            if name in parts:
                target = name
            else:
                parts[target] += _value(piece, facts)
        parts[target] += self.written[end:]
        return parts["stdout"], parts["stderr"]


def _value(piece: re.Match[str], facts: Facts) -> str:
    """Replace one piece of a format."""
    whole, name, header = piece[0], piece["name"], piece["header"]
    if header is not None:
        return facts.header(header)
    if name is None:
        return "%" if whole == "%%" else ESCAPES[whole]
    return "" if name in SWITCHES else str(VARIABLES[name](facts))


def _read(name: str) -> str:
    try:
        if name == "-":
            return sys.stdin.read()
        return Path(name).read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise file_failure(error, "read", name, ExitCode.READ_ERROR) from None
