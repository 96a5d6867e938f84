"""The opening handshake of a WebSocket over HTTP/3: an extended CONNECT (RFC 9220, RFC 8441), and what both sides agree on."""

from collections.abc import Mapping
from typing import Any

from websockets.exceptions import InvalidHeader, NegotiationError
from websockets.extensions.base import Extension
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.headers import build_extension, parse_extension, parse_subprotocol

from h3push.asgi.scope import decoded_path, scope_headers
from h3push.asgi.types import Scope
from h3push.http.fields import Field, Fields
from h3push.server.request import Request

DENIAL = "websocket.http.response"
"""Extension and events: an HTTP response in place of the WebSocket."""

WINDOW_BITS = 12
"""Both sides' compression windows are 4 KiB: what the window saves beyond that is little for messages, and its memory is not."""

WEBSOCKET_SPEC = {"version": "3.0", "spec_version": "2.4"}
"""The `asgi` of WebSocket scopes: `reason` since 2.3; `send` raises `OSError` after a disconnect since 2.4."""

_VERSION = b"13"


class WebSocketOffer:
    """The things that a client offers.

    Raises:
        ValueError: a field of the handshake that makes no sense.
    """

    def __init__(self, fields: list[Field]) -> None:
        if any(name == b"sec-websocket-version" and value != _VERSION for name, value in fields):
            raise ValueError("the only version of WebSocket is 13")
        self.subprotocols: list[str] = []
        """Subprotocols, the client's favourite first."""
        self._extensions: list[Any] = []
        try:
            for name, value in fields:
                if name == b"sec-websocket-protocol":
                    self.subprotocols += parse_subprotocol(value.decode("latin-1"))
                elif name == b"sec-websocket-extensions":
                    self._extensions += parse_extension(value.decode("latin-1"))
        except InvalidHeader as error:
            raise ValueError(str(error)) from None

    def compression(self) -> tuple[Fields, list[Extension]]:
        """Agree to permessage-deflate (RFC 7692), if it is offered: the field of the answer, and the extension."""
        factory = ServerPerMessageDeflateFactory(
            server_max_window_bits=WINDOW_BITS, client_max_window_bits=WINDOW_BITS, compress_settings={"memLevel": 5}
        )
        for name, parameters in self._extensions:
            if name != factory.name:
                continue
            try:
                agreed, extension = factory.process_request_params(parameters, [])
            except NegotiationError:
                continue
            value = build_extension([(factory.name, agreed)])
            return [(b"sec-websocket-extensions", value.encode("ascii"))], [extension]
        return [], []


def build_websocket_scope(
    request: Request,
    offer: WebSocketOffer,
    *,
    root_path: str,
    state: dict[str, Any] | None,
    extensions: Mapping[str, Any],
) -> Scope:
    """Build the scope of one WebSocket.

    Args:
        request: the extended CONNECT.
        offer: what its client offers.
        root_path: where the application is mounted, decoded.
        state: the lifespan's state, or `None` when the application has no lifespan.
        extensions: those of ASGI that are offered.
    """
    raw_path, _, query = (request.head.path or b"").partition(b"?")
    scope: Scope = {
        "type": "websocket",
        "asgi": WEBSOCKET_SPEC.copy(),
        "http_version": "3",
        "server": request.connection.local_address,
        "client": tuple(request.client[:2]),
        "scheme": "wss",
        "root_path": root_path,
        "path": decoded_path(raw_path),
        "raw_path": raw_path,
        "query_string": query,
        "headers": scope_headers(request.head),
        "subprotocols": list(offer.subprotocols),
        "extensions": dict(extensions),
    }
    if state is not None:
        scope["state"] = state.copy()
    return scope
