"""Files that are compressed here, where no build tool has left a compressed one beside them.

Theory of operation. What was compressed is kept, by file, version and coding. A small file is compressed in the request that asks
for it first. A large one would hold up everybody else: it goes out as it is, and a thread compresses it meanwhile for those who
come later. So nobody waits, and no request is answered later than without compression.

The compressed form has an entity tag of its own and no ranges: its bytes are those of this compressor, and a client that wants a
part of a file wants that of the original.
"""

import logging
import os
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from h3push.files.known import OpenedFile
from h3push.files.media_types import media_type
from h3push.files.paths import FoundFile, version_of
from h3push.files.precompressed import parse_weights

logger = logging.getLogger("h3push.server")

BROTLI_QUALITY = 5
"""As dear as gzip's 6, and a tenth smaller; higher ones take ten times as long for a few percent."""
ZSTANDARD_LEVEL = 6
"""Dearer than the library's own 3, since the result is used often."""
GZIP_LEVEL = 6
"""zlib's own."""
LEAST_SAVING = 0.95
"""Parts of the original that the compressed form may have at most, or it is not worth its decompression."""

_TYPES = frozenset(
    {
        "application/javascript",
        "application/json",
        "application/wasm",
        "application/xml",
        "application/xhtml+xml",
        "application/manifest+json",
        "application/vnd.ms-fontobject",
        "font/otf",
        "font/ttf",
        "image/bmp",
        "image/svg+xml",
        "image/x-icon",
    }
)
"""Types beside those of text that are not compressed already."""

Key = tuple[str, tuple[int, ...], str]
"""Path, version and coding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressionSettings:
    """Bounds of compression. Sizes are bytes."""

    least: int = 512
    """A smaller file fits into a packet as it is."""
    at_once: int = 16 * 1024
    """A file up to this size is compressed in its request: half a millisecond."""
    most: int = 8 * 1024 * 1024
    """A larger file is not compressed: a build tool does that once, and better."""
    cache: int = 64 * 1024 * 1024
    """Compressed content that is kept; what was used longest ago goes first."""
    waiting: int = 64
    """Files that wait for the thread; further ones go out as they are until they are asked for again."""


class CompressedFiles:
    """The compressed forms of a directory's files.

    Arguments:
        settings: the bounds.
        start: runs a function beside the event loop; a thread of its own when `None`.
    """

    def __init__(
        self,
        settings: CompressionSettings = CompressionSettings(),
        start: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        self._settings = settings
        self._start = start
        self._lock = threading.Lock()
        self._kept: OrderedDict[Key, bytes] = OrderedDict()
        self._bytes = 0
        self._waiting: set[Key] = set()
        self._compressors = compressors()

    def __len__(self) -> int:
        return len(self._kept)

    def concerns(self, file: FoundFile) -> bool:
        """True for a file whose answer depends on Accept-Encoding: text, neither tiny nor huge."""
        return self._settings.least <= file.size <= self._settings.most and _is_compressible(file.name)

    def coding_for(self, headers: Mapping[str, str]) -> str | None:
        """The coding that a request gets; `None`: none that is known here."""
        accepted = headers.get("accept-encoding")
        return None if accepted is None else choose_coding(accepted, tuple(self._compressors))

    def get(self, opened: OpenedFile, coding: str) -> bytes | None:
        """The compressed content; `None` when there is none yet, or it would save nothing. `OSError` when it cannot be read."""
        file = opened.file
        key = (str(file.path), file.version, coding)
        with self._lock:
            content = self._kept.get(key)
            if content is not None:
                self._kept.move_to_end(key)
                return content or None
        if file.size <= self._settings.at_once:
            return self._keep(key, opened.read(0, file.size))
        self._compress_later(key)
        return None

    def _compress_later(self, key: Key) -> None:
        with self._lock:
            if key in self._waiting or len(self._waiting) >= self._settings.waiting:
                return
            self._waiting.add(key)
        if self._start is None:  # not before it is needed: threads do not survive a fork
            self._start = ThreadPoolExecutor(1, "h3push compression").submit
        self._start(lambda: self._compress(key))

    def _compress(self, key: Key) -> None:
        """Read and compress a file, on another thread; a version that has been replaced by now is not kept."""
        path, version, _ = key
        try:
            with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - three times as cheap as by Path
                status = os.fstat(file.fileno())
                content = file.read(status.st_size) if version_of(status) == version else b""
                if content and len(content) == status.st_size:
                    self._keep(key, content)
        except OSError as error:
            logger.debug("%s was not compressed: %s", path, error)
        finally:
            with self._lock:
                self._waiting.discard(key)

    def _keep(self, key: Key, content: bytes) -> bytes | None:
        compressed = self._compressors[key[2]](content)
        if len(compressed) > len(content) * LEAST_SAVING:
            compressed = b""  # remembered, so that nobody tries again
        with self._lock:
            self._bytes += len(compressed) - len(self._kept.pop(key, b""))
            self._kept[key] = compressed
            while self._bytes > self._settings.cache or len(self._kept) > MAX_KEPT:
                self._bytes -= len(self._kept.popitem(last=False)[1])
        return compressed or None


MAX_KEPT = 8_192
"""Compressed forms that are kept, those that save nothing included."""


@lru_cache(1_024)
def choose_coding(accepted: str, codings: tuple[str, ...]) -> str | None:
    """The coding of the highest weight in Accept-Encoding, among equals the first; `None`: the original weighs more, or none."""
    weights = parse_weights(accepted)
    weight_of = {one: weights.get(one, weights.get("*", 0.0)) for one in codings}
    best = max(codings, key=lambda one: weight_of[one])
    return best if weight_of[best] > 0 and weight_of[best] >= weights.get("identity", 0.0) else None


def compressors() -> dict[str, Callable[[bytes], bytes]]:
    """Functions that compress, by coding, the one with the smallest usual result first; br and zstd where they are installed."""
    found: dict[str, Callable[[bytes], bytes]] = {}
    if find_spec("brotli") is not None:
        brotli: Any = import_module("brotli")
        found["br"] = lambda content: brotli.compress(content, quality=BROTLI_QUALITY)
    if find_spec("zstandard") is not None:
        zstandard: Any = import_module("zstandard")
        found["zstd"] = lambda content: zstandard.ZstdCompressor(ZSTANDARD_LEVEL).compress(content)
    found["gzip"] = _gzip
    return found


def _gzip(content: bytes) -> bytes:
    """Compress to gzip's format, without the time that would give other bytes each time."""
    compressor = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return compressor.compress(content) + compressor.flush()


@lru_cache(1_024)
def _is_compressible(name: str) -> bool:
    kind = media_type(name)
    return kind.startswith("text/") or kind in _TYPES or kind.endswith(("+json", "+xml"))
