"""Ways to cut bytes up, which whatever reads a stream must not care about, and to see how reading ends."""

from collections.abc import Callable, Iterator

from h3push.errors import ErrorCode, ProtocolError


def cuts(data: bytes) -> Iterator[list[bytes]]:
    """Whole, cut in two at every place, and byte by byte."""
    yield [data]
    for place in range(1, len(data)):
        yield [data[:place], data[place:]]
    yield [data[place : place + 1] for place in range(len(data))]


def ending(read: Callable[[], object]) -> ErrorCode | None:
    """Error code with which reading ends, or None; any other exception fails the test."""
    try:
        read()
    except ProtocolError as error:
        return error.error_code
    return None
