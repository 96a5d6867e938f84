"""Log files, whatever wrote them: which format a file has, and rows of evidence from those that are not ours.

    our own JSON lines          read by the engine itself, which is as fast as it gets
    common and combined logs    Apache, nginx and whoever writes as they do; without a Referer they tell little
    HAR                         what a browser recorded

Files may be compressed with gzip or Zstandard; the first bytes of a file tell. A line that cannot be understood is counted, the
first few are kept to be shown, and the rest of the file is read.
"""

import gzip
import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from h3push.errors import H3PushError
from h3push.judge.visitors import Visitors

MAX_LINE = 1 << 20
"""Longest line that is read, in bytes; a longer one counts as one that cannot be understood."""
MAX_HAR = 512 << 20
"""Largest HAR file, in bytes: it is one JSON document, and has to be in memory as a whole."""
EXAMPLES = 3
"""Lines that could not be understood and are shown."""
Row = dict[str, Any]
"""One row of evidence: some of `evidence.COLUMNS`."""


class LogError(H3PushError):
    """A log that cannot be read; the sentence says which and why."""


class LogFormat(Enum):
    """The format of a file."""

    JSON_LINES = "JSON lines"
    """Those of `h3push serve --log-format json`."""
    LINES = "common or combined log"
    """The formats of Apache and nginx."""
    HAR = "HAR"
    """An HTTP archive."""


@dataclass(slots=True)
class Tally:
    """How the reading went."""

    files: int = 0
    """Files that were read."""
    rows: int = 0
    """Rows of evidence."""
    bad: int = 0
    """Lines that could not be understood."""
    homeless: int = 0
    """Rows that belong to no page view."""
    examples: list[str] = field(default_factory=list)
    """The first of the bad ones: file, line number, beginning."""

    def note_bad(self, path: Path, number: int, line: str) -> None:
        """Count a bad line."""
        self.bad += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(f"{path.name}:{number}: {line[:60].encode('unicode_escape').decode()}")


@contextmanager
def opened(path: Path) -> Iterator[io.BufferedIOBase]:
    """The bytes of a file, decompressed. `LogError` when it cannot be read."""
    try:
        with path.open("rb") as file:
            yield _decompressed(file)
    except (OSError, EOFError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise LogError(f"cannot read {path}: {reason[:1].lower()}{reason[1:]}") from None


def _decompressed(file: io.BufferedReader) -> io.BufferedIOBase:
    compression = compression_of(file.peek(4))
    if compression == "gzip":
        return gzip.GzipFile(fileobj=file)
    if compression == "zstd":
        import pyarrow as pa

        return io.BufferedReader(pa.CompressedInputStream(pa.PythonFile(file), "zstd"))
    return file


def compression_of(head: bytes) -> str | None:
    """The compression that the first bytes of a file show."""
    return "gzip" if head.startswith(b"\x1f\x8b") else "zstd" if head.startswith(b"\x28\xb5\x2f\xfd") else None


def format_of(path: Path) -> LogFormat:
    """The format of a file, by its first line that has something in it. `LogError` when it cannot be read."""
    with opened(path) as file:
        head = file.read(1 << 16).lstrip()
    if not head.startswith(b"{"):
        return LogFormat.LINES
    if b'"entries"' in head or re.match(rb'\{\s*"log"\s*:\s*\{', head):
        return LogFormat.HAR
    return LogFormat.JSON_LINES


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a file that have something in them, with their numbers from 1."""
    with opened(path) as file:
        number = 0
        while line := file.readline(MAX_LINE):
            number += 1
            whole = line.endswith(b"\n")
            if not whole:
                while (more := file.readline(MAX_LINE)) and not more.endswith(b"\n"):
                    pass
            text = line.decode("utf-8", "replace").strip()
            if text:
                yield number, text


_QUOTED = r'"((?:[^"\\]|\\.)*)"'
_LINE = re.compile(
    rf'(\S+) \S+ .*?\[([^\]]{{20,32}})\] "([A-Z]+) (\S+)(?: [^"]*)?" (\d{{3}}) (\d+|-)(?: {_QUOTED} {_QUOTED})?'
)
_TIME = "%d/%b/%Y:%H:%M:%S %z"


def rows_of_lines(path: Path, visitors: Visitors, tally: Tally) -> Iterator[Row]:
    """Rows of a common or combined log."""
    stamp, time = "", 0.0
    for number, line in lines(path):
        match = _LINE.match(line)
        try:
            if match is None:
                raise ValueError
            if match[2] != stamp:
                stamp, time = match[2], datetime.strptime(match[2], _TIME).timestamp()
        except (ValueError, OverflowError):
            tally.note_bad(path, number, line)
            continue
        address, _, method, target, status, size, referrer, agent = match.groups()
        if method not in {"GET", "HEAD"} or int(status) >= 400:
            continue
        seen = visitors.see(f"{address} {agent or ''}", target, referrer or "", time)
        if seen is None:
            tally.homeless += 1
            continue
        yield {
            "time": time,
            "view": seen.view,
            "page": seen.page,
            "path": target,
            "position": seen.position,
            "since_page_ms": seen.since_page * 1000,
            "bytes": 0 if size == "-" else int(size),
            "status": int(status),
            "outcome": "complete",
            # A page that is answered with 304 was asked for with validators.
            "conditional": status == "304",
        }


def rows_of_har(path: Path, tally: Tally) -> Iterator[Row]:
    """Rows of a HAR file: what its pages fetched from their own origins."""
    with opened(path) as file:
        data = file.read(MAX_HAR + 1)
    if len(data) > MAX_HAR:
        raise LogError(f"{path} is larger than {MAX_HAR >> 20} MiB")
    try:
        entries = json.loads(data)["log"]["entries"]
        if not isinstance(entries, list):
            raise TypeError
    except (ValueError, KeyError, TypeError, RecursionError):
        tally.note_bad(path, 1, "no HAR file: it has no log.entries")
        return
    pages: dict[str, tuple[str, str, float, int]] = {}
    for number, entry in enumerate(entries, 1):
        try:
            row = _row_of_entry(entry, pages, str(path))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            tally.note_bad(path, number, f"entry {number} is not as HAR 1.2 has it")
            continue
        if row is not None:
            yield row


def _row_of_entry(entry: Any, pages: dict[str, tuple[str, str, float, int]], name: str) -> Row | None:
    """The row of one entry; `None` for another origin's, and for what came out of the browser's cache."""
    request, response = entry["request"], entry["response"]
    url = urlsplit(request["url"])
    origin, path = f"{url.scheme}://{url.netloc}", (url.path or "/") + (f"?{url.query}" if url.query else "")
    time = datetime.fromisoformat(entry["startedDateTime"]).timestamp()
    view = f"{name}#{entry.get('pageref', '')}"
    at_home, page, began, members = pages.setdefault(view, (origin, path, time, -1))
    if origin != at_home or entry.get("_fromCache") or request["method"] not in {"GET", "HEAD"}:
        return None
    pages[view] = (at_home, page, began, members + 1)
    names = {str(header["name"]).lower() for header in request.get("headers", ())}
    size = response.get("bodySize", -1)
    return {
        "time": time,
        "view": view,
        "page": page,
        "path": path,
        "position": members + 1,
        "since_page_ms": max(0.0, (time - began) * 1000),
        "bytes": int(size if size >= 0 else max(0, response["content"].get("size", 0))),
        "duration_ms": float(entry["time"]),
        "status": int(response["status"]),
        "outcome": "complete",
        "conditional": not names.isdisjoint({"if-none-match", "if-modified-since"}),
        "push_id": None,
    }
