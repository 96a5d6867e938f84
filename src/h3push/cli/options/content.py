"""The content of a request, as `-d` and its kin mean it: pieces of the command line, of files and of standard input, joined.

No file is held in memory. It is read while it is sent, and `-d` drops its newlines on the way; to tell the length without them,
it is read once before.
"""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

from h3push.cli.failures import CommandFailed, ExitCode, file_failure

READ_BYTES = 64 * 1024
"""A file is read in pieces of this size."""
NEWLINES = b"\r\n\0"
"""Bytes of a file that `-d @FILE` drops; NUL too, as curl does."""
STANDARD_INPUT = "-"
"""The file name that means standard input."""


@dataclass(frozen=True, slots=True)
class Text:
    """Bytes that stand on the command line."""

    data: bytes
    """All of them."""
    is_repeatable = True

    def length(self) -> int:
        """Tell how many bytes."""
        return len(self.data)

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """Give all of it."""
        yield self.data


@dataclass(frozen=True, slots=True)
class FilePart:
    """A file, or standard input."""

    name: str
    """Its path; `-` is standard input."""
    strip: bool = False
    """True drops newlines."""

    @property
    def is_repeatable(self) -> bool:
        """True for an ordinary file; a pipe or a terminal can be read once only."""
        if self.name == STANDARD_INPUT:
            return False
        with self._failures():
            return S_ISREG(Path(self.name).stat().st_mode)

    def length(self) -> int | None:
        """Tell how many bytes it gives; `None` when that is known at its end only."""
        if not self.is_repeatable:
            return None
        with self._failures(), self._open() as descriptor:
            if not self.strip:
                return os.fstat(descriptor).st_size
            return sum(len(self._strip(data)) for data in iter(lambda: os.read(descriptor, READ_BYTES), b""))

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """Give its bytes, piece by piece."""
        with self._failures(), self._open() as descriptor:
            while data := await _read(descriptor):
                yield self._strip(data)

    def _strip(self, data: bytes) -> bytes:
        return data.translate(None, NEWLINES) if self.strip else data

    @contextmanager
    def _open(self) -> Iterator[int]:
        if self.name == STANDARD_INPUT:
            if sys.stdin is None:
                raise CommandFailed("there is no standard input to read", ExitCode.READ_ERROR)
            yield sys.stdin.fileno()
            return
        descriptor = os.open(self.name, os.O_RDONLY)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Make a sentence of what goes wrong with the file."""
        try:
            yield
        except OSError as error:
            name = "standard input" if self.name == STANDARD_INPUT else self.name
            raise file_failure(error, "read", name, ExitCode.READ_ERROR) from None
        except ValueError:
            raise CommandFailed(f"{self.name!r} is no file name", ExitCode.READ_ERROR) from None


Part = Text | FilePart
"""A piece of a request's content."""


class PartsContent:
    """Parts, one after the other, joined by `&`; each iteration begins anew."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts: list[Part] = []
        for part in parts:
            self._parts += [Text(b"&"), part] if self._parts else [part]
        lengths = [part.length() for part in self._parts]
        self.length: int | None = None if None in lengths else sum(filter(None, lengths))
        """How many bytes it will be, where that is known before it is sent."""
        self.is_repeatable = all(part.is_repeatable for part in self._parts)
        """False for what can be read once only."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            async with aclosing(part.stream()) as stream:  # a file is closed when its upload is given up
                async for data in stream:
                    if data:
                        yield data


async def _read(descriptor: int) -> bytes:
    """Read a piece without blocking the loop: who types on standard input may take a while."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    try:
        loop.add_reader(descriptor, readable.set)
    except PermissionError:  # an ordinary file is always readable, and cannot be watched
        return os.read(descriptor, READ_BYTES)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(descriptor)
    return os.read(descriptor, READ_BYTES)


def data_part(data: str) -> Part:
    """Give the part that `-d DATA` means: `@FILE` is a file without its newlines."""
    return FilePart(data[1:], strip=True) if data.startswith("@") else Text(os.fsencode(data))


def binary_part(data: str) -> Part:
    """Give the part that `--data-binary DATA` means: `@FILE` is a file as it is."""
    return FilePart(data[1:]) if data.startswith("@") else Text(os.fsencode(data))
