"""The cache on disk: entries in one SQLite file, which survive a restart and are whole or not there.

Theory of operation. hishel's own SQLite storage cannot list what it has, so nothing could tell at a promise, without waiting,
that its answer lies there from an earlier run; nor does it let go of an entry at once when its bound is reached. So this is a
storage of its kind: an index in memory, and content in a table. An entry is written in one transaction when all of its content
has been received, so a crash at any moment leaves it whole or absent. Everything that touches the file runs in one thread.

SQLite notices damage to its own tables, not to what lies in them. So each entry has digests of its head and of its content: one
that does not fit is forgotten.
"""

import asyncio
import json
import logging
import sqlite3
import uuid
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

from hishel import Entry, Headers, Request, Response

from h3push.client.stored import WholeStorage, streamed

logger = logging.getLogger("h3push.relay")

T = TypeVar("T")

FILE = "cache.sqlite3"
VERSION = 2
"""Of the table. A file of another version is begun anew: it is a cache."""

_TABLE = """CREATE TABLE entries (id BLOB PRIMARY KEY, key TEXT NOT NULL, head TEXT NOT NULL, size INTEGER NOT NULL, content BLOB,
head_digest BLOB, content_digest BLOB)"""
_ENTRIES = "SELECT id, key, head, size, head_digest FROM entries ORDER BY rowid"
_ENTRY = "SELECT key, head, size, head_digest, content, content_digest FROM entries WHERE id = ?"


class CacheInUse(OSError):
    """Another relay uses the directory."""


