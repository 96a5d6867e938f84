"""Compressed content, as `--compressed` undoes it: gzip and deflate always, br and zstd where their modules are installed."""

import zlib
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from itertools import chain
from typing import Any, Protocol

from h3push.cli.failures import CommandFailed, ExitCode

OPTIONAL = {"br": "brotli", "zstd": "zstandard"}
"""Codings beyond the standard library, and the modules that know them."""


SLICE_BYTES = 128
"""Content is decoded in slices of this size, and each is written before the next: a few bytes may expand to very many.
The worst slice gives 130 kB of gzip and 4 MB of zstd."""
PIECE_BYTES = 1 << 20
"""Brotli, whose slices have no such bound, gives so much at once."""


class Decoder(Protocol):
    """Decodes one content coding, piece by piece."""

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Give what a piece of coded content stands for."""

    def finish(self) -> None:
        """Raise `CommandFailed` when the content ended too early."""


def accepted_codings() -> str:
    """Give the Accept-Encoding field's value: every coding that can be undone here."""
    return ", ".join(["gzip", "deflate", *(coding for coding, module in OPTIONAL.items() if find_spec(module))])


def decoder_of(content_encoding: str) -> Decoder:
    """Give what undoes a Content-Encoding field. Raises `CommandFailed` for a coding that is not known here."""
    codings = [coding.strip().lower() for coding in content_encoding.split(",")]
    return _Chain([_decoder(coding) for coding in reversed(codings) if coding not in {"", "identity"}])


def _decoder(coding: str) -> "_Decompressor":
    if coding in {"gzip", "x-gzip"}:
        return _Decompressor(coding, partial(zlib.decompressobj, 16 + zlib.MAX_WBITS))
    if coding == "deflate":
        return _Deflate(coding, zlib.decompressobj)
    if coding == "br" and find_spec(OPTIONAL[coding]):
        return _Brotli(coding, import_module("brotli").Decompressor)
    if coding == "zstd" and find_spec(OPTIONAL[coding]):
        return _Decompressor(coding, lambda: import_module("zstandard").ZstdDecompressor().decompressobj())
    hint = f": pip install {OPTIONAL[coding]}" if coding in OPTIONAL else ""
    raise CommandFailed(f"the content coding {coding!r} is not known here{hint}", ExitCode.CONTENT_CODING)


class _Chain:
    """Several codings, the last applied one undone first."""

    def __init__(self, decoders: "list[_Decompressor]") -> None:
        self._decoders = decoders

    def decode(self, data: bytes) -> Iterator[bytes]:
        pieces: Iterator[bytes] = iter([data])
        for decoder in self._decoders:
            pieces = chain.from_iterable(map(decoder.decode, pieces))
        return pieces

    def finish(self) -> None:
        for decoder in self._decoders:
            decoder.finish()


class _Decompressor:
    """Undoes a coding with objects as the standard library makes them: `decompress`, `eof`, `unused_data`.

    Content may have several members, one after the other (RFC 1952 section 2.2, RFC 8878 section 3.1).
    """

    def __init__(self, coding: str, make: Callable[[], Any]) -> None:
        self._coding = coding
        self._make = make
        self._inner = make()
        self._is_empty = True

    def decode(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), SLICE_BYTES):
            self._is_empty = False
            try:
                yield from self._decode(data[start : start + SLICE_BYTES])
            except CommandFailed:
                raise
            except Exception as error:  # each module has an error of its own
                raise self._failure(str(error)) from None

    def finish(self) -> None:
        if not (self._is_empty or self._is_finished()):
            raise self._failure("it ends too early")

    def _decode(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._inner.eof:
                self._inner = self._make()
            yield self._decompress(data)
            data = self._inner.unused_data

    def _decompress(self, data: bytes) -> bytes:
        result: bytes = self._inner.decompress(data)
        return result

    def _is_finished(self) -> bool:
        return bool(self._inner.eof)

    def _failure(self, why: str) -> CommandFailed:
        return CommandFailed(f"the content is not the {self._coding} that it should be: {why}", ExitCode.CONTENT_CODING)


class _Deflate(_Decompressor):
    """zlib's format; some servers send the bare one (RFC 9110 section 8.4.1.2)."""

    def _decompress(self, data: bytes) -> bytes:
        try:
            return super()._decompress(data)
        except zlib.error:
            self._inner = zlib.decompressobj(-zlib.MAX_WBITS)
            return super()._decompress(data)


class _Brotli(_Decompressor):
    """The module's names for the same."""

    def _decode(self, data: bytes) -> Iterator[bytes]:
        while piece := self._inner.process(data, output_buffer_limit=PIECE_BYTES):
            yield piece
            data = b""

    def _is_finished(self) -> bool:
        return bool(self._inner.is_finished())
