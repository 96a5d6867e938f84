"""The payload of SETTINGS (RFC 9114 section 7.2.4)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pieces import ending

from h3push.errors import ErrorCode, H3ConnectionError
from h3push.wire.registry import reserved_number
from h3push.wire.settings import MAX_UNKNOWN_KEPT, Settings, encode_settings, parse_settings
from h3push.wire.varint import VARINT_MAX, encode_varint


def refused(payload: str) -> ErrorCode:
    with pytest.raises(H3ConnectionError) as raised:
        parse_settings(bytes.fromhex(payload))
    return raised.value.error_code


@pytest.mark.rfc("QP-5-01", "H3-7.2.4-07", "H3-9-02")
def test_nothing_said_means_the_defaults() -> None:
    """An empty payload is legal; every extension is off."""
    settings = parse_settings(b"")
    assert settings == Settings()
    assert settings.max_field_section_size is None
    assert (settings.qpack_max_table_capacity, settings.qpack_blocked_streams) == (0, 0)
    assert not settings.enable_connect_protocol
    assert not settings.h3_datagram


def test_every_known_setting_is_read() -> None:
    """Identifier and value pairs, in any order."""
    assert parse_settings(bytes.fromhex("3301 0801 0710 0680010000 015000")) == Settings(
        qpack_max_table_capacity=4096,
        max_field_section_size=65_536,
        qpack_blocked_streams=16,
        enable_connect_protocol=True,
        h3_datagram=True,
    )


@pytest.mark.rfc("H3-7.2.4-06")
@pytest.mark.parametrize("payload", ["06050605", "06050606", "21002101", "01004001 00", "0700400700"])
def test_an_identifier_comes_once(payload: str) -> None:
    """A repeated identifier, known or reserved, in whatever encoding, is H3_SETTINGS_ERROR."""
    assert refused(payload) is ErrorCode.H3_SETTINGS_ERROR


@pytest.mark.rfc("H3-7.2.4-08")
@pytest.mark.parametrize("identifier", ["00", "02", "03", "04", "05", "4002", "80000003"])
@pytest.mark.parametrize("value", ["00", "01", "ffffffffffffffff"])
def test_http2_settings_are_refused(identifier: str, value: str) -> None:
    """What only HTTP/2 has, and 0x00, is H3_SETTINGS_ERROR whatever its value."""
    assert refused(identifier + value) is ErrorCode.H3_SETTINGS_ERROR


@pytest.mark.rfc("WS-3-01")
@pytest.mark.parametrize("payload", ["0802", "3302", "087fff", "33ffffffffffffffff"])
def test_switches_are_0_or_1(payload: str) -> None:
    """SETTINGS_ENABLE_CONNECT_PROTOCOL and SETTINGS_H3_DATAGRAM beyond 1 are H3_SETTINGS_ERROR."""
    assert refused(payload) is ErrorCode.H3_SETTINGS_ERROR


@pytest.mark.rfc("H3-7.1-01")
def test_a_cut_pair_is_a_frame_error() -> None:
    """A payload that ends within a pair is H3_FRAME_ERROR, wherever it ends."""
    payload = bytes.fromhex("0680010000 c000000000000021c000000000000001")
    whole = {5, len(payload)}
    for length in range(1, len(payload)):
        if length not in whole:
            assert refused(payload[:length].hex()) is ErrorCode.H3_FRAME_ERROR
    assert parse_settings(payload).unknown == ((0x21, 1),)


@pytest.mark.rfc("H3-7.2.4-07")
def test_unknown_settings_are_ignored_and_seen() -> None:
    """Unknown and reserved identifiers, 62 bits long too, change nothing."""
    largest = encode_varint(VARINT_MAX)
    settings = parse_settings(bytes.fromhex("2105") + largest + largest)
    assert settings.unknown == ((0x21, 5), (VARINT_MAX, VARINT_MAX))
    assert settings == Settings(unknown=settings.unknown)


@pytest.mark.rfc("ROB-16")
def test_what_is_kept_is_bounded() -> None:
    """Thousands of unknown identifiers are read, and a few of them kept."""
    payload = b"".join(encode_varint(reserved_number(n)) + b"\0" for n in range(2000))
    assert len(parse_settings(payload).unknown) == MAX_UNKNOWN_KEPT


@pytest.mark.rfc("H3-7.2.4-13")
@pytest.mark.parametrize("identifier", [0x00, 0x02, 0x03, 0x04, 0x05, 0x01, 0x06, 0x07, 0x08, 0x33])
def test_extra_settings_cannot_be_reserved_or_known_ones(identifier: int) -> None:
    """Neither `unknown` nor the grease can say what may not be said, or say something twice."""
    with pytest.raises(ValueError, match="setting"):
        encode_settings(Settings(unknown=((identifier, 1),)))
    with pytest.raises(ValueError, match="setting"):
        encode_settings(Settings(), grease=(identifier, 1))


@pytest.mark.rfc("H3-7.2.4-13")
def test_extra_settings_cannot_repeat() -> None:
    """An identifier is sent once."""
    with pytest.raises(ValueError, match="twice"):
        encode_settings(Settings(unknown=((0x21, 1),)), grease=(0x21, 2))


@pytest.mark.rfc("H3-7.2.4-09", "H3-7.2.4-17")
def test_everything_that_is_not_a_default_is_sent() -> None:
    """Defaults are left out, all else is said, grease last."""
    assert encode_settings(Settings()) == b""
    settings = Settings(qpack_max_table_capacity=4096, max_field_section_size=0, h3_datagram=True)
    assert encode_settings(settings, grease=(0x40, 7)).hex() == "01500006003301404007"
    assert encode_settings(settings, grease=(reserved_number(0), 7)).hex() == "0150000600" + "33012107"


numbers = st.integers(0, VARINT_MAX)
unknowns = st.dictionaries(st.builds(reserved_number, st.integers(0, 10**9)), numbers, max_size=MAX_UNKNOWN_KEPT)


@given(
    st.builds(
        Settings,
        qpack_max_table_capacity=numbers,
        max_field_section_size=st.none() | numbers,
        qpack_blocked_streams=numbers,
        enable_connect_protocol=st.booleans(),
        h3_datagram=st.booleans(),
        unknown=unknowns.map(lambda pairs: tuple(pairs.items())),
    )
)
def test_round_trip(settings: Settings) -> None:
    """What is said is what is heard."""
    assert parse_settings(encode_settings(settings)) == settings


@given(st.binary(max_size=60))
def test_any_payload_is_settings_or_an_error(payload: bytes) -> None:
    """Nothing but H3ConnectionError leaves the parser."""
    outcome = ending(lambda: parse_settings(payload))
    assert outcome in (None, ErrorCode.H3_SETTINGS_ERROR, ErrorCode.H3_FRAME_ERROR)
