"""A promise that arrives before the QPACK entries that it refers to (RFC 9204 section 2.1.2), as any lost packet can cause.

UDP on the loopback does not reorder, so the two stacks' HTTP/3 layers are fed by hand here, streams in the wrong order.
"""

from typing import Any

import pylsqpack
import pytest

from .strangers import AIOQUIC, QH3, Stack

PROMISED = [
    (b":method", b"GET"),
    (b":scheme", b"https"),
    (b":authority", b"localhost:4433"),
    (b":path", b"/a.css"),
    (b"x-word", b"word"),
]


class NoQuic:
    """What the HTTP/3 layer wants of a QUIC connection, without one."""

    def __init__(self, stack: Stack) -> None:
        self.configuration = stack.configuration.QuicConfiguration(is_client=True)
        self._is_client = True
        self._quic_logger = None
        self._next_stream = 2
        self.closed: dict[str, Any] | None = None

    def get_next_available_stream_id(self, is_unidirectional: bool = True) -> int:
        self._next_stream += 4
        return self._next_stream - 4

    _open_stream = get_next_available_stream_id

    def send_stream_data(self, *_: Any, **__: Any) -> None:
        pass

    def close(self, **why: Any) -> None:
        self.closed = why


def promise_before_its_table(stack: Stack) -> tuple[list[Any], NoQuic]:
    """What the stack tells when the encoder stream comes at last, and how its connection stands."""
    quic = NoQuic(stack)
    client = stack.h3.H3Connection(quic)
    encoder = pylsqpack.Encoder()
    instructions = encoder.apply_settings(4_096, 16)
    section = b"\0"
    while not section[0]:  # the encoder puts into its table what it has seen before
        inserted, section = encoder.encode(0, PROMISED)
        instructions += inserted

    def receive(stream_id: int, data: bytes) -> list[Any]:
        event = stack.quic_events.StreamDataReceived(data=data, stream_id=stream_id, end_stream=False)
        told: list[Any] = client.handle_event(event)
        return told

    receive(3, b"\x00" + stack.h3.encode_frame(0x4, b""))
    assert receive(0, stack.h3.encode_frame(0x5, stack.varint(7) + section)) == []
    return receive(7, b"\x02" + instructions), quic


def test_aioquic_waits_and_tells_of_the_promise() -> None:
    (event,), quic = promise_before_its_table(AIOQUIC)
    assert (type(event).__name__, event.push_id, event.headers) == ("PushPromiseReceived", 7, PROMISED)
    assert quic.closed is None


def test_qh3_takes_the_promise_for_the_response() -> None:
    """A fault of qh3 2.1: it goes on as if the promise were HEADERS, finds `:method` in a response, and ends the connection.

    So on a path that loses packets our server should not use a dynamic table towards qh3:
    `H3Config(qpack_encoder_table_capacity=0)`.
    """
    told, quic = promise_before_its_table(QH3)
    assert told == []
    assert quic.closed is not None
    assert quic.closed["error_code"] == 0x10E


@pytest.mark.parametrize("stack", [AIOQUIC, QH3], ids=repr)
def test_both_announce_that_they_can_wait(stack: Stack) -> None:
    """Their SETTINGS allow blocked streams, so a server may send what the one understands and the other does not."""
    client = stack.h3.H3Connection(NoQuic(stack))
    assert client.sent_settings[stack.h3.Setting.QPACK_BLOCKED_STREAMS] > 0
