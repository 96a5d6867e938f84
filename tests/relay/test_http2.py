"""What programs may try over HTTP/2, and a WebSocket that the origin does not take: refused, or passed on as what it is."""

import asyncio

import h2.config
import h2.connection
import h2.events
import pytest

import h3push
from h3push.server.certificates import DevelopmentCertificates

from .sockets import client_context, exchange, relay_to

pytest.importorskip("zttp")
Fields = list[tuple[bytes, bytes]]
HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def over_http2(port: int, made: DevelopmentCertificates, fields: Fields, content: bytes) -> list[h2.events.Event]:
    """Send one request, checked by nobody on this side; the events until its stream or the connection is over."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client_context(made, "h2"))
    config = h2.config.H2Configuration(validate_outbound_headers=False, normalize_outbound_headers=False)
    connection = h2.connection.H2Connection(config)
    connection.initiate_connection()
    pseudo = [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"localhost"), (b":path", b"/open")]
    connection.send_headers(1, [*pseudo, *fields])
    connection.send_data(1, content, end_stream=True)
    writer.write(connection.data_to_send())
    events: list[h2.events.Event] = []
    over = (h2.events.StreamEnded, h2.events.StreamReset, h2.events.ConnectionTerminated)
    try:
        async with asyncio.timeout(10):
            while not any(isinstance(event, over) for event in events):
                piece = await reader.read(65536)
                if not piece:
                    break
                events += connection.receive_data(piece)
    finally:
        writer.transport.abort()
    return events


ATTACKS: dict[str, Fields] = {
    "chunks": [(b"transfer-encoding", b"chunked")],
    "a length that is too small": [(b"content-length", b"0")],
    "a length that is too large": [(b"content-length", b"9999")],
    "two lengths": [(b"content-length", b"0"), (b"content-length", b"%d" % len(HIDDEN))],
    "a line break in a value": [(b"x", b"a\r\ncontent-length: 0\r\n\r\nGET /hidden HTTP/1.1\r\nhost: localhost")],
    "a line break in a name": [(b"x\r\ny", b"a")],
    "a colon in a name": [(b"content-length: 0\r\nx", b"a")],
    "a NUL": [(b"x", b"a\0b")],
    "an upper-case name": [(b"Content-Length", b"0")],
    "a connection field": [(b"connection", b"content-length")],
    "another host": [(b"host", b"evil.example")],
}


@pytest.mark.parametrize("fields", ATTACKS.values(), ids=ATTACKS)
def test_nothing_hidden_passes(fields: Fields, certificates: DevelopmentCertificates) -> None:
    """HTTP/2's frames say where content ends, whatever its fields claim: `/hidden` stays content, or nothing is asked."""
    asked: list[tuple[str, bytes, dict[str, str]]] = []

    async def origin(request: h3push.Request) -> h3push.Response:
        asked.append((request.path, await request.read(), dict(request.headers)))
        return h3push.Response(200, {}, b"open")

    async def check() -> None:
        async with relay_to(origin, certificates, tls=True) as relay:
            await over_http2(relay.places[0].port, certificates, fields, HIDDEN)

    asyncio.run(check())
    assert [path for path, _, _ in asked] in ([], ["/open"])
    for _, content, seen in asked:
        assert content == HIDDEN
        assert "transfer-encoding" not in seen
        assert seen.get("content-length") in {None, str(len(HIDDEN))}


def test_an_honest_request_passes(certificates: DevelopmentCertificates) -> None:
    """The same client, without a trick, is answered: so the refusals above are of the tricks."""

    async def origin(request: h3push.Request) -> h3push.Response:
        return h3push.Response(200, {}, await request.read())

    async def check() -> list[h2.events.Event]:
        async with relay_to(origin, certificates, tls=True) as relay:
            return await over_http2(relay.places[0].port, certificates, [(b"content-length", b"2")], b"hi")

    events = asyncio.run(check())
    assert [event.data for event in events if isinstance(event, h2.events.DataReceived) if event.data] == [b"hi"]


def test_a_websocket_for_an_origin_that_takes_none_is_refused_with_a_sentence(
    certificates: DevelopmentCertificates,
) -> None:
    """501 says why it does not pass, and where to connect instead."""

    async def origin(_request: h3push.Request) -> h3push.Response:
        raise AssertionError("nothing was to be asked")

    handshake = b"\r\n".join(
        [b"GET /socket HTTP/1.1", b"Host: localhost", b"Connection: Upgrade", b"Upgrade: websocket",
         b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", b"", b""]
    )  # fmt: skip

    async def check() -> bytes:
        async with relay_to(origin, certificates) as relay:
            return await exchange(relay.places[0].port, handshake)

    answer = asyncio.run(check())
    assert answer.startswith(b"HTTP/1.1 501")
    assert b"the origin takes no WebSockets over HTTP/3 (RFC 9220): connect to the origin itself" in answer
