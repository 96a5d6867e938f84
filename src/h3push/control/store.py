"""The store: what the workers of a server have learned, shared among them and kept over restarts, in one file of SQLite.

Theory of operation. What is shared is what was *seen*, not what was made of it. Each worker writes its page views to the table
`views` and reads those of the others, and every model learns from all of them in the same way (`Model.learn`). So nothing has to
be merged, and no worker's figures are overwritten by another's. When the table has grown, one worker writes its whole model
beside it (`model`, with the number of the last view that it holds), and old views are deleted. A worker that comes late, or a new
process, begins with that model and learns the views since.

The file is in WAL mode: readers and the writer do not wait for each other, and a process that is killed leaves the file whole.
All calls block, and are made from one thread beside the event loop (`controller`). A file that cannot be used costs the sharing
and nothing else; one that is not ours, or of another version, is left alone.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from h3push.control.snapshot import VERSION
from h3push.errors import H3PushError

SNAPSHOT_EVERY = 500
"""Views after which the whole model is written."""
KEPT_VIEWS = 2_000
"""Views that stay in the table behind the model, for workers that were busy."""
BUSY_SECONDS = 2.0
"""How long another process may hold the file."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS views (number INTEGER PRIMARY KEY AUTOINCREMENT, worker TEXT NOT NULL, view TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS model (one INTEGER PRIMARY KEY CHECK (one = 1), number INTEGER NOT NULL, state TEXT NOT NULL);
"""


class StoreError(H3PushError):
    """The file cannot be used; the sentence says why."""


@dataclass(frozen=True, slots=True)
class News:
    """The news of others since the last exchange."""

    number: int
    """The number of the last view in the table."""
    views: tuple[str, ...] = ()
    """Their views, in order."""
    model: str | None = None
    """A whole model that the views follow, for a worker that has missed some; it replaces what that worker knows."""
    wants_model: bool = False
    """True when it is time to write the whole model."""


class Store:
    """One worker's connection to the file; belongs to the thread that made it.

    Args:
        path: the file; made when it is not there, with its directory.
        worker: a name that no other process has.

    Raises: StoreError: the file cannot be opened, or is something else.
    """

    def __init__(self, path: Path, worker: str) -> None:
        self._path, self._worker = path, worker
        self._number = -1
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            self._prepare()
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"cannot keep what is learned in {path}: {error}") from None

    def _prepare(self) -> None:
        (version,) = self._file.execute("PRAGMA user_version").fetchone()
        (tables,) = self._file.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if version != VERSION and (version or tables):
            self._file.close()
            raise sqlite3.DatabaseError(f"it is something else, or of another version ({version}, not {VERSION})")
        self._file.execute("PRAGMA journal_mode=WAL")
        self._file.execute("PRAGMA synchronous=NORMAL")
        self._file.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")

    def exchange(self, own: Sequence[str]) -> News:
        """Write the views that this worker has seen, and read those of the others. Raises `StoreError`."""
        try:
            with _transaction(self._file):
                news = self._news()
                self._file.executemany(
                    "INSERT INTO views (worker, view) VALUES (?, ?)", [(self._worker, view) for view in own]
                )
                (last,) = self._file.execute("SELECT coalesce(max(number), ?) FROM views", (news.number,)).fetchone()
                held = self._file.execute("SELECT number FROM model").fetchone()
        except sqlite3.Error as error:
            raise StoreError(f"cannot keep what is learned in {self._path}: {error}") from None
        self._number = int(last)
        return News(self._number, news.views, news.model, int(last) - (held[0] if held else 0) >= SNAPSHOT_EVERY)

    def _news(self) -> News:
        held = self._file.execute("SELECT number, state FROM model").fetchone()
        (oldest,) = self._file.execute("SELECT min(number) FROM views").fetchone()
        missed = self._number < 0 or (oldest is not None and oldest > self._number + 1)
        state = None
        if missed and held is not None and held[0] > self._number:
            self._number, state = int(held[0]), str(held[1])
        begins_anew = state is not None  # what it replaces held this worker's own views too
        rows = self._file.execute(
            "SELECT view FROM views WHERE number > ? AND (worker != ? OR ?) ORDER BY number",
            (self._number, self._worker, begins_anew),
        ).fetchall()
        return News(max(self._number, 0), tuple(row[0] for row in rows), state)

    def write_model(self, state: str, number: int) -> None:
        """Write the whole model, which holds every view up to `number`. Raises `StoreError`."""
        try:
            with _transaction(self._file):
                self._file.execute("INSERT OR REPLACE INTO model VALUES (1, ?, ?)", (number, state))
                self._file.execute("DELETE FROM views WHERE number <= ?", (number - KEPT_VIEWS,))
        except sqlite3.Error as error:
            raise StoreError(f"cannot keep what is learned in {self._path}: {error}") from None

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class _transaction:  # noqa: N801 - used like a function
    """A transaction that writes: all of it, or nothing."""

    def __init__(self, file: sqlite3.Connection) -> None:
        self._file = file

    def __enter__(self) -> None:
        self._file.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._file.execute("COMMIT" if kind is None else "ROLLBACK")
