"""uvicorn's protocols for HTTP/2 and HTTP/1.1 by zttp, chosen by ALPN."""

import asyncio
import ssl

import zttp
from uvicorn.protocols.http.zttp_h2_impl import RequestResponseCycle, ZttpH2Protocol
from uvicorn.protocols.http.zttp_impl import ZttpProtocol

FRAME_HEADER, SETTING = 9, 6
"""Bytes of a frame's header, and of each setting in SETTINGS (RFC 9113 sections 4.1 and 6.5.1)."""

ENABLE_CONNECT_PROTOCOL = b"\x00\x08"
"""The setting of RFC 8441 section 3."""


class Http2Protocol(ZttpH2Protocol):
    """HTTP/2, with two things that uvicorn 0.54 leaves undone.

    zttp announces extended CONNECT, which uvicorn takes for a plain request: a browser that believes it gets no WebSocket. Here
    it is not announced, so that browsers open one over HTTP/1.1. And zttp tells of the end of a request without content in the
    request itself, where uvicorn waits for another event: an application that reads the content of a GET would wait for ever.
    """

    cycle: RequestResponseCycle | None = None
    """The request that began last, as uvicorn's protocols for HTTP/1.1 have it; `None` before the first."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """The handshake is done."""
        self.conn.initiate_connection()
        transport.write(without_extended_connect(self.conn.data_to_send()))
        super().connection_made(transport)

    def handle_request(self, event: zttp.Request) -> None:
        """Begin a request."""
        super().handle_request(event)
        cycle = self.cycle = self.cycles.get(event.stream_id)
        if event.end_stream and cycle is not None:
            cycle.more_body = False
            cycle.message_event.set()


def without_extended_connect(preface: bytes) -> bytes:
    """A server's first SETTINGS frame, with extended CONNECT switched off."""
    changed = bytearray(preface)
    for at in range(FRAME_HEADER, FRAME_HEADER + int.from_bytes(preface[:3]), SETTING):
        if preface[at : at + 2] == ENABLE_CONNECT_PROTOCOL:
            changed[at + 2 : at + SETTING] = bytes(4)
    return bytes(changed)


def by_alpn(transport: asyncio.Transport) -> type[Http2Protocol] | type[ZttpProtocol]:
    """The protocol that the TLS handshake agreed on."""
    tls: ssl.SSLObject = transport.get_extra_info("ssl_object")
    return Http2Protocol if tls.selected_alpn_protocol() == "h2" else ZttpProtocol
