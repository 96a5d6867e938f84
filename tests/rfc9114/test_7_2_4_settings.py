"""SETTINGS (RFC 9114 section 7.2.4)."""

import pytest

from conformance.support import (
    LARGEST_VARINT,
    SETTINGS,
    ClientRig,
    Rig,
    ServerRig,
    both_roles,
    frame,
    promise,
    read_varint,
    varint,
    ways_to_arrive,
)
from h3push.errors import ErrorCode
from h3push.h3.config import H3Config
from h3push.h3.events import SettingsReceived
from h3push.wire.settings import Settings, encode_settings


def own_settings(rig: Rig) -> list[tuple[int, int]]:
    """Identifiers and values that the core sent."""
    (payload,) = [frame.payload for frame in rig.control_frames() if frame.type == 0x04]
    pairs, offset = [], 0
    while offset < len(payload):
        identifier, offset = read_varint(payload, offset)
        value, offset = read_varint(payload, offset)
        pairs.append((identifier, value))
    return pairs


@pytest.mark.rfc("H3-7.2.4-04")
@both_roles
@pytest.mark.parametrize("second", ["04 00", "04 02 06 05", "40 04 00"])
@ways_to_arrive
def test_settings_come_once(make_rig: type, second: str, chunk: int | None) -> None:
    """A second SETTINGS on the control stream is unexpected."""
    rig = make_rig(chunk=chunk)
    rig.control("21 00", second)
    rig.expect_close(ErrorCode.H3_FRAME_UNEXPECTED)
    assert len([event for event in rig.events if isinstance(event, SettingsReceived)]) == 1


@pytest.mark.rfc("H3-7.2.4-05")
@both_roles
@pytest.mark.parametrize("after_headers", [False, True])
@pytest.mark.parametrize("settings", [SETTINGS, b"\4", frame(0x04, "06 05")])
@ways_to_arrive
def test_settings_belong_on_the_control_stream(
    make_rig: type, after_headers: bool, settings: bytes, chunk: int | None
) -> None:
    """On a request stream they are unexpected, first or later."""
    rig = make_rig(chunk=chunk)
    rig.send(rig.message if after_headers else b"", settings)
    rig.expect_close(ErrorCode.H3_FRAME_UNEXPECTED)


@pytest.mark.rfc("H3-7.2.4-05")
def test_settings_on_a_push_stream() -> None:
    """Unexpected there too."""
    rig = ClientRig(H3Config(max_concurrent_pushes=4))
    rig.send(promise(0))
    rig.uni("01 00", SETTINGS)
    rig.expect_close(ErrorCode.H3_FRAME_UNEXPECTED)


@pytest.mark.rfc("H3-7.2.4-06")
@both_roles
@pytest.mark.parametrize(
    "payload", ["06 05 06 05", "06 05 06 06", "21 00 07 00 21 00", "01 00 40 01 00", "33 00 33 01"]
)
@ways_to_arrive
def test_an_identifier_twice(make_rig: type, payload: str, chunk: int | None) -> None:
    """Duplicates are an error, with the same value or not, reserved or in another form."""
    rig = make_rig(greet=False, chunk=chunk)
    rig.control(settings=frame(0x04, payload))
    rig.expect_close(ErrorCode.H3_SETTINGS_ERROR)


@pytest.mark.rfc("H3-7.2.4-07", "QP-5-01")
@both_roles
@ways_to_arrive
def test_unknown_settings_are_ignored(make_rig: type, chunk: int | None) -> None:
    """Reserved and unknown identifiers, 62-bit identifiers and values; absent ones have their defaults."""
    rig = make_rig(greet=False, chunk=chunk)
    payload = b"".join(
        varint(number) for number in (0x21, 0, LARGEST_VARINT, LARGEST_VARINT, 0x4242, 1, 0x06, LARGEST_VARINT)
    )
    rig.control(settings=frame(0x04, payload))
    rig.run()
    (told,) = [event.settings for event in rig.events if isinstance(event, SettingsReceived)]
    assert told == rig.core.peer_settings
    assert told.max_field_section_size == LARGEST_VARINT
    assert (told.qpack_max_table_capacity, told.qpack_blocked_streams) == (0, 0)
    assert not told.enable_connect_protocol
    assert not told.h3_datagram
    rig.expect_alive()


@pytest.mark.rfc("H3-7.2.4-07", "QP-5-01")
@both_roles
def test_empty_settings_are_valid(make_rig: type) -> None:
    """04 00: every default, so no dynamic table."""
    rig = make_rig()
    assert rig.core.peer_settings == Settings()
    rig.expect_alive()
    assert rig.own_stream(0x02) == b""


@pytest.mark.rfc("H3-7.2.4-08")
@both_roles
@pytest.mark.parametrize("identifier", [0x00, 0x02, 0x03, 0x04, 0x05])
@pytest.mark.parametrize("value", [0, 1])
@pytest.mark.parametrize("length", [1, 8])
def test_settings_that_only_http2_has(make_rig: type, identifier: int, value: int, length: int) -> None:
    """0x02 to 0x05, and the reserved 0x00, in any form and with any value."""
    rig = make_rig(greet=False)
    rig.control(settings=frame(0x04, varint(0x21) + varint(1) + varint(identifier, length) + varint(value)))
    rig.expect_close(ErrorCode.H3_SETTINGS_ERROR)


