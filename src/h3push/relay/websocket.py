"""A WebSocket through the relay: ASGI's events towards the program, a tunnel to the origin (RFC 9220).

Theory of operation. The program's server has taken the handshake and the frames apart; the origin's handshake is an extended
CONNECT on the connection that requests use too, and its frames are made here. Two tasks carry messages, one a way. Each waits
until the other side has taken what it hands on, so who does not read stops who sends. The first way that ends ends the other. An
end without a close, such as that of a connection that is lost, is told to the program as 1011, and to the origin as 1001.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from h3push.asgi.types import ClientGoneError, Message, Receive, Scope, Send
from h3push.client.pool import Pool
from h3push.client.tunnel import ClientTunnel
from h3push.errors import H3PushError, NoExtendedConnect
from h3push.http.fields import Fields
from h3push.http.priority import Priority
from h3push.http.url import Origin
from h3push.relay.failures import Refusal, refusal_of
from h3push.relay.incoming import Incoming
from h3push.relay.origin_frames import ABNORMAL, OriginFrames, agreed, is_handshake, offer
from h3push.relay.settings import RelaySettings
from h3push.runtime.inbox import ContentTooLarge

GOING_AWAY, INTERNAL_ERROR, NORMAL, SWITCHING = 1001, 1011, 1000, 101
"""Codes of a close (RFC 6455 section 7.4.1), and the status of a WebSocket over HTTP/1.1."""
NO_CODE = 1005
"""The code of a close that has none; it is not sent. uvicorn says it of a program that vanished, too."""
_NOT_FORWARDED = frozenset({b"date", b"server", b"content-length"})
_DENIAL = "websocket.http.response"

Told = Callable[[int, str], None]
"""Is told the status of the answer, and where it came from."""


async def deny(scope: Scope, send: Send, status: int, fields: Fields, content: bytes) -> None:
    """Answer a handshake with a plain response, where the server in front can; else it sends 403."""
    if _DENIAL not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": NORMAL})
        return
    await send({"type": f"{_DENIAL}.start", "status": status, "headers": fields})
    await send({"type": f"{_DENIAL}.body", "body": content, "more_body": False})


class WebSocketPassage:
    """One WebSocket.

    Args:
        incoming: the program's handshake.
        receive: the program's events.
        send: ours.
        settings: bounds and times.
    """

    def __init__(self, incoming: Incoming, receive: Receive, send: Send, settings: RelaySettings) -> None:
        self._incoming = incoming
        self._offered: list[str] = list(incoming.scope.get("subprotocols") or ())
        self._receive = receive
        self._send = send
        self._settings = settings
        self._sending = asyncio.Lock()
        self._is_handing_on = False
        self._is_gone = False
        self._heard = 0
        self.octets = 0
        """Content of messages that the program was given."""

    async def run(self, pool: Pool, origin: Origin, told: Told) -> None:
        """Open it at the origin, answer the program, and carry messages until either side is done."""
        await self._receive()  # websocket.connect
        first = asyncio.ensure_future(self._receive())
        opening = asyncio.create_task(self._open(pool, origin))
        try:
            await asyncio.wait({first, opening}, return_when=asyncio.FIRST_COMPLETED)
            if first.done() and not opening.done():
                return  # the program has gone
            async with opening.result() as tunnel:
                await self._answer(tunnel, origin, first, told)
        except ClientGoneError:
            pass
        except H3PushError as error:
            refusal = _refusal(error)
            told(refusal.status, "relay")
            await deny(self._incoming.scope, self._send, refusal.status, refusal.fields, refusal.content)
        finally:
            first.cancel()
            opening.cancel()
            await asyncio.gather(first, opening, return_exceptions=True)

    async def _open(self, pool: Pool, origin: Origin) -> ClientTunnel:
        incoming, authority = self._incoming, origin.authority
        fields = incoming.translation(authority).request(incoming.fields, incoming.version)
        own: Fields = [(b"sec-websocket-version", b"13"), offer()]
        if self._offered:
            own.append((b"sec-websocket-protocol", ", ".join(self._offered).encode("latin-1")))
        head = incoming.head(authority, [*(field for field in fields if not is_handshake(field[0])), *own])
        head = head._replace(method=b"CONNECT", protocol=b"websocket")
        return await pool.tunnel(origin, head, Priority(incremental=True))  # it shares the link with requests

    async def _answer(self, tunnel: ClientTunnel, origin: Origin, first: "asyncio.Future[Message]", told: Told) -> None:
        """Tell the program what the origin has answered, and carry on."""
        fields = self._incoming.translation(origin.authority).response(tunnel.headers.raw)
        if not tunnel.is_accepted:
            try:
                content = await tunnel.read(self._settings.websocket_max_size)
            except ContentTooLarge:
                content = b""
            told(tunnel.status, "server")
            plain = [field for field in fields if field[0] != b"content-length"]
            await deny(self._incoming.scope, self._send, tunnel.status, plain, content)
            return
        frames, subprotocol = OriginFrames(self._settings.websocket_max_size, agreed(tunnel)), self._subprotocol(tunnel)
        kept = [field for field in fields if not is_handshake(field[0]) and field[0] not in _NOT_FORWARDED]
        await self._send({"type": "websocket.accept", "subprotocol": subprotocol, "headers": kept})
        told(SWITCHING, "server")
        await self._carry(tunnel, frames, first)

    def _subprotocol(self, tunnel: ClientTunnel) -> str | None:
        chosen = tunnel.headers.get("sec-websocket-protocol")
        if chosen is not None and chosen not in self._offered:
            raise H3PushError("the origin chose a subprotocol of WebSocket that was not offered")
        return chosen

    async def _carry(self, tunnel: ClientTunnel, frames: OriginFrames, first: "asyncio.Future[Message]") -> None:
        """Carry messages both ways; the end of one way ends the other."""
        inwards = asyncio.create_task(self._to_program(tunnel, frames))
        ways = {inwards, asyncio.create_task(self._to_origin(tunnel, frames, first))}
        ways.add(asyncio.create_task(self._keep_alive(tunnel, frames)))
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            if self._is_gone:
                await asyncio.wait({inwards}, timeout=self._settings.websocket_close_timeout)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        for error in (way.exception() for way in done):
            if isinstance(error, H3PushError):
                await self._close(INTERNAL_ERROR, "the way to the origin broke")
            elif error is not None and not isinstance(error, OSError):  # the program has gone
                raise error

    async def _to_origin(self, tunnel: ClientTunnel, frames: OriginFrames, first: "asyncio.Future[Message]") -> None:
        message = await first
        while message["type"] == "websocket.receive":
            if frames.is_open:
                text = message.get("text")
                frames.send(message["bytes"] if text is None else text)
                await self._flush(tunnel, frames)
            message = await self._receive()
        self._is_gone = True
        code = int(message.get("code") or NORMAL)
        frames.close(GOING_AWAY if code in {NO_CODE, ABNORMAL} else code, message.get("reason") or "")
        with suppress(H3PushError):  # it may have gone as well
            await self._flush(tunnel, frames)

    async def _to_program(self, tunnel: ClientTunnel, frames: OriginFrames) -> None:
        while frames.is_open or self._is_gone:
            data = await tunnel.receive()
            self._heard += 1
            if not data:
                frames.receive_end()
                break
            for message in frames.receive(data):
                await self._hand_on(message)
            await self._flush(tunnel, frames)
        code, reason = frames.closed
        if code == ABNORMAL:
            code, reason = INTERNAL_ERROR, "the origin ended it without a close"
        await self._close(NORMAL if code == NO_CODE else code, reason)
        with suppress(H3PushError, TimeoutError):
            await tunnel.end()
            async with asyncio.timeout(self._settings.websocket_close_timeout):
                while await tunnel.receive():
                    pass

    async def _hand_on(self, message: Message) -> None:
        content = message.get("bytes")
        self.octets += len(message["text"] if content is None else content)
        if self._is_gone:
            return
        self._is_handing_on = True
        await self._send({**message, "type": "websocket.send"})
        self._is_handing_on = False

    async def _keep_alive(self, tunnel: ClientTunnel, frames: OriginFrames) -> None:
        """Ping the origin, and end a WebSocket of which it says nothing. Messages that the program does not take excuse it."""
        interval, seconds = self._settings.websocket_ping_interval, self._settings.websocket_ping_timeout
        while True:
            await asyncio.sleep(3600 if interval is None else interval)
            if interval is None or not frames.is_open:
                continue
            heard = self._heard
            frames.ping()
            await self._flush(tunnel, frames)
            if seconds is None:
                continue
            await asyncio.sleep(seconds)
            if self._heard == heard and not self._is_handing_on:
                await self._close(INTERNAL_ERROR, "the origin did not answer a ping")
                return

    async def _flush(self, tunnel: ClientTunnel, frames: OriginFrames) -> None:
        """Send what the frames have to send; waits while the origin has much to take."""
        async with self._sending:
            data, end = frames.take_output()
            if data:
                await tunnel.send(data)
            if end:
                await tunnel.end()

    async def _close(self, code: int, reason: str) -> None:
        if not self._is_gone:
            await self._send({"type": "websocket.close", "code": code, "reason": reason})


def _refusal(error: H3PushError) -> Refusal:
    if isinstance(error, NoExtendedConnect):
        return Refusal(501, "the origin takes no WebSockets over HTTP/3 (RFC 9220): connect to the origin itself")
    return refusal_of(error)
