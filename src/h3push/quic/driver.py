"""Drivers with a socket, and what to do with any driver: send content past the core, put control streams first."""

from pathlib import Path
from typing import Any, Final, Literal

from h3push import _quic
from h3push.errors import ErrorCode
from h3push.h3.connection import H3Connection
from h3push.http.content import BytesPart, FileContent
from h3push.quic.adapter import Driver, NativeEvent, SocketDriver

_DATA: Final = _quic.DATA


LAST_CONTROL_STREAM = 14
"""Clients open their control and QPACK streams first: they are among the streams 2, 6, 10 and 14."""


def control_first(events: list[NativeEvent]) -> list[NativeEvent]:
    """Let what clients say on their control streams come before their requests of the same wake-up.

    QUIC gives no order between streams, but a MAX_PUSH_ID that was sent before a request should be known to its handler. So
    within each uninterrupted run of one connection's DATA events, those of its control streams go first. Everything else of
    a connection keeps its order, above all what begins or ends it or one of its streams: RESET, STOP and FIN are about what
    came before them, and ACCEPTED is the first that a connection is heard of.
    """
    before: set[int] = set()
    for event in events:
        kind: int = event[0]
        if kind == _DATA:
            if not event[2] & 2:
                before.add(event[1])
            elif event[1] in before and event[2] <= LAST_CONTROL_STREAM:
                break
    else:
        return events  # no control stream stands behind a request of its connection
    ordered = list(events)
    runs: dict[int, list[int]] = {}
    for slot, event in enumerate(events):
        if event[0] == _DATA:
            runs.setdefault(event[1], []).append(slot)
        elif event[1] in runs:
            _reorder(ordered, runs.pop(event[1]))
    for run in runs.values():
        _reorder(ordered, run)
    return ordered


def _is_control(event: NativeEvent) -> bool:
    """Content of a client's control or QPACK stream that does not end there."""
    return bool(event[0] == _DATA and event[2] & 2 and event[2] <= LAST_CONTROL_STREAM and not event[4])


def _reorder(events: list[NativeEvent], slots: list[int]) -> None:
    run = [events[slot] for slot in slots]
    run.sort(key=_comes_later)
    for slot, event in zip(slots, run, strict=True):
        events[slot] = event


def _comes_later(event: NativeEvent) -> bool:
    return not _is_control(event)


def send_file(
    core: H3Connection[Any], driver: Driver, handle: int, stream_id: int, file: FileContent, size: int, end: bool
) -> None:
    """Send `size` bytes of a file as one DATA frame whose payload only the transport sees. `OSError` when it cannot be opened.

    What goes wrong behind the frame's header resets the stream: the peer would wait for the rest.
    """
    with Path(file.path).open("rb"):
        pass  # before the header is out: a handler can still answer with something else
    if core.send_data_header(stream_id, size, end):
        try:
            driver.write_file(handle, stream_id, file.path, file.offset, size, end)
        except BaseException:
            core.reset_stream(stream_id, ErrorCode.H3_INTERNAL_ERROR)
            driver.reset(handle, stream_id, ErrorCode.H3_INTERNAL_ERROR)
            raise


def send_part(core: H3Connection[Any], driver: Driver, handle: int, stream_id: int, part: BytesPart, end: bool) -> int:
    """Send a part of larger bytes as one DATA frame; how many bytes of the stream wait."""
    if core.send_data_header(stream_id, part.length, end):
        return driver.write_part(handle, stream_id, part.data, part.offset, part.length, end)
    return 0


def bytes_waiting(driver: Driver, handle: int, stream_id: int) -> int:
    """How many bytes of a stream wait for the peer to take them."""
    return driver.write(handle, stream_id, b"", False)


def open_driver(io: Literal["loop", "thread"], address: tuple[str, int], **options: Any) -> Driver:
    """A driver with a UDP socket. `io="thread"` moves packets on a thread of its own. `OSError` with a sentence."""
    kind = _quic.ThreadedEndpoint if io == "thread" else _quic.Endpoint
    try:
        return SocketDriver(kind.bind(address, **options))
    except OSError as error:
        host, port = address
        raise OSError(error.errno, f"cannot listen on {host}:{port} over UDP: {error.strerror or error}") from None
