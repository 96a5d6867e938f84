"""One connection of HTTP/1.1 to an upstream: zttp reads and writes the messages, this moves bytes and waits.

zttp is strict, which is what an intermediary needs: conflicting lengths, obs-fold, bare LF and chunks that are none raise, so no
message means one thing here and another behind. Bytes that come when nothing was asked for end the connection: the answer to the
next request would be taken from them.

Back-pressure: what nobody waits for is not read from the socket, beyond the piece that is there.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import zttp

from h3push.http.fields import Fields
from h3push.proxy.failures import UpstreamFailed, UpstreamFailure
from h3push.proxy.forwarding import one_length
from h3push.proxy.remains import read_remains
from h3push.proxy.settings import UpstreamSettings
from h3push.proxy.upstream import Keeper, OnInterim, Upstream, UpstreamRequest


class Http1Connection(asyncio.Protocol):
    """One connection; it carries one exchange at a time.

    Args:
        upstream: where it leads, for messages.
        settings: time-outs.
        owner: told when an exchange is over, and when the connection is.
    """

    def __init__(self, upstream: Upstream, settings: UpstreamSettings, owner: Keeper) -> None:
        self.upstream = upstream
        self.settings = settings
        self.busy = False
        """True during an exchange."""
        self._loop = asyncio.get_running_loop()
        self.used = self._loop.time()
        """Loop time of the end of its last exchange."""
        self._owner = owner
        self._exchanges = 0
        self._wire = zttp.Connection(zttp.CLIENT)
        self._transport: asyncio.Transport | None = None
        self._ended = False
        self._waiter: asyncio.Future[bool] | None = None
        self._deadline: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._paused = False
        self._room: asyncio.Future[None] | None = None

    # asyncio's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if not self.busy:  # nobody asked
            self.close()
            return
        self._receive(data)
        if self._waiter is None and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        self._end(in_order=True)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        broke = exc is not None and self.busy and not self._ended
        if (
            broke
            and self._transport is not None
            and (remains := read_remains(self._transport, self.settings.high_water))
        ):
            self._receive(remains)
        self._end(in_order=exc is None)
        if self._timer is not None:
            self._timer.cancel()
        self._owner.lost(self)

    def pause_writing(self) -> None:
        self._room = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        self._room = None

    def _receive(self, data: bytes) -> None:
        with suppress(zttp.ProtocolError):  # `next_event` raises it again
            self._wire.receive_data(data)

    def _end(self, *, in_order: bool) -> None:
        """Nothing more comes. Not `in_order`: the connection broke, which ends no message (RFC 9112 section 8)."""
        if not self._ended:
            self._ended = True
            if in_order:
                self._receive(b"")
        self.resume_writing()
        self._wake()

    def _wake(self, *, in_time: bool = True) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(in_time)

    # the proxy's calls

    @property
    def is_usable(self) -> bool:
        """True while it can take a request."""
        return not self.busy and not self._ended and self._transport is not None

    @property
    def is_fresh(self) -> bool:
        """True while no request has been answered on it."""
        return self._exchanges == 0

    def close(self) -> None:
        """End it at once."""
        self._ended = True
        if self._transport is not None:
            self._transport.abort()
        self._wake()

    async def exchange(self, request: UpstreamRequest, on_interim: OnInterim) -> "Http1Response":
        """Send a request; returns when the header section of the final answer is there."""
        self.busy = True
        sender: asyncio.Task[None] | None = None
        try:
            if isinstance(request.content, bytes):
                self._send(request, request.fields, request.content)
            else:
                sender = asyncio.create_task(self._send_streamed(request, request.content))
            event = await self._head(request, on_interim, sender)
        except BaseException:
            if sender is not None:
                sender.cancel()
            self.over(keep=False)
            raise
        if sender is not None and event.status_code >= 400 and self._wire.should_close():
            sender.cancel()  # refused: whatever is sent now can only destroy the answer (RFC 9112 section 9.6)
        return Http1Response(self, event, request, sender)

    def _send(self, request: UpstreamRequest, fields: Fields, content: bytes = b"", end: bool = True) -> None:
        if self._transport is None or self._ended:
            raise self.failed(UpstreamFailure.CONNECTION_TERMINATED)
        wire = self._wire
        try:
            wire.send_request(request.method, request.target, b"1.1", [(b"host", request.authority or b""), *fields])
        except zttp.LocalProtocolError as error:
            raise self.failed(UpstreamFailure.HTTP_REQUEST, str(error)) from None
        if content:
            wire.send_data(content)
        if end:
            wire.end_message()
        self._transport.write(wire.data_to_send())

    async def _send_streamed(self, request: UpstreamRequest, content: AsyncIterator[bytes]) -> None:
        """Send a request whose content comes in pieces. When the upstream takes no more, its answer says why."""
        fields = request.fields
        if not any(name == b"content-length" for name, _ in fields):
            fields = [*fields, (b"transfer-encoding", b"chunked")]
        self._send(request, fields, end=False)
        async for piece in content:
            if self._transport is None or self._transport.is_closing():
                return
            if piece:
                self._wire.send_data(piece)
                self._transport.write(self._wire.data_to_send())
            if self._room is not None:
                await self._wait_for_room(self._room)
        self._wire.end_message()
        if self._transport is not None:
            self._transport.write(self._wire.data_to_send())

    async def _wait_for_room(self, room: "asyncio.Future[None]") -> None:
        try:
            async with asyncio.timeout(self.settings.write_timeout):
                await room
        except TimeoutError:
            raise self.failed(UpstreamFailure.WRITE_TIMEOUT) from None

    async def _head(self, request: UpstreamRequest, on_interim: OnInterim, sender: "asyncio.Task[None] | None") -> Any:
        """The final header section. A request whose content fails takes the exchange with it."""
        while True:
            event = await self.next_event(self.settings.response_timeout, sender)
            if event is zttp.CONNECTION_CLOSED:
                raise self.failed(UpstreamFailure.CONNECTION_TERMINATED)
            if event.status_code == 101:
                raise self.failed(UpstreamFailure.HTTP_PROTOCOL, "it switched protocols, which nobody asked for")
            if event.status_code >= 200:
                return event
            await on_interim(event.status_code, _lowered(event.headers))

    async def next_event(self, patience: float | None, sender: "asyncio.Task[None] | None" = None) -> Any:
        """The next event of the answer."""
        while (event := self.event_at_hand()) is zttp.NEED_DATA:
            await self._wait_for_data(patience, sender)
        return event

    def event_at_hand(self) -> Any:
        """The next event of what has come; NEED_DATA when more has to come first."""
        try:
            event = self._wire.next_event()
        except zttp.ProtocolError as error:
            failure = UpstreamFailure.RESPONSE_INCOMPLETE if self._ended else UpstreamFailure.HTTP_PROTOCOL
            raise self.failed(failure, str(error)) from None
        return zttp.CONNECTION_CLOSED if event is zttp.NEED_DATA and self._ended else event

    async def _wait_for_data(self, patience: float | None, sender: "asyncio.Task[None] | None") -> None:
        waiter = self._waiter = self._loop.create_future()
        self._resume_reading()
        self._set_deadline(patience)
        try:
            if sender is not None and not sender.done():
                await asyncio.wait({waiter, sender}, return_when=asyncio.FIRST_COMPLETED)
                in_time = not waiter.done() or waiter.result()
            else:
                in_time = await waiter
        finally:
            self._waiter = self._deadline = None
        if not in_time:
            raise self.failed(UpstreamFailure.READ_TIMEOUT)
        if sender is not None and sender.done() and not sender.cancelled():
            error = sender.exception()
            if error is not None:
                raise error

    def _set_deadline(self, patience: float | None) -> None:
        """Wait no longer than that. One timer serves many waits: it is late for most, and then set anew."""
        if patience is None:
            return
        deadline = self._deadline = self._loop.time() + patience
        if self._timer is not None and self._timer.when() > deadline:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self._loop.call_at(deadline, self._on_timer)

    def _on_timer(self) -> None:
        self._timer, deadline = None, self._deadline
        if deadline is None:
            return
        if self._loop.time() >= deadline:
            self._wake(in_time=False)
        else:
            self._timer = self._loop.call_at(deadline, self._on_timer)

    def _resume_reading(self) -> None:
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    def over(self, *, keep: bool) -> None:
        """An exchange is over. `keep`: whole on both sides, so that another may follow."""
        if not (keep and self._is_clean()):
            self.close()
        else:
            self._exchanges += 1
            self.used = self._loop.time()
            self._resume_reading()
        self.busy = False
        self._owner.over(self)

    def _is_clean(self) -> bool:
        """True when another message may follow, and nothing of it has come before it was asked for."""
        if self._ended or self._wire.should_close():
            return False
        self._wire.start_next_cycle()
        try:
            return self._wire.next_event() is zttp.NEED_DATA
        except zttp.ProtocolError:
            return False

    def failed(self, failure: UpstreamFailure, detail: str = "") -> UpstreamFailed:
        """The error for a failure here."""
        return UpstreamFailed(failure, str(self.upstream), detail)


class Http1Response:
    """An answer over HTTP/1.1."""

    version = "1.1"

    def __init__(
        self, connection: Http1Connection, head: Any, request: UpstreamRequest, sender: "asyncio.Task[None] | None"
    ) -> None:
        self.status: int = head.status_code
        self.fields: Fields = one_length(_lowered(head.headers), head.status_code)
        self.trailers: Fields = []
        self.ended = False
        self._connection: Http1Connection | None = connection
        self._sender = sender
        codings = [value.strip().lower() for name, value in self.fields if name == b"transfer-encoding"]
        if codings not in ([], [b"chunked"]):
            self.close()
            raise connection.failed(UpstreamFailure.HTTP_PROTOCOL, "it uses a transfer coding that nobody asked for")

    async def read(self) -> bytes:
        """The next piece of the content; b"" at its end. `UpstreamFailed` when the rest does not come."""
        connection = self._connection
        if connection is None:
            return b""
        try:
            event = await connection.next_event(connection.settings.read_timeout)
            piece = b""
            if type(event) is zttp.Data:
                piece, event = _with_what_follows(connection, bytes(event.data))
        except BaseException:
            self.close()
            raise
        if type(event) is zttp.EndOfMessage:
            self.trailers = _lowered(event.trailers)
            self._done()
        elif not piece:
            self.close()
            raise connection.failed(UpstreamFailure.RESPONSE_INCOMPLETE)
        return piece

    def _done(self) -> None:
        connection, self._connection = self._connection, None
        assert connection is not None
        self.ended = True
        whole = self._sender is None or (self._sender.done() and not self._sender.cancelled())
        if not whole and self._sender is not None:
            self._sender.cancel()
        connection.over(keep=whole)

    def close(self) -> None:
        """Give up what was not read; the connection goes with it."""
        connection, self._connection = self._connection, None
        if self._sender is not None:
            self._sender.cancel()
        if connection is not None:
            connection.over(keep=False)


def _with_what_follows(connection: Http1Connection, first: bytes) -> tuple[bytes, Any]:
    """A piece with all that has come behind it: chunks become one piece, and the last one is known as the last.

    What is wrong behind it is met again at the next read.
    """
    event, pieces = None, [first]
    with suppress(UpstreamFailed):
        while type(event := connection.event_at_hand()) is zttp.Data:
            pieces.append(bytes(event.data))
    return (b"".join(pieces) if len(pieces) > 1 else first), event


def _lowered(fields: Any) -> Fields:
    return [(name.lower(), value) for name, value in fields]