class DiskStorage(WholeStorage):
    """Entries on disk, bounded by number and bytes; the one that was used longest ago goes first.

    Args:
        directory: where the file is; made when it does not exist.
        most: entries.
        most_bytes: bytes of content.
    """

    def __init__(self, directory: Path, most: int, most_bytes: int) -> None:
        super().__init__(max_stream_size=most_bytes // 8)
        self._directory = directory
        self._most = most
        self._most_bytes = most_bytes
        self._thread = ThreadPoolExecutor(1, "h3push cache")
        self._file: sqlite3.Connection | None = None
        self._sizes: OrderedDict[uuid.UUID, tuple[str, int]] = OrderedDict()
        self._of_key: dict[str, list[uuid.UUID]] = {}
        self.octets = 0
        """Bytes of content that are stored."""

    async def open(self) -> list[tuple[str, Entry]]:
        """Open the file; the entries that it has, without content. `OSError` when it cannot be used."""
        found = []
        for number, key, head, size in await self._run(self._open):
            request, response = _unpack(head)
            self._note(number, key, size)
            found.append((key, Entry(number, request, response)))
        return found

    def _open(self) -> list[tuple[uuid.UUID, str, str, int]]:
        path = self._directory / FILE
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            return self._read(path)
        except CacheInUse:
            raise
        except sqlite3.DatabaseError:
            logger.warning("%s is damaged or of another version: it is begun anew", path)
        for name in (path, path.with_name(f"{FILE}-wal"), path.with_name(f"{FILE}-shm")):
            name.unlink(missing_ok=True)
        try:
            return self._read(path)
        except sqlite3.DatabaseError as error:
            raise OSError(str(error)) from None

    def _read(self, path: Path) -> list[tuple[uuid.UUID, str, str, int]]:
        """Connect, and find what is there. `CacheInUse`; `OSError` where there can be no file; `DatabaseError` for a bad one."""
        path.touch(mode=0o600)
        try:
            self._file = _connect(path)
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise CacheInUse(f"another relay uses {self._directory}") from None
            raise OSError(str(error)) from None
        try:
            rows = self._file.execute(_ENTRIES).fetchall()
        except BaseException:
            self._file.close()
            self._file = None
            raise
        return [(uuid.UUID(bytes=row[0]), *row[1:4]) for row in rows if len(row[0]) == 16 and _fits(*row[1:])]

    # the methods of a storage

    async def _keep(self, key: str, entry: Entry, content: bytes) -> None:
        head, size = _pack(entry), len(content)
        row = (
            entry.id.bytes,
            key,
            head,
            size,
            content,
            _digest_of_head(key, head, size),
            await self._run(partial(_digest, content)),
        )
        if await self._tried("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)", row):
            self._note(entry.id, key, len(content))
            while self.octets > self._most_bytes or len(self._sizes) > self._most:
                await self.remove_entry(next(iter(self._sizes)))

    async def get_entries(self, key: str) -> list[Entry]:
        """The entries of a key."""
        found = []
        for number in list(self._of_key.get(key, ())):
            row = await self._run(partial(self._select, number))
            if row is None:
                await self.remove_entry(number)
                continue
            self._sizes.move_to_end(number)
            request, response = _unpack(row[0])
            found.append(Entry(number, request, replace(response, stream=streamed(row[1]))))
        return found

    def has(self, number: uuid.UUID) -> bool:
        """True while an entry is here."""
        return number in self._sizes

    async def update_headers(self, id: uuid.UUID, headers: Headers) -> None:  # noqa: A002 - hishel's name
        """Nothing to do: nothing is revalidated."""

    async def remove_entry(self, id: uuid.UUID) -> None:  # noqa: A002 - hishel's name
        """Forget an entry."""
        found = self._sizes.pop(id, None)
        if found is None:
            return
        key, size = found
        self.octets -= size
        self._of_key[key].remove(id)
        if not self._of_key[key]:
            del self._of_key[key]
        await self._tried("DELETE FROM entries WHERE id = ?", (id.bytes,))

    async def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            await self._run(self._file.close)
            self._file = None
        self._thread.shutdown(wait=False)

    # inside

    def _note(self, number: uuid.UUID, key: str, size: int) -> None:
        self._sizes[number] = key, size
        self._of_key.setdefault(key, []).append(number)
        self.octets += size

    def _select(self, number: uuid.UUID) -> tuple[str, bytes] | None:
        """Head and content of an entry; `None` where they cannot be had as they were."""
        assert self._file is not None
        try:
            row = self._file.execute(_ENTRY, (number.bytes,)).fetchone()
        except sqlite3.Error as error:
            logger.warning("the cache cannot be read: %s", error)
            return None
        if row is None or not _fits(*row[:4]) or _digest(row[4]) != row[5]:
            logger.warning("an entry of the cache is damaged: it is forgotten")
            return None
        return row[1], row[4]

    async def _tried(self, statement: str, values: tuple[Any, ...]) -> bool:
        """Change the table. False when that is not possible: a cache that cannot be written is no reason to fail a response."""
        file = self._file
        if file is None:
            return False
        try:
            await self._run(lambda: file.execute(statement, values))
        except sqlite3.Error as error:
            logger.warning("the cache cannot be written: %s", error)
            return False
        return True

    async def _run(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)


def _connect(path: Path) -> sqlite3.Connection:
    file = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    try:
        file.execute("PRAGMA locking_mode = EXCLUSIVE")
        file.execute("PRAGMA journal_mode = WAL")
        file.execute("PRAGMA synchronous = NORMAL")
        file.execute("BEGIN IMMEDIATE")
        (version,) = file.execute("PRAGMA user_version").fetchone()
        if version != VERSION:
            file.execute("DROP TABLE IF EXISTS entries")
            file.execute(_TABLE)
            file.execute(f"PRAGMA user_version = {VERSION}")
        file.execute("COMMIT")
    except BaseException:
        file.close()
        raise
    return file


def _digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=16).digest()


def _digest_of_head(key: str, head: str, size: int) -> bytes:
    return _digest(f"{size} {key} {head}".encode())


def _fits(key: str, head: str, size: int, digest: bytes) -> bool:
    """True for the head of an entry as it was written."""
    return _digest_of_head(key, head, size) == digest


def _pack(entry: Entry) -> str:
    request, response = entry.request, entry.response
    head = [request.method, request.url, _lines(request.headers), response.status_code, _lines(response.headers)]
    return json.dumps(head)


def _unpack(text: str) -> tuple[Request, Response]:
    method, url, asked, status, answered = json.loads(text)
    return Request(method, url, Headers(asked)), Response(status, Headers(answered))


def _lines(headers: Headers) -> dict[str, list[str]]:
    return {name: list(headers.get_list(name) or ()) for name in headers}
