"""Decoders of content codings, piece by piece, so that the proxy can read pages that the upstream compressed."""

import zlib
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

_SLICE = 512
"""Content is decoded in slices of this size: a few bytes may expand to very many."""


class Decoder:
    """Decodes one content coding, piece by piece."""

    def __init__(self, decode: Callable[[bytes], bytes], wrong: type[Exception] = ValueError) -> None:
        self._decode = decode
        self._wrong = wrong

    def decode(self, piece: bytes, limit: int) -> bytes:
        """The bytes that a piece stands for, up to some more than `limit`. `ValueError` when it is not what it says."""
        decoded = bytearray()
        try:
            for start in range(0, len(piece), _SLICE):
                if len(decoded) >= limit:
                    break
                decoded += self._decode(piece[start : start + _SLICE])
        except self._wrong as error:
            raise ValueError(str(error)) from None
        return bytes(decoded)


class Identity(Decoder):
    """No coding."""

    def __init__(self) -> None:
        super().__init__(bytes)

    def decode(self, piece: bytes, limit: int) -> bytes:
        return piece[:limit]


def decoder_of(content_encoding: bytes | None) -> Decoder | None:
    """The decoder of a Content-Encoding; `None` when that is unknown here, or more than one coding."""
    coding = (content_encoding or b"identity").strip().lower()
    if coding == b"identity":
        return Identity()
    if coding in {b"gzip", b"x-gzip"}:
        return Decoder(zlib.decompressobj(16 + zlib.MAX_WBITS).decompress, zlib.error)
    if coding == b"br" and find_spec("brotli"):
        brotli: Any = import_module("brotli")
        return Decoder(brotli.Decompressor().process, brotli.error)
    if coding == b"zstd" and find_spec("zstandard"):
        zstandard: Any = import_module("zstandard")
        return Decoder(zstandard.ZstdDecompressor().decompressobj().decompress, zstandard.ZstdError)
    return None
