"""A WebSocket over TCP: the server beneath does all of it; here it is counted and logged."""

import ssl

from h3push.asgi.types import ClientGoneError, Message, Receive, Scope, Send
from h3push.server.log_row import ResponseOutcome
from h3push.server.server import Server
from h3push.tcp.request import Outbox, TcpRequest
from h3push.tcp.row import TcpRow

SWITCHING, FORBIDDEN = 101, 403


class TcpWebSocket:
    """One WebSocket; its row has the status of the handshake's answer, and the bytes of the messages that were sent."""

    def __init__(
        self, server: Server, scope: Scope, receive: Receive, send: Send, tls: ssl.SSLObject | None = None
    ) -> None:
        self._request = TcpRequest(scope, Outbox(send), server.settings, takes_pushes=False)
        self._row = None if server.access_log is None else TcpRow(server.access_log, self._request, tls)
        self._send = send
        self.receive = receive
        """The application's `receive`, as it is."""

    async def send(self, message: Message) -> None:
        """Hand on an event of the application."""
        kind, request = message["type"], self._request
        if request.final_status is None:
            status = {"websocket.accept": SWITCHING, "websocket.close": FORBIDDEN}.get(kind, message.get("status"))
            request.final_status = status
            if self._row is not None:
                self._row.began()
        data = message.get("bytes") or message.get("text") or message.get("body") or b""
        await self._send(message)
        request.content_bytes += len(data)

    def end(self, error: BaseException | None) -> None:
        """The application has returned, or raised."""
        if self._row is None:
            return
        gone = isinstance(error, ClientGoneError | OSError)
        failed = ResponseOutcome.CANCELLED_BY_CLIENT if gone else ResponseOutcome.FAILED
        self._row.write(ResponseOutcome.COMPLETE if error is None else failed)
