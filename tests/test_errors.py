"""Error codes and the exception tree (RFC 9114 section 8, RFC 9204 section 6, RFC 9297 section 5.2)."""

import inspect

import pytest

from h3push import errors
from h3push.errors import (
    ConnectionClosed,
    ErrorCode,
    H3ConnectionError,
    H3PushError,
    H3StreamError,
    ProtocolError,
    PushCancelled,
    RequestNotProcessed,
    StreamFailed,
    describe_error_code,
)


def test_codes_are_the_registered_ones() -> None:
    """RFC 9114 section 8.1 numbers 17 codes from 0x100 on; QPACK has three, datagrams one."""
    http3 = [code for code in ErrorCode if code.name.startswith("H3_") and code != ErrorCode.H3_DATAGRAM_ERROR]
    assert http3 == list(range(0x100, 0x111))
    assert [code.name for code in ErrorCode if code >= 0x200] == [
        "QPACK_DECOMPRESSION_FAILED",
        "QPACK_ENCODER_STREAM_ERROR",
        "QPACK_DECODER_STREAM_ERROR",
    ]
    assert ErrorCode.H3_ID_ERROR == 0x108
    assert ErrorCode.H3_MESSAGE_ERROR == 0x10E
    assert ErrorCode.QPACK_DECODER_STREAM_ERROR == 0x202


@pytest.mark.rfc("H3-8-01")
@pytest.mark.parametrize(
    ("code", "text"), [(0x108, "H3_ID_ERROR (0x108)"), (0x21, "0x21"), (2**62 - 1, hex(2**62 - 1))]
)
def test_codes_are_described(code: int, text: str) -> None:
    """Known codes by name, all others by number."""
    assert describe_error_code(code) == text


@pytest.mark.parametrize("kind", [H3ConnectionError, H3StreamError])
def test_protocol_errors_say_what_goes_on_the_wire(kind: type[ProtocolError]) -> None:
    """Code, sentence, and both in the text."""
    error = kind(ErrorCode.H3_ID_ERROR, "a push ID came twice")
    assert (error.error_code, error.reason) == (ErrorCode.H3_ID_ERROR, "a push ID came twice")
    assert str(error) == "a push ID came twice [H3_ID_ERROR]"


def test_connection_and_stream_errors_do_not_mix() -> None:
    """One cannot be caught as the other."""
    assert not issubclass(H3StreamError, H3ConnectionError)
    assert not issubclass(H3ConnectionError, H3StreamError)


def test_failures_carry_their_code() -> None:
    """What ended a message or a connection can be asked."""
    assert (
        str(PushCancelled("the push was cancelled", 0x10C)) == "the push was cancelled [H3_REQUEST_CANCELLED (0x10c)]"
    )
    assert StreamFailed("reset", 0x21).error_code == 0x21
    assert RequestNotProcessed("going away").error_code is None
    assert ConnectionClosed("bye", 0x100).error_code == 0x100


def test_everything_is_one_of_ours() -> None:
    """Catching H3PushError catches every exception of h3push."""
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, Exception)]
    assert all(issubclass(kind, H3PushError) for kind in kinds)
    assert len(kinds) > 10
