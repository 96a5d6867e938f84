"""The access log in a format of the user's own: gunicorn's and Hypercorn's atoms, and three for pushes."""

import os
import re
from collections.abc import Callable, Mapping

from h3push.server.log_row import Row, printable

_ATOM = re.compile(r"%(?:\((?P<name>[^()]*)\)(?P<kind>[a-zA-Z])|(?P<other>.?))")
_HEADER = re.compile(r"\{([!#$%&'*+.^_`|~0-9A-Za-z-]+)\}i")

MISSING = "-"
"""Written for what a response does not have."""


def _host(row: Row) -> str:
    return row.client.rpartition(":")[0].strip("[]")


def _request_line(row: Row) -> str:
    return f"{printable(row.method)} {printable(row.path)} {row.protocol}"


ATOMS: Mapping[str, Callable[[Row], object]] = {
    "h": _host,
    "l": lambda _row: MISSING,
    "u": lambda _row: MISSING,
    "t": lambda row: row.time.strftime("[%d/%b/%Y:%H:%M:%S +0000]"),
    "r": _request_line,
    "m": lambda row: printable(row.method),
    "U": lambda row: printable(row.path.partition("?")[0]),
    "q": lambda row: printable(row.path.partition("?")[2]),
    "H": lambda row: row.protocol,
    "s": lambda row: row.status or MISSING,
    "B": lambda row: row.bytes,
    "b": lambda row: row.bytes or MISSING,
    "f": lambda row: _field(row, "referer"),
    "a": lambda row: _field(row, "user-agent"),
    "T": lambda row: int(row.duration_ms / 1000),
    "M": lambda row: int(row.duration_ms),
    "D": lambda row: int(row.duration_ms * 1000),
    "L": lambda row: f"{row.duration_ms / 1000:.6f}",
    "p": lambda _row: f"<{os.getpid()}>",
    "push": lambda row: MISSING if row.push_id is None else row.push_id,
    "initiator": lambda row: MISSING if row.initiator is None else printable(row.initiator),
    "outcome": lambda row: row.outcome,
}
"""Name -> what stands for it: host, user (none), time, request line, method, path, query, version, status, bytes, Referer,
User-Agent, seconds, milliseconds, microseconds, seconds with a fraction, process; push ID, path of the page that it was pushed
with, how the response ended."""


COLOURS: Mapping[int, str] = {2: "32", 3: "33", 4: "31", 5: "91"}
"""First digit of a status -> its colour in a terminal (ECMA-48): green, yellow, red, bright red, as under uvicorn."""


def coloured(row: Row) -> str:
    """A row as text, with its status in colour."""
    colour = COLOURS.get((row.status or 0) // 100)
    return row.text() if colour is None else row.text(f"\x1b[{colour}m{row.status}\x1b[0m")


def row_format(template: str) -> Callable[[Row], str]:
    """Make a function that writes rows by a template, such as `%(h)s "%(r)s" %(s)s` or `%({accept}i)s`.

    Everything that a client chose is escaped, as in `Row.text`.

    Raises:
        ValueError: an atom that there is not; the sentence names it.
    """
    pieces: list[str | Callable[[Row], object]] = []
    end = 0
    for found in _ATOM.finditer(template):
        pieces += [template[end : found.start()], _atom(found)]
        end = found.end()
    pieces.append(template[end:])
    return lambda row: "".join(piece if isinstance(piece, str) else str(piece(row)) for piece in pieces)


def _atom(found: "re.Match[str]") -> str | Callable[[Row], object]:
    if found["other"] == "%":
        return "%"
    if found["kind"] != "s" or found["name"] is None:
        raise ValueError(
            f"{found[0]!r} is no atom of an access log: they have the form %(name)s, and a per cent sign is %%"
        )
    header = _HEADER.fullmatch(found["name"])
    if header is not None:
        name = header[1].lower()
        return lambda row: _field(row, name)
    if found["name"] not in ATOMS:
        raise ValueError(f"{found[0]!r} is no atom of an access log: there are {', '.join(ATOMS)} and {{field}}i")
    return ATOMS[found["name"]]


def _field(row: Row, name: str) -> str:
    value = None if row.headers is None else row.headers.get(name)
    return MISSING if value is None else printable(value)
