"""Compressed content: `--compressed` undoes it."""

import gzip
import zlib

import pytest

from h3push.cli.output.coding import decoder_of
from h3push.server.response import Response


def zlib_bare(data):
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


def optional(module, compress):
    """Compress with a module; a test that needs one that is not there is skipped."""

    def compressed(data):
        return compress(pytest.importorskip(module), data)

    return compressed


OPTIONAL = {
    "br": optional("brotli", lambda brotli, data: brotli.compress(data)),
    "zstd": optional("zstandard", lambda zstandard, data: zstandard.compress(data)),
}
CODINGS = {"gzip": gzip.compress, "x-gzip": gzip.compress, "deflate": zlib.compress, "bare": zlib_bare}


@pytest.fixture(scope="session")
def compressing(start):
    async def handler(request):
        coding = request.path[1:]
        content = b"text " * 10_000
        if coding == "twice":
            return Response(200, {"content-encoding": "deflate, gzip"}, gzip.compress(zlib.compress(content)))
        if coding == "members":
            return Response(200, {"content-encoding": "gzip"}, gzip.compress(content[:7]) + gzip.compress(content[7:]))
        if coding == "cut":
            return Response(200, {"content-encoding": "gzip"}, gzip.compress(content)[:-9])
        if coding == "wrong":
            return Response(200, {"content-encoding": "gzip"}, content)
        if coding == "unknown":
            return Response(200, {"content-encoding": "lzw"}, content)
        name = "deflate" if coding == "bare" else coding
        return Response(200, {"content-encoding": name}, (CODINGS | OPTIONAL)[coding](content))

    return start(handler)


@pytest.mark.parametrize("coding", [*CODINGS, *OPTIONAL, "twice", "members"])
def test_compressed_content_is_decompressed(run, compressing, coding):
    """--compressed undoes every coding that it asks for; without it content stays as it is."""
    if coding in OPTIONAL:
        OPTIONAL[coding](b"")
    assert run("get", "-k", "--compressed", compressing.url + coding).out == b"text " * 10_000
    assert run("get", "-k", compressing.url + coding).out != b"text " * 10_000


@pytest.mark.parametrize(
    ("coding", "sentence"),
    [
        ("cut", "the content is not the gzip that it should be: it ends too early"),
        ("wrong", "the content is not the gzip that it should be: "),
        ("unknown", "the content coding 'lzw' is not known here"),
    ],
)
def test_content_that_cannot_be_decompressed_fails(run, compressing, coding, sentence):
    """Nothing short or wrong passes for whole: exit code 61."""
    result = run("get", "-k", "--compressed", compressing.url + coding)
    assert result.code == 61
    assert result.err.startswith(f"h3push: {sentence}")
    assert result.err.count("\n") == 1


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_few_bytes_that_stand_for_many_do_not_fill_the_memory(coding):
    """Compressed content is undone in slices: none gives more than a few MB, whatever the server sends."""
    if coding == "zstd":
        bomb = pytest.importorskip("zstandard").compress(bytes(100_000_000))
    elif coding == "br":
        bomb = pytest.importorskip("brotli").compress(bytes(100_000_000))
    else:
        bomb = {"gzip": gzip.compress, "deflate": zlib.compress}[coding](bytes(100_000_000))
    decoder = decoder_of(coding)
    sizes = [len(piece) for piece in decoder.decode(bomb)]
    decoder.finish()
    assert sum(sizes) == 100_000_000
    assert max(sizes) < 5_000_000
