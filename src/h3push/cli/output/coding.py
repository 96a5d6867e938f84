"""Compressed content, as `--compressed` undoes it: gzip and deflate always, br and zstd where their modules are installed."""

import zlib
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

from h3push.cli.failures import CommandFailed, ExitCode

OPTIONAL = {"br": "brotli", "zstd": "zstandard"}
"""Codings beyond the standard library, and the modules that know them."""


class Decoder(Protocol):
    """Undoes one coding, piece by piece."""

    def decode(self, data: bytes) -> bytes:
        """Give what a piece of coded content stands for."""

    def finish(self) -> bytes:
        """Give the rest. Raises `CommandFailed` when the content ended too early."""


def accepted_codings() -> str:
    """Give the Accept-Encoding field's value: every coding that can be undone here."""
    return ", ".join(["gzip", "deflate", *(coding for coding, module in OPTIONAL.items() if find_spec(module))])


def decoder_of(content_encoding: str) -> Decoder:
    """Give what undoes a Content-Encoding field. Raises `CommandFailed` for a coding that is not known here."""
    codings = [coding.strip().lower() for coding in content_encoding.split(",")]
    return _Chain([_decoder(coding) for coding in reversed(codings) if coding not in {"", "identity"}])


def _decoder(coding: str) -> "_Decompressor":
    if coding in {"gzip", "x-gzip"}:
        return _Decompressor(coding, zlib.decompressobj(16 + zlib.MAX_WBITS))
    if coding == "deflate":
        return _Deflate(coding, zlib.decompressobj())
    if coding == "br" and find_spec(OPTIONAL[coding]):
        return _Brotli(coding, import_module("brotli").Decompressor())
    if coding == "zstd" and find_spec(OPTIONAL[coding]):
        return _Decompressor(coding, import_module("zstandard").ZstdDecompressor().decompressobj())
    hint = f": pip install {OPTIONAL[coding]}" if coding in OPTIONAL else ""
    raise CommandFailed(f"the content coding {coding!r} is not known here{hint}", ExitCode.CONTENT_CODING)


class _Chain:
    """Several codings, the last applied one undone first."""

    def __init__(self, decoders: "list[_Decompressor]") -> None:
        self._decoders = decoders

    def decode(self, data: bytes) -> bytes:
        for decoder in self._decoders:
            data = decoder.decode(data)
        return data

    def finish(self) -> bytes:
        rest = b""
        for decoder in self._decoders:
            rest = (decoder.decode(rest) if rest else b"") + decoder.finish()
        return rest


class _Decompressor:
    """An object as the standard library makes them: `decompress`, `flush`, `eof`."""

    def __init__(self, coding: str, inner: Any) -> None:
        self._coding = coding
        self._inner = inner
        self._is_empty = True

    def decode(self, data: bytes) -> bytes:
        self._is_empty = self._is_empty and not data
        return self._checked(self._decompress, data)

    def finish(self) -> bytes:
        if not (self._is_empty or self._is_finished()):
            raise self._failure("it ends too early")
        return b""

    def _decompress(self, data: bytes) -> bytes:
        result: bytes = self._inner.decompress(data)
        return result

    def _is_finished(self) -> bool:
        return bool(self._inner.eof)

    def _checked(self, decompress: Callable[[bytes], bytes], data: bytes) -> bytes:
        try:
            return decompress(data)
        except Exception as error:  # each module has an error of its own
            raise self._failure(str(error)) from None

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

    def _decompress(self, data: bytes) -> bytes:
        result: bytes = self._inner.process(data)
        return result

    def _is_finished(self) -> bool:
        return bool(self._inner.is_finished())
