"""A WebSocket through the proxy: one of ours on this side, one of `websockets` to the upstream."""

import asyncio
import logging
import ssl
from typing import Any

from websockets.asyncio.client import ClientConnection, connect, unix_connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

from h3push.asgi.types import ClientGoneError, Message, Receive, Scope, Send
from h3push.http.fields import Field, Fields
from h3push.proxy.failures import UpstreamFailed, UpstreamFailure, failure_of
from h3push.proxy.forwarding import end_to_end
from h3push.proxy.upstream import Upstream
from h3push.proxy.upstreams import Upstreams

logger = logging.getLogger("h3push.proxy")

DENIAL = "websocket.http.response"
GOING_AWAY, INTERNAL_ERROR, TRY_AGAIN = 1001, 1011, 1013
_NOT_SENT = frozenset({1005, 1006, 1015})
"""Codes that say that none was sent (RFC 6455 section 7.4.1)."""


class WebSocketTunnel:
    """Messages go both ways until either side closes.

    Args:
        scope: ASGI's scope of it.
        receive: the client's events.
        send: ours.
        max_size: the largest message that is taken from the upstream, in bytes.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, max_size: int) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._max_size = max_size

    async def run(self, upstreams: Upstreams, host: bytes | None, fields: Fields) -> None:
        """Open the upstream's side, then answer the client's.

        Args:
            upstreams: where it may lead.
            host: Host for the upstream; `None`: its own.
            fields: the others of the request as it goes on.
        """
        await self._receive()  # websocket.connect
        patience = upstreams.settings.connect_timeout

        async def opening(upstream: Upstream, tls: ssl.SSLContext | None) -> ClientConnection:
            try:
                return await self._open(upstream, tls, host, fields, patience)
            except OSError as error:
                failure, detail = failure_of(error)
            except InvalidStatus:
                raise
            except InvalidHandshake as error:
                failure, detail = UpstreamFailure.HTTP_PROTOCOL, str(error)
            raise UpstreamFailed(failure, str(upstream), detail)

        try:
            member, inner = await upstreams.open(opening)
        except InvalidStatus as error:
            body = bytes(error.response.body or b"")
            await self._deny(error.response.status_code, end_to_end(_encoded(error.response.headers.raw_items())), body)
            return
        except UpstreamFailed as error:
            logger.warning("%s: no WebSocket: %s", self._scope["path"], error)
            status, sentence = error.failure.status, error.failure.sentence
            await self._deny(status, [], f"{status}: {sentence}\n".encode())
            return
        member.connections.under_way += 1
        try:
            async with inner:
                accepted = {"subprotocol": inner.subprotocol, "headers": _cookies(inner)}
                await self._send({"type": "websocket.accept", **accepted})
                await self._carry(inner)
        finally:
            member.connections.under_way -= 1

    async def _open(
        self,
        upstream: Upstream,
        tls: ssl.SSLContext | None,
        host: bytes | None,
        fields: Fields,
        patience: float | None,
    ) -> ClientConnection:
        scope = self._scope
        query: bytes = scope.get("query_string", b"")
        target = (
            upstream.prefix + scope["raw_path"].decode("latin-1") + ("?" + query.decode("latin-1") if query else "")
        )
        own = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in fields if not _is_handshake(name)]
        arguments: dict[str, Any] = {
            "additional_headers": own,
            "subprotocols": [Subprotocol(one) for one in scope.get("subprotocols", ())] or None,
            "open_timeout": patience,
            "max_size": self._max_size,
            "user_agent_header": None,
            "proxy": None,
            "ping_interval": None,  # both ends have their own
        }
        # The URL says Host, which may be another than the place to connect to. A field of that name would be a second one.
        authority = upstream.authority if host is None else host.decode("latin-1")
        if upstream.socket is not None:
            return await unix_connect(upstream.socket, f"ws://{authority}{target}", **arguments)
        if tls is not None:
            arguments |= {"ssl": tls, "server_hostname": upstream.host}
        scheme = "ws" if tls is None else "wss"
        url = f"{scheme}://{authority}{target}"
        return await connect(url, host=upstream.host, port=upstream.port, **arguments)

    async def _deny(self, status: int, fields: Fields, body: bytes) -> None:
        if DENIAL not in (self._scope.get("extensions") or {}):
            await self._send({"type": "websocket.close", "code": INTERNAL_ERROR})
            return
        kept = [field for field in fields if field[0] not in {b"content-length", b"content-encoding"}]
        await self._send({"type": f"{DENIAL}.start", "status": status, "headers": kept})
        await self._send({"type": f"{DENIAL}.body", "body": body})

    async def _carry(self, inner: ClientConnection) -> None:
        """Carry messages both ways; the end of one way ends the other."""
        ways = {asyncio.create_task(self._to_upstream(inner)), asyncio.create_task(self._to_client(inner))}
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        for way in done:
            error = way.exception()
            if error is not None and not isinstance(error, ClientGoneError | ConnectionClosed | OSError):
                raise error

    async def _to_upstream(self, inner: ClientConnection) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                code = message.get("code") or 1000
                await inner.close(GOING_AWAY if code in _NOT_SENT else code, message.get("reason") or "")
                return
            text = message.get("text")
            await inner.send(text if text is not None else message["bytes"])

    async def _to_client(self, inner: ClientConnection) -> None:
        try:
            async for data in inner:
                kind = "text" if isinstance(data, str) else "bytes"
                await self._send({"type": "websocket.send", kind: data})
        except ConnectionClosed:
            pass
        code = inner.close_code or GOING_AWAY
        closing: Message = {
            "type": "websocket.close",
            "code": TRY_AGAIN if code in _NOT_SENT else code,
            "reason": inner.close_reason or "",
        }
        await self._send(closing)


def _is_handshake(name: bytes) -> bool:
    return name in {b"content-length", b"host"} or name.startswith(b"sec-websocket-")


def _encoded(items: Any) -> Fields:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in items]


def _cookies(inner: ClientConnection) -> list[Field]:
    """Fields of the upstream's response beside those of the handshake: cookies, mostly."""
    response = inner.response
    fields = [] if response is None else end_to_end(_encoded(response.headers.raw_items()))
    return [field for field in fields if not _is_handshake(field[0]) and field[0] not in {b"date", b"server"}]
