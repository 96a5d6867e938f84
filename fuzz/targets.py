"""What is fuzzed. Each target takes bytes from the fuzzer, and its invariant stands in its first two lines."""

import contextlib

from h3push.errors import H3PushError
from h3push.h3.client import H3ClientConnection
from h3push.h3.server import H3ServerConnection
from h3push.http.fields import parse_promised_request, parse_request, parse_response, parse_trailers
from h3push.http.priority import parse_priority
from h3push.wire.frames import parse_priority_update, parse_push_promise, parse_single_varint
from h3push.wire.qpack import FieldDecoder, FieldEncoder
from h3push.wire.reader import FrameReader, StreamHeaderReader
from h3push.wire.registry import FrameType, Role, StreamKind
from h3push.wire.settings import parse_settings
from robustness.hostile import CLIENT_CONFIG, SERVER_CONFIG, Attack, disturb

OPERATIONS_AT_MOST = 200
"""Operations of one input: what comes later is not looked at."""


def _operations(data: bytes) -> list[tuple[int, int, bytes]]:
    """Read a script: each operation is a kind, a number, a length, and so many bytes."""
    operations, at = [], 0
    while at + 3 <= len(data) and len(operations) < OPERATIONS_AT_MOST:
        kind, number, length = data[at], data[at + 1], data[at + 2]
        operations.append((kind, number, data[at + 3 : at + 3 + length]))
        at += 3 + length
    return operations


def script(*operations: tuple[int, int, bytes]) -> bytes:
    """Write a script (for the corpus)."""
    return b"".join(bytes([kind, number, len(chunk[:255])]) + chunk[:255] for kind, number, chunk in operations)


DATA, DATA_AND_END, UNIDIRECTIONAL, DISTURB = 0, 1, 2, 3


def _connection(role: type[H3ServerConnection] | type[H3ClientConnection], data: bytes) -> None:
    attack = Attack(role, SERVER_CONFIG if role is H3ServerConnection else CLIENT_CONFIG)
    for kind, number, chunk in _operations(data):
        if kind % 4 == UNIDIRECTIONAL:
            attack.send(4 * (number % 64) + 2 + (not attack.is_server), chunk, kind >= 128)
        elif kind % 4 == DISTURB:
            disturb(attack, number % 12, chunk[0] if chunk else 0)
        else:
            attack.send(4 * (number % 64), chunk, kind % 4 == DATA_AND_END)
    attack.close()
    if attack.terminated != 1:
        raise AssertionError("a connection ends exactly once")


def server(data: bytes) -> None:
    """Whatever a client sends: an event or one of our own errors, nothing else;
    bounded memory; no hang."""
    _connection(H3ServerConnection, data)


def client(data: bytes) -> None:
    """Whatever a server sends: an event or one of our own errors, nothing else;
    bounded memory; no hang."""
    _connection(H3ClientConnection, data)


def qpack(data: bytes) -> None:
    """Whatever is on the encoder stream, the decoder stream and in sections: fields or one of our own errors;
    no more streams blocked than announced, and nothing decoded beyond the bound on expansion."""
    decoder = FieldDecoder(max_table_capacity=220, blocked_streams=3, max_field_section_size=2_000)
    encoder = FieldEncoder(220)
    encoder.apply_settings(220, 3)
    waiting: set[int] = set()
    try:
        for kind, number, chunk in _operations(data):
            if kind % 4 == 0 and number not in waiting:
                fields = decoder.decode(number, chunk)
                if fields is None:
                    waiting.add(number)
                elif sum(len(name) + len(value) + 32 for name, value in fields) > 2_000:
                    raise AssertionError("larger than announced")
            elif kind % 4 == 1:
                for stream_id in decoder.receive_encoder_stream(chunk):
                    waiting.discard(stream_id)
                    decoder.resume(stream_id)
            elif kind % 4 == 2:
                encoder.encode(number, [(b"name", chunk[:40]), (b"x-" + chunk[:3].hex().encode(), b"v")])
                encoder.receive_decoder_stream(chunk[40:])
            else:
                decoder.cancel(number)
                waiting.discard(number)
            decoder.take_decoder_stream()
            if len(waiting) > 3:
                raise AssertionError("more streams wait than were announced")
    except H3PushError:
        return


_KINDS = (
    (Role.SERVER, StreamKind.REQUEST),
    (Role.CLIENT, StreamKind.REQUEST),
    (Role.CLIENT, StreamKind.PUSH),
    (Role.SERVER, StreamKind.CONTROL),
    (Role.CLIENT, StreamKind.CONTROL),
)


def wire(data: bytes) -> None:
    """Whatever the bytes and however they are cut: frames, values or one of our own errors, nothing else;
    the same frames for the same bytes, never more buffered than allowed."""
    if len(data) < 2:
        return
    role, kind = _KINDS[data[0] % len(_KINDS)]
    cut = data[1] + 1
    assert _read(role, kind, data[2:], len(data)) == _read(role, kind, data[2:], cut)
    for read in (
        lambda: StreamHeaderReader(role).receive(data[2:]),
        lambda: parse_settings(data[2:]),
        lambda: parse_push_promise(data[2:]),
        lambda: parse_priority_update(data[2:]),
        lambda: parse_single_varint(FrameType.GOAWAY, data[2:]),
    ):
        with contextlib.suppress(H3PushError):
            read()
    with contextlib.suppress(ValueError):
        parse_priority(data[2:])


def fields(data: bytes) -> None:
    """Whatever fields a section has: a request, a response, trailers or one of our own errors, nothing else;
    what is accepted has no byte that could end a line or a field elsewhere."""
    lines = [tuple(line.split(b"\xfe", 1)) for line in data.split(b"\xff") if b"\xfe" in line]
    section = [(line[0], line[1]) for line in lines]
    pseudo = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a.test"), (b":path", b"/")]
    for parse, given in (
        (parse_request, section),
        (parse_request, pseudo + section),
        (parse_promised_request, pseudo + section),
        (parse_response, section),
        (parse_response, [(b":status", b"200"), *section]),
        (parse_trailers, section),
    ):
        try:
            parsed = parse(list(given))
        except H3PushError:
            continue
        accepted = parsed if isinstance(parsed, list) else parsed.fields
        for name, value in accepted:
            if set(name + value) & {0, 10, 13} or name != name.lower() or not name:
                raise AssertionError(f"accepted {name!r}: {value!r}")


def _read(role: Role, kind: StreamKind, data: bytes, cut: int) -> list[object]:
    """The frames of a stream delivered in pieces, content joined; an error as its code."""
    reader = FrameReader(role, kind, max_buffered=300)
    seen: list[object] = []
    try:
        for at in range(0, len(data), cut):
            for found in reader.receive(data[at : at + cut]):
                _join(seen, found)
    except H3PushError as error:
        seen.append(getattr(error, "error_code", type(error)))
    return seen


def _join(seen: list[object], found: tuple[int, bytes]) -> None:
    """Add a frame; neighbouring pieces of content become one."""
    last = seen[-1] if seen else None
    if isinstance(last, tuple) and found[0] == last[0] == FrameType.DATA and found[1] and last[1]:
        seen[-1] = (found[0], last[1] + found[1])
    else:
        seen.append(found)


TARGETS = {target.__name__: target for target in (server, client, qpack, wire, fields)}
