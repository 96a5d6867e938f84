"""Variable-length integers (RFC 9000 section 16)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from h3push.wire.varint import VARINT_MAX, decode_varint, encode_varint

RFC_EXAMPLES = [  # RFC 9000 appendix A.1
    ("c2197c5eff14e88c", 151_288_809_941_952_652),
    ("9d7f3e7d", 494_878_333),
    ("7bbd", 15_293),
    ("25", 37),
]


@pytest.mark.parametrize(("encoded", "value"), RFC_EXAMPLES)
def test_rfc_examples(encoded: str, value: int) -> None:
    """The examples of RFC 9000 decode to their values and are what we send."""
    assert decode_varint(bytes.fromhex(encoded), 0) == (value, len(encoded) // 2)
    assert encode_varint(value).hex() == encoded


@pytest.mark.rfc("H3-7.2.7-14")
@pytest.mark.parametrize("encoded", ["25", "4025", "80000025", "c000000000000025"])
def test_longer_forms_are_accepted(encoded: str) -> None:
    """HTTP/3 accepts every length of an integer, not only the shortest."""
    assert decode_varint(bytes.fromhex(encoded), 0) == (37, len(encoded) // 2)


@pytest.mark.parametrize("encoded", [example[0] for example in RFC_EXAMPLES])
def test_cut_off_is_incomplete(encoded: str) -> None:
    """Every proper beginning of an integer says that more is to come."""
    data = bytes.fromhex(encoded)
    for length in range(len(data)):
        assert decode_varint(data[:length], 0) is None


@pytest.mark.parametrize("value", [-1, VARINT_MAX + 1, 1 << 64])
def test_what_does_not_fit_is_refused(value: int) -> None:
    """An integer below 0 or above 2^62 - 1 is our own mistake."""
    with pytest.raises(ValueError, match="varint"):
        encode_varint(value)


@pytest.mark.parametrize(
    ("value", "length"),
    [(0, 1), (63, 1), (64, 2), (16_383, 2), (16_384, 4), (2**30 - 1, 4), (2**30, 8), (VARINT_MAX, 8)],
)
def test_shortest_form_is_sent(value: int, length: int) -> None:
    """Each value is sent in the fewest bytes."""
    assert len(encode_varint(value)) == length


@given(st.integers(0, VARINT_MAX), st.binary(max_size=3), st.binary(max_size=3))
def test_round_trip(value: int, before: bytes, after: bytes) -> None:
    """What was encoded decodes to itself, wherever it stands."""
    encoded = encode_varint(value)
    assert decode_varint(before + encoded + after, len(before)) == (value, len(before) + len(encoded))