@pytest.mark.rfc("H3-7.2.4-08")
@both_roles
@pytest.mark.parametrize("payload", ["08 00", "08 01", "33 00", "33 01"])
def test_settings_of_extensions_are_not_reserved(make_rig: type, payload: str) -> None:
    """0x08 is ENABLE_CONNECT_PROTOCOL and 0x33 is H3_DATAGRAM: known, and fine."""
    rig = make_rig(greet=False)
    rig.control(settings=frame(0x04, payload))
    rig.expect_alive()


@pytest.mark.rfc("WS-3-01", "DG-2.1.1-01")
@both_roles
@pytest.mark.parametrize("payload", ["08 02", "33 02", "33 40 ff"])
def test_a_switch_is_0_or_1(make_rig: type, payload: str) -> None:
    """Other values of 0x08 and 0x33 are errors."""
    rig = make_rig(greet=False)
    rig.control(settings=frame(0x04, payload))
    rig.expect_close(ErrorCode.H3_SETTINGS_ERROR)


@pytest.mark.rfc("H3-7.2.4-09", "H3-7.2.4-13", "H3-7.2.4-17")
@both_roles
def test_our_settings_say_everything_once(make_rig: type) -> None:
    """Each value that is not the default, no identifier twice, none of HTTP/2, one that is reserved."""
    for seed in range(8):
        config = H3Config(
            grease_seed=seed, qpack_max_table_capacity=5000, qpack_blocked_streams=7, max_field_section_size=1234
        )
        rig = make_rig(config, greet=False)
        pairs = own_settings(rig)
        identifiers = [identifier for identifier, _ in pairs]
        assert len(set(identifiers)) == len(identifiers)
        assert not {0x00, 0x02, 0x03, 0x04, 0x05} & set(identifiers)
        assert {(0x01, 5000), (0x06, 1234), (0x07, 7)} <= set(pairs)
        assert [identifier for identifier in identifiers if identifier >= 0x21 and (identifier - 0x21) % 0x1F == 0]
        assert pairs == own_settings(make_rig(config, greet=False)), "the same on every connection, for resumption"
        rig.expect_alive()


@pytest.mark.rfc("H3-7.2.4-13")
@pytest.mark.parametrize("identifier", [0x00, 0x02, 0x03, 0x04, 0x05])
def test_a_setting_of_http2_cannot_be_sent(identifier: int) -> None:
    """Not through unknown settings and not as grease."""
    with pytest.raises(ValueError, match="reserved"):
        encode_settings(Settings(unknown=((identifier, 0),)))
    with pytest.raises(ValueError, match="reserved"):
        encode_settings(Settings(), (identifier, 1))
    with pytest.raises(ValueError, match="twice"):
        encode_settings(Settings(unknown=((0x4242, 0), (0x4242, 0))))
    with pytest.raises(ValueError, match="twice"):
        encode_settings(Settings(unknown=((0x06, 5),)))


@pytest.mark.rfc("H3-7.2.4-14", "QP-3.2.3-02", "H3-9-02")
@both_roles
def test_nothing_is_used_before_the_peer_allowed_it(make_rig: type) -> None:
    """While SETTINGS are missing: no dynamic table, no extended CONNECT; after them the table is used as allowed."""
    rig = make_rig(greet=False)
    for _ in range(3):
        rig.expect_alive()
    assert rig.own_stream(0x02) == b""
    rig.control(settings=frame(0x04, varint(0x01) + varint(4096) + varint(0x07) + varint(16)))
    rig.run()
    assert rig.own_stream(0x02) != b"", "Set Dynamic Table Capacity"


@pytest.mark.rfc("H3-7.2.4-15")
def test_a_client_does_not_wait_for_settings() -> None:
    """The first request goes out and is answered although the server never says anything else."""
    rig = ClientRig(greet=False)
    for _ in range(3):
        rig.expect_alive()
    assert rig.core.peer_settings is None


@pytest.mark.rfc("H3-7.2.4-15")
def test_settings_that_came_first_are_honoured() -> None:
    """A limit that arrived before the first request holds for it."""
    rig = ClientRig(greet=False)
    rig.control(settings=frame(0x04, "01 50 00 07 05 06 47 d0"))
    rig.run()
    rig.open_message()
    assert rig.core.peer_settings is not None
    assert rig.core.peer_settings.max_field_section_size == 2000
    assert rig.own_stream(0x02) != b""


@pytest.mark.rfc("H3-9-02")
@both_roles
def test_extensions_are_off_unless_negotiated(make_rig: type) -> None:
    """We announce neither extended CONNECT nor datagrams; absent settings mean off at the peer."""
    rig = make_rig()
    assert not {0x08, 0x33} & {identifier for identifier, _ in own_settings(rig)}
    assert rig.core.peer_settings == Settings(enable_connect_protocol=False, h3_datagram=False)
    if make_rig is ServerRig:
        assert rig.core.max_push_id is None
