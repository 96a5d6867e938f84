"""uvicorn's protocols for HTTP/2 and HTTP/1.1 by zttp, chosen by ALPN."""

import asyncio
import ssl
from typing import Any

import zttp
from uvicorn.protocols.http.zttp_h2_impl import ZttpH2Protocol
from uvicorn.protocols.http.zttp_impl import ZttpProtocol


class Http2Protocol(ZttpH2Protocol):
    """HTTP/2, with the end of requests that have no content.

    zttp tells of it in the request itself, and uvicorn 0.54 waits for another event: an application that reads the content of a
    GET would wait for ever.
    """

    def handle_request(self, event: zttp.Request) -> None:
        """Begin a request."""
        super().handle_request(event)
        cycle = self.cycles.get(event.stream_id)
        if event.end_stream and cycle is not None:
            cycle.more_body = False
            cycle.message_event.set()


class ByAlpn(asyncio.Protocol):
    """Becomes the protocol that the TLS handshake agreed on."""

    def __init__(self, **arguments: Any) -> None:
        self._arguments = arguments

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The handshake is done."""
        assert isinstance(transport, asyncio.Transport)
        tls: ssl.SSLObject = transport.get_extra_info("ssl_object")
        chosen = Http2Protocol if tls.selected_alpn_protocol() == "h2" else ZttpProtocol
        protocol = chosen(**self._arguments)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
