"""A WebSocket over HTTP/3 with aioquic's HTTP/3 and wsproto's frames: two strangers at once (RFC 9220)."""

import pytest
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.extensions import PerMessageDeflate

import h3push
from h3push.server.certificates import DevelopmentCertificates

from .harness import run
from .strangers import Stack, stranger_client

CONNECT = [
    (b":protocol", b"websocket"),
    (b"sec-websocket-version", b"13"),
    (b"sec-websocket-protocol", b"chat"),
]


async def echo(scope, receive, send):
    assert scope["type"] == "websocket"
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept", "subprotocol": scope["subprotocols"][0]})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


@pytest.mark.parametrize("compressed", [False, True])
def test_echo_and_close(certificates: DevelopmentCertificates, compressed: bool) -> None:
    """The setting is announced, the handshake is 200, messages come back, a ping is answered, a close is echoed."""

    async def scenario() -> None:
        server = h3push.serve_asgi(
            echo, "127.0.0.1", 0, certfile=certificates.certfile, keyfile=certificates.keyfile, lifespan=False
        )
        async with server, stranger_client(Stack("aioquic"), certificates, server.address[1]) as peer:
            await peer.until(lambda: peer.http is not None and peer.http.received_settings is not None)
            assert peer.http.received_settings[8] == 1, "SETTINGS_ENABLE_CONNECT_PROTOCOL"
            deflate = PerMessageDeflate()
            offer = f"permessage-deflate; {deflate.offer()}".rstrip("; ").encode()
            extensions = [(b"sec-websocket-extensions", offer)] if compressed else []
            answer = peer.send("CONNECT", "/chat", headers=[*CONNECT, *extensions], end=False)
            await peer.until(lambda: answer.sections)
            assert answer.status == 200
            assert answer.headers[b"sec-websocket-protocol"] == b"chat"
            if compressed:
                deflate.finalize(answer.headers[b"sec-websocket-extensions"].decode())
            frames = Connection(ConnectionType.CLIENT, [deflate] if compressed else [])
            events = []

            async def until(kind):
                while True:
                    for event in events:
                        if isinstance(event, kind):
                            events.remove(event)
                            return event
                    await peer.until(lambda: answer.body)
                    data, answer.body = bytes(answer.body), bytearray()
                    frames.receive_data(data)
                    events.extend(frames.events())

            def send(event, end=False):
                peer.http.send_data(answer.stream_id, frames.send(event), end_stream=end)
                peer.transmit()

            send(TextMessage("hello"))
            assert (await until(TextMessage)).data == "hello"
            send(BytesMessage(b"\x00" * 10_000))
            data = b""
            while len(data) < 10_000:
                data += bytes((await until(BytesMessage)).data)
            assert data == b"\x00" * 10_000
            send(Ping(b"are you there"))
            assert (await until(Pong)).payload == b"are you there"
            send(CloseConnection(1000, "enough"))
            assert (await until(CloseConnection)).code == 1000
            await peer.until(lambda: answer.ended)

    run(scenario)
