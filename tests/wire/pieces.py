"""Ways to cut bytes up: whatever reads a stream must not care."""

from collections.abc import Iterator


def cuts(data: bytes) -> Iterator[list[bytes]]:
    """Whole, cut in two at every place, and byte by byte."""
    yield [data]
    for place in range(1, len(data)):
        yield [data[:place], data[place:]]
    yield [data[place : place + 1] for place in range(len(data))]
