"""One WebSocket through an application: the events that it may send, in which order, and those that it receives.

The events of an application are a table, `WEBSOCKET`::

                accept              send
    CONNECTING ────────▶ OPEN ──┐ ◀──┐
        │ │               │     └────┘
        │ │ close (403)   │ close
        │ └───────────▶ CLOSED ◀────────────┐ last body
        │  denial: http.response.start      │
        └──────────────────────────────▶ DENYING ──┐ ◀─┐ body
                                                   └───┘

Theory of operation. From `accept` on, a task reads the stream and another sends pings. What was read waits in a queue. While
that is full, or too much waits for all applications (`unread_budget`), nothing further is read, so the client runs out of flow
control. Answers to pings go the way of everything else, and the reader waits until they are sent: a client that sends pings and
reads nothing stops itself. `send` returns when the client has taken enough (`ServerSettings.send_high_water`), and raises
`OSError` once the client has gone, as ASGI has it.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

from websockets.extensions.base import Extension

from h3push.asgi.cycle import own_fields
from h3push.asgi.types import ClientGoneError, Message
from h3push.asgi.websocket_frames import ABNORMAL, WebSocketFrames
from h3push.asgi.websocket_handshake import DENIAL, WebSocketOffer
from h3push.errors import H3PushError, ReadTimeout, Timeout
from h3push.http.fields import Fields
from h3push.runtime.inbox import UnreadBudget
from h3push.runtime.signal import Signal
from h3push.server.request import Request

GOING_AWAY, INTERNAL_ERROR, RESTARTS, NORMAL = 1001, 1011, 1012, 1000
"""Codes of a close (RFC 6455 section 7.4, and its registry)."""


class WebSocketState(Enum):
    """Progress of a WebSocket, as its application sees it."""

    CONNECTING = "waiting for websocket.accept or websocket.close"
    """The client waits for an answer."""
    OPEN = "open"
    """Messages go both ways."""
    DENYING = "waiting for websocket.http.response.body"
    """A response in place of it has begun."""
    CLOSED = "closed"
    """The application closed or denied it."""


_S = WebSocketState
ACCEPT, SEND, CLOSE = "websocket.accept", "websocket.send", "websocket.close"
DENY, DENY_BODY = f"{DENIAL}.start", f"{DENIAL}.body"

WEBSOCKET: Mapping[tuple[WebSocketState, str], WebSocketState] = MappingProxyType(
    {
        (_S.CONNECTING, ACCEPT): _S.OPEN,
        (_S.CONNECTING, CLOSE): _S.CLOSED,
        (_S.CONNECTING, DENY): _S.DENYING,
        (_S.DENYING, DENY_BODY): _S.DENYING,
        (_S.OPEN, SEND): _S.OPEN,
        (_S.OPEN, CLOSE): _S.CLOSED,
    }
)
"""(state, event) -> state; the last body of a denial leads to CLOSED."""


class WebSocketCycle:
    """The application's `receive` and `send` for one WebSocket.

    Arguments:
        request: the extended CONNECT.
        offer: what its client offers.
    """

    def __init__(self, request: Request, offer: WebSocketOffer) -> None:
        self.state = _S.CONNECTING
        """Progress."""
        self._request = request
        self._writer = request.writer
        self._settings = request.connection.settings
        self._budget = request.connection.unread or UnreadBudget(self._settings.unread_budget)
        self._charged = 0
        self._offer = offer
        self._frames: WebSocketFrames | None = None
        self._told_connect = False
        self._messages: deque[Message] = deque()
        self._size = 0
        self._changed = asyncio.Condition()
        self._over = Signal()
        self._closed: tuple[int, str] | None = None
        self._deaf = False
        self._sending = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def is_undecided(self) -> bool:
        """True while the application has neither accepted nor completely denied it."""
        return self.state in (_S.CONNECTING, _S.DENYING)

    @property
    def held(self) -> int:
        """Bytes of messages that the application has not taken."""
        return self._size

    def _charge(self) -> None:
        """Tell the server's budget of unread content how much this WebSocket holds now."""
        holds = self._size + (0 if self._frames is None or self._deaf else self._frames.held)
        self._budget.held += holds - self._charged
        self._charged = holds

    # to the application

    async def receive(self) -> Message:
        """Give the next event of the client: its connect, its messages, its end."""
        if not self._told_connect:
            self._told_connect = True
            return {"type": "websocket.connect"}
        if self._frames is None:
            await self._request.wait_disconnected()
            return {"type": "websocket.disconnect", "code": ABNORMAL, "reason": ""}
        async with self._changed:
            await self._changed.wait_for(lambda: self._messages or self._closed is not None)
            if self._messages:
                message = self._messages.popleft()
                self._size -= _size(message)
                self._charge()
                self._changed.notify_all()
                return message
        code, reason = self._closed or (ABNORMAL, "")
        return {"type": "websocket.disconnect", "code": code, "reason": reason}

    # from the application

    async def send(self, message: Message) -> None:
        """Take an event. `ClientGoneError` when the client has gone, `RuntimeError` for an event out of order."""
        kind = message["type"]
        after = WEBSOCKET.get((self.state, kind))
        if after is None:
            raise RuntimeError(f"{kind} does not fit here: the WebSocket is {self.state.value}")
        if self._request.disconnected or (self._closed is not None and kind == SEND):
            raise ClientGoneError("the client has closed the WebSocket")
        if kind == ACCEPT:
            await self._accept(message)
        elif kind == SEND:
            await self._send(message)
        elif kind == CLOSE:
            await self._close(message)
        elif kind == DENY:
            await self._request.start_response(int(message["status"]), own_fields(message.get("headers", ())))
        else:
            more = bool(message.get("more_body"))
            await self._request.send(bytes(message.get("body", b"")), end_stream=not more)
            after = after if more else _S.CLOSED
        self.state = after

    async def _accept(self, message: Message) -> None:
        fields: Fields = own_fields(message.get("headers") or ())
        extensions: list[Extension] = []
        subprotocol = message.get("subprotocol")
        if subprotocol is not None:
            fields.append((b"sec-websocket-protocol", str(subprotocol).encode("ascii")))
        if self._settings.websocket_compression:
            agreed, extensions = self._offer.compression()
            fields += agreed
        await self._request.start_response(200, fields)
        self._frames = WebSocketFrames(self._settings.websocket_max_size, extensions)
        self._tasks.append(asyncio.create_task(self._read(self._frames), name="h3push websocket"))
        if self._settings.websocket_ping_interval is not None:
            self._tasks.append(
                asyncio.create_task(self._keep_alive(self._frames, self._settings.websocket_ping_interval))
            )

    async def _send(self, message: Message) -> None:
        assert self._frames is not None
        data = message.get("bytes")
        self._frames.send(bytes(data) if data is not None else str(message["text"]))
        try:
            await self._flush()
        except Timeout as error:
            raise ClientGoneError(str(error)) from error

    async def _close(self, message: Message) -> None:
        if self._frames is None:
            await self._request.start_response(403, [(b"content-length", b"0")], end_stream=True)
            return
        self._frames.close(int(message.get("code") or NORMAL), message.get("reason") or "")
        await self._flush()

    # the end

    async def finish(self, *, failed: bool) -> None:
        """The application has returned: close what is open, and give the client a while to answer that."""
        frames = self._frames
        try:
            if frames is not None and not self._over.is_set:
                await self._stop_listening()
                self._writer.failed = failed
                frames.close(INTERNAL_ERROR if failed else NORMAL)
                self._write()
                async with asyncio.timeout(self._settings.websocket_close_timeout):
                    await self._over.wait()
        except TimeoutError:
            self._writer.write(b"", True)
        finally:
            for task in self._tasks:
                task.cancel()
            self._drop()

    async def _stop_listening(self) -> None:
        """Drop what nobody will take, so that the reader comes to the client's close."""
        async with self._changed:
            self._drop()
            self._changed.notify_all()

    def _drop(self) -> None:
        self._deaf = True
        self._messages.clear()
        self._size = 0
        self._charge()

    def go_away(self) -> None:
        """The server shuts down: close, and tell the application."""
        if self._frames is not None and self._frames.is_open:
            self._frames.close(RESTARTS)
            self._write()
            self._tasks.append(asyncio.create_task(self._tell_end((RESTARTS, ""))))

    async def _tell_end(self, closed: tuple[int, str]) -> None:
        async with self._changed:
            self._closed = self._closed or closed
            self._changed.notify_all()

    # the two tasks

    async def _read(self, frames: WebSocketFrames) -> None:
        """Read the stream until it ends, or the client breaks a rule."""
        try:
            while (data := await self._next_piece()) is not None:
                messages = frames.receive(data)
                self._charge()
                for message in messages:
                    await self._put(message)
                await self._flush()
                if self._request.response_ended:
                    break
        except H3PushError:
            pass  # the client went away, or does not take what is sent: 1006
        await self._end(frames)

    async def _next_piece(self) -> bytes | None:
        """The next piece of the stream; `None` at its end."""
        content = self._request.content
        while content is not None:
            try:
                data = await content.next_chunk()
            except ReadTimeout:
                continue  # silence is the business of pings
            return data or None
        return None

    async def _end(self, frames: WebSocketFrames) -> None:
        frames.receive_end()
        self._write()
        if not self._request.response_ended:
            self._writer.write(b"", True)
        await self._tell_end(frames.closed)
        self._over.set()

    async def _put(self, message: Message) -> None:
        async with self._changed:
            if self._deaf:
                return
            self._messages.append(message)
            self._size += _size(message)
            self._charge()
            self._changed.notify_all()
            await self._changed.wait_for(lambda: not self._is_full)

    @property
    def _is_full(self) -> bool:
        """True while so much waits that nothing further is read: here, or with what waits for others (`unread_budget`)."""
        settings, budget = self._settings, self._budget
        return bool(self._messages) and (
            len(self._messages) >= settings.websocket_max_queue
            or self._size > settings.websocket_max_size
            or budget.held > budget.limit
        )

    async def _keep_alive(self, frames: WebSocketFrames, interval: float) -> None:
        """Send pings; end a WebSocket whose client does not answer them."""
        seconds = self._settings.websocket_ping_timeout
        while True:
            await asyncio.sleep(interval)
            if not frames.is_open:
                return
            before = frames.pongs
            frames.ping()
            self._write()
            if seconds is None:
                continue
            await asyncio.sleep(seconds)
            if frames.pongs == before and not self._messages:
                frames.fail(INTERNAL_ERROR, "no answer to a ping")
                self._tasks[0].cancel()
                await self._end(frames)
                return

    # out

    async def _flush(self) -> None:
        """Send what the frames have to send, and wait while the client has much to take."""
        if self._write() > self._settings.send_high_water:
            async with self._sending:
                await self._writer.wait_until_drained()

    def _write(self) -> int:
        """Send what the frames have to send; how many bytes wait."""
        assert self._frames is not None
        data, end = self._frames.take_output()
        if self._request.response_ended or not (data or end):
            return 0
        return self._writer.write(data, end)


def _size(message: Message) -> int:
    data = message.get("bytes")
    return len(message["text"] if data is None else data)
