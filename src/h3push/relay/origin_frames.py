"""The origin's end of a WebSocket: its frames, and what the two handshakes agree on.

Messages are compressed on the long link (RFC 7692), with windows of 4 KiB, as our own server does. The program and the
relay's own server agree on something of their own.
"""

from websockets.exceptions import InvalidHeader, NegotiationError
from websockets.extensions.base import Extension
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.headers import build_extension, parse_extension
from websockets.protocol import Side

from h3push.asgi.websocket_frames import ABNORMAL, WebSocketFrames
from h3push.asgi.websocket_handshake import WINDOW_BITS
from h3push.client.tunnel import ClientTunnel
from h3push.errors import ErrorCode, StreamFailed
from h3push.http.fields import Field

__all__ = ["ABNORMAL", "OriginFrames", "agreed", "is_handshake", "offer"]

_DEFLATE = ClientPerMessageDeflateFactory(
    server_max_window_bits=WINDOW_BITS, client_max_window_bits=WINDOW_BITS, compress_settings={"memLevel": 5}
)


class OriginFrames(WebSocketFrames):
    """The frames of a WebSocket of which we are the client.

    Args:
        max_size: bytes of a message, after decompression.
        extensions: what was agreed on.
    """

    def __init__(self, max_size: int, extensions: list[Extension]) -> None:
        super().__init__(max_size, extensions, Side.CLIENT)


def offer() -> Field:
    """The field that offers compression."""
    return b"sec-websocket-extensions", build_extension([(_DEFLATE.name, _DEFLATE.get_request_params())]).encode()


def agreed(tunnel: ClientTunnel) -> list[Extension]:
    """The extensions that the origin agreed to. `StreamFailed` for one that was not offered (RFC 6455 section 4.1)."""
    found: list[Extension] = []
    try:
        for value in tunnel.headers.get_all("sec-websocket-extensions"):
            for name, parameters in parse_extension(value):
                if name != _DEFLATE.name:
                    raise NegotiationError("an extension that was not offered")
                found.append(_DEFLATE.process_response_params(parameters, found))
    except (InvalidHeader, NegotiationError) as error:
        sentence = f"the origin's handshake of a WebSocket makes no sense: {error}"
        raise StreamFailed(sentence, ErrorCode.H3_MESSAGE_ERROR) from None
    return found


def is_handshake(name: bytes) -> bool:
    """True for a field that belongs to the handshake of one connection."""
    return name.startswith(b"sec-websocket-")
