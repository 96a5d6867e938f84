"""Reading any number of log files into one table of evidence."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING

from h3push.judge.engine import Store, is_interruption
from h3push.judge.evidence import COLUMNS
from h3push.judge.logs import (
    EXAMPLES,
    LogError,
    LogFormat,
    Row,
    Tally,
    compression_of,
    format_of,
    lines,
    rows_of_har,
    rows_of_lines,
)
from h3push.judge.visitors import Visitors

if TYPE_CHECKING:
    from ibis.expr.types import BooleanValue, Table

GROUP = 64
"""Files that are read into one table."""
BATCH = 50_000
"""Rows that are written at a time."""
SWITCHING_PROTOCOLS = 101
"""Status of a WebSocket over HTTP/1.1."""
Announce = Callable[[str], None]
"""Told what is done now, in a few words."""


def read_logs(paths: Sequence[Path], store: Store, tally: Tally, announce: Announce) -> "Table | None":
    """Read log files, of any formats, into one table with the columns of `COLUMNS`; `None` when there is not one row.

    On `KeyboardInterrupt` the tables that are complete are returned, and `tally.files` says how many files that are.

    Raises: LogError: a file cannot be read.
    """
    visitors = Visitors()
    tables: list[Table] = []
    done = 0
    try:
        for (kind, compression), group in _groups(paths):
            announce(f"reading {group[0].name}" + (f" and {len(group) - 1} more" if len(group) > 1 else ""))
            table = _table(group, kind, compression, store, visitors, tally)
            if table is not None:
                tables.append(table)
            done += len(group)
            tally.files = done
    except KeyboardInterrupt:
        if not tables:
            raise
    if not tables:
        return None
    whole = tables[0]
    for table in tables[1:]:
        whole = whole.union(table)
    return whole


def _groups(paths: Sequence[Path]) -> Iterator[tuple[tuple[LogFormat, str | None], list[Path]]]:
    """Files in their order, in groups of one format and one compression."""
    for kind, members in groupby(paths, key=lambda path: (format_of(path), _compression(path))):
        while group := list(islice(members, GROUP)):
            yield kind, group


def _compression(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return compression_of(file.read(4))
    except OSError as error:
        raise LogError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from None


def _table(
    paths: list[Path], kind: LogFormat, compression: str | None, store: Store, visitors: Visitors, tally: Tally
) -> "Table | None":
    """A table of some files, kept; `None` when it has no row."""
    if kind is LogFormat.JSON_LINES:
        return _own_rows(paths, compression, store, tally)
    if kind is LogFormat.HAR:
        rows = (row for path in paths for row in rows_of_har(path, tally))
    else:
        rows = (row for path in paths for row in rows_of_lines(path, visitors, tally))
    written = write(rows, store.directory / f"rows-{tally.rows}-{paths[0].name}.parquet")
    if not written:
        return None
    tally.rows += written
    return store.keep(store.parquet([store.directory / f"rows-{tally.rows - written}-{paths[0].name}.parquet"]))


def _own_rows(paths: list[Path], compression: str | None, store: Store, tally: Tally) -> "Table | None":
    raw = store.json_lines(paths, compression)
    is_row = (raw.time.length() >= len("2026-11-28T18:35:19")) & raw.path.notnull()
    is_at_home = is_row & raw.page.notnull() & raw.position.notnull() & raw.connection.notnull() & raw["view"].notnull()
    is_told = is_at_home & _may_be_pushed(raw)
    marks = {"is_row": is_row, "is_at_home": is_at_home, "is_told": is_told}
    try:
        kept = store.keep(raw.mutate(**{name: mark.fill_null(False) for name, mark in marks.items()}))
        counts = (
            kept.aggregate(rows=kept.count(), **{name: kept[name].cast("int64").sum() for name in marks})
            .to_pyarrow()
            .to_pylist()[0]
        )
    except Exception as error:
        if is_interruption(error):
            raise KeyboardInterrupt from None
        raise LogError(f"cannot read {paths[0]}: {str(error).splitlines()[0]}") from None
    rows, good, home, told = (int(counts[name] or 0) for name in ("rows", *marks))
    tally.rows += told
    tally.homeless += good - home
    if rows > good:
        _show_bad(paths, rows - good, tally)
    if not told:
        return None
    table = kept.filter(kept.is_told).drop(*marks)
    return table.mutate(view=table.connection.concat("/", table["view"]))


def _may_be_pushed(t: "Table") -> "BooleanValue":
    """True for what a push could have answered: nothing that was posted, and no WebSocket (CONNECT, or 101 over HTTP/1.1)."""
    asked = t.method.fill_null("GET").isin(["GET", "HEAD"])
    return asked & (t.status.fill_null(0) != SWITCHING_PROTOCOLS)


def _show_bad(paths: list[Path], count: int, tally: Tally) -> None:
    """Count the bad lines that the engine skipped, and look up the first of them."""
    import json

    expected = tally.bad + count
    for path in paths:
        for number, line in lines(path):
            if len(tally.examples) >= EXAMPLES or tally.bad >= expected:
                break
            try:
                row = json.loads(line)
                fine = isinstance(row, dict) and isinstance(row["time"], str) and isinstance(row["path"], str)
            except (ValueError, KeyError, RecursionError):
                fine = False
            if not fine:
                tally.note_bad(path, number, line)
    tally.bad = expected


def write(rows: Iterable[Row], path: Path) -> int:
    """Write rows of evidence as Parquet; how many there were. Without any there is no file."""
    import pyarrow as pa
    from pyarrow import parquet

    kinds = {"string": pa.string(), "int64": pa.int64(), "float64": pa.float64(), "boolean": pa.bool_()}
    schema = pa.schema([(name, kinds.get(kind, pa.list_(pa.int64()))) for name, kind in COLUMNS.items()])
    iterator, written = iter(rows), 0
    writer: parquet.ParquetWriter | None = None
    try:
        while batch := list(islice(iterator, BATCH)):
            for row in batch:
                row["time"] = datetime.fromtimestamp(row["time"], UTC).isoformat(timespec="milliseconds")
                row["connection"] = ""
            if writer is None:
                writer = parquet.ParquetWriter(path, schema, compression="zstd")
            writer.write_batch(pa.RecordBatch.from_pylist(batch, schema=schema))
            written += len(batch)
    finally:
        if writer is not None:
            writer.close()
    return written
