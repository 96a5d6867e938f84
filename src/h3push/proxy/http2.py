"""One connection of HTTP/2 to an upstream: h2 reads and writes the frames, this moves bytes and waits.

Back-pressure is each stream's own: what its reader has not taken is not acknowledged to the upstream's flow control, so one slow
client does not hold up the others that share the connection.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from h3push.http.fields import Fields
from h3push.proxy.failures import UpstreamFailed, UpstreamFailure
from h3push.proxy.settings import UpstreamSettings
from h3push.proxy.upstream import Keeper, OnInterim, Upstream, UpstreamRequest

MAX_STREAMS = 100
"""Requests at once on one connection, whatever the upstream allows."""

_PIECE = 65_536


class Http2Connection(asyncio.Protocol):
    """One connection, with many exchanges.

    Args:
        upstream: where it leads.
        settings: time-outs and bounds.
        owner: told when an exchange is over, and when the connection is.
    """

    def __init__(self, upstream: Upstream, settings: UpstreamSettings, owner: Keeper) -> None:
        self.upstream = upstream
        self.settings = settings
        self.used = asyncio.get_running_loop().time()
        """Loop time of the end of its last exchange."""
        self._owner = owner
        self._streams: dict[int, Http2Response] = {}
        self._exchanges = 0
        self._over = False
        self._transport: asyncio.Transport | None = None
        self._room = asyncio.Event()
        self._room.set()
        self.core = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=True, header_encoding=None, validate_outbound_headers=True)
        )
        codes = h2.settings.SettingCodes
        initial = {codes.ENABLE_PUSH: 0, codes.INITIAL_WINDOW_SIZE: settings.high_water}
        self.core.local_settings = h2.settings.Settings(client=True, initial_values=initial)

    # asyncio's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.core.initiate_connection()
        self.core.increment_flow_control_window(16 * self.settings.high_water)
        self.flush()

    def data_received(self, data: bytes) -> None:
        try:
            events = self.core.receive_data(data)
        except h2.exceptions.ProtocolError as error:
            self.flush()
            self._fail(UpstreamFailure.HTTP_PROTOCOL, str(error))
            self.close()
            return
        for event in events:
            self._take(event)
        self.flush()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(UpstreamFailure.CONNECTION_TERMINATED)
        self._owner.lost(self)

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    def _take(self, event: Any) -> None:
        kind = type(event)
        if kind is h2.events.ConnectionTerminated:
            self._over = True
            for number in [one for one in self._streams if one > (event.last_stream_id or 0)]:
                self._streams[number].fail(self.failed(UpstreamFailure.CONNECTION_TERMINATED))
        elif kind is h2.events.RemoteSettingsChanged or (kind is h2.events.WindowUpdated and not event.stream_id):
            for stream in self._streams.values():
                stream.wake()
        else:
            found = self._streams.get(getattr(event, "stream_id", None) or 0)
            if found is not None:
                found.take(event)
            elif kind is h2.events.DataReceived:  # of a stream that was given up
                self.acknowledge(event.stream_id, event.flow_controlled_length)

    def _fail(self, failure: UpstreamFailure, detail: str = "") -> None:
        self._over = True
        self._room.set()
        for stream in list(self._streams.values()):
            stream.fail(self.failed(failure, detail))

    # the proxy's calls

    @property
    def is_usable(self) -> bool:
        """True while it can take a further request."""
        most = min(MAX_STREAMS, self.core.remote_settings.max_concurrent_streams)
        return not self._over and len(self._streams) < most

    @property
    def busy(self) -> bool:
        """True while there is an exchange."""
        return bool(self._streams)

    @property
    def is_fresh(self) -> bool:
        """True while no request has been answered on it."""
        return self._exchanges == 0

    def close(self) -> None:
        """End it at once."""
        self._over = True
        if self._transport is not None:
            self._transport.abort()

    async def exchange(self, request: UpstreamRequest, on_interim: OnInterim) -> "Http2Response":
        """Send a request; returns when the header section of the final answer is there."""
        response = Http2Response(self, self.core.get_next_available_stream_id())
        self._streams[response.stream_id] = response
        try:
            self._send_head(response.stream_id, request)
            if request.content != b"":
                response.sender = asyncio.create_task(response.send(_pieces(request.content)))
            await response.wait_for_head(on_interim)
        except BaseException:
            response.close()
            raise
        return response

    def _send_head(self, stream_id: int, request: UpstreamRequest) -> None:
        if self._over:
            raise self.failed(UpstreamFailure.CONNECTION_TERMINATED)
        head = [
            (b":method", request.method),
            (b":scheme", self.upstream.scheme.encode("ascii")),
            (b":authority", request.authority or b""),
            (b":path", request.target),
            *request.fields,
        ]
        try:
            self.core.send_headers(stream_id, head, end_stream=request.content == b"")
        except h2.exceptions.ProtocolError as error:
            detail = f"the request cannot be said in HTTP/2: {error}"
            raise self.failed(UpstreamFailure.HTTP_PROTOCOL, detail) from None
        self.flush()

    def flush(self) -> None:
        """Write what waits."""
        data = self.core.data_to_send()
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    async def wait_for_room(self) -> None:
        """Wait until the socket takes more."""
        await self._room.wait()

    def acknowledge(self, stream_id: int, size: int) -> None:
        """Content was taken by its reader."""
        try:
            self.core.acknowledge_received_data(size, stream_id)
        except h2.exceptions.ProtocolError:
            return  # the stream is over, or the connection is
        self.flush()

    def forget(self, stream_id: int) -> None:
        """An exchange is over."""
        if self._streams.pop(stream_id, None) is not None:
            self._exchanges += 1
            self.used = asyncio.get_running_loop().time()
            self._owner.over(self)

    def failed(self, failure: UpstreamFailure, detail: str = "") -> UpstreamFailed:
        """The error for a failure here."""
        return UpstreamFailed(failure, str(self.upstream), detail)


class Http2Response:
    """An answer over HTTP/2, from the moment that its request goes out."""

    version = "2"

    def __init__(self, connection: Http2Connection, stream_id: int) -> None:
        self.stream_id = stream_id
        self.status = 0
        self.fields: Fields = []
        self.trailers: Fields = []
        self.sender: asyncio.Task[None] | None = None
        """Sends the request's content."""
        self._connection = connection
        self._interims: deque[tuple[int, Fields]] = deque()
        self._content: deque[tuple[bytes, int]] = deque()
        self.ended = False
        """True when nothing comes after what was read."""
        self._is_whole = False
        """True when all of it has arrived."""
        self._error: Exception | None = None
        self._changed = asyncio.Event()

    def wake(self) -> None:
        """Something has changed."""
        self._changed.set()

    def fail(self, error: Exception) -> None:
        """No more comes."""
        if not self._is_whole:
            self._error = self._error or error
        self.wake()

    def take(self, event: Any) -> None:
        """Take an event of the stream."""
        kind = type(event)
        if kind is h2.events.InformationalResponseReceived:
            self._interims.append(_head(event.headers))
        elif kind is h2.events.ResponseReceived:
            self.status, self.fields = _head(event.headers)
        elif kind is h2.events.DataReceived:
            self._content.append((event.data, event.flow_controlled_length))
        elif kind is h2.events.TrailersReceived:
            self.trailers = [(bytes(name), bytes(value)) for name, value in event.headers]
        elif kind is h2.events.StreamEnded:
            self._is_whole = True
        elif kind is h2.events.StreamReset:
            failure = UpstreamFailure.RESPONSE_INCOMPLETE if self.status else UpstreamFailure.CONNECTION_TERMINATED
            self.fail(self._connection.failed(failure, f"it reset the stream with code {event.error_code}"))
        self.wake()

    async def wait_for_head(self, on_interim: OnInterim) -> None:
        """Wait for the final header section."""
        while not self.status:
            if self._interims:
                await on_interim(*self._interims.popleft())
                continue
            self._raise()
            await self._wait(self._connection.settings.response_timeout)

    async def read(self) -> bytes:
        """The next piece of the content; b"" at its end. `UpstreamFailed` when the rest does not come."""
        while not self._content:
            if self._is_whole:
                self._done()
                return b""
            self._raise()
            await self._wait(self._connection.settings.read_timeout)
        data, size = self._content.popleft()
        self._connection.acknowledge(self.stream_id, size)
        if self._is_whole and not self._content:
            self._done()
        return data if data or self.ended else await self.read()

    def _done(self) -> None:
        self.ended = True
        self.close()

    async def send(self, content: AsyncIterator[bytes]) -> None:
        """Send the request's content, as fast as flow control lets it."""
        core = self._connection.core
        async for piece in content:
            rest = memoryview(piece)
            while rest:
                room = min(core.local_flow_control_window(self.stream_id), core.max_outbound_frame_size)
                if room <= 0:
                    await self._wait(self._connection.settings.write_timeout, UpstreamFailure.WRITE_TIMEOUT)
                    self._raise()
                    continue
                core.send_data(self.stream_id, bytes(rest[:room]))
                rest = rest[room:]
                self._connection.flush()
                await self._connection.wait_for_room()
        core.end_stream(self.stream_id)
        self._connection.flush()

    def close(self) -> None:
        """Give up what was not read."""
        if self.sender is not None and not self.sender.done():
            self.sender.cancel()
        connection = self._connection
        if not self._is_whole or (self.sender is not None and not self.sender.done()):
            with suppress(h2.exceptions.ProtocolError):  # it is over already
                connection.core.reset_stream(self.stream_id, h2.errors.ErrorCodes.CANCEL)
        for _, size in self._content:
            connection.acknowledge(self.stream_id, size)
        self._content.clear()
        connection.flush()
        connection.forget(self.stream_id)

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error
        sender = self.sender
        if sender is not None and sender.done() and not sender.cancelled() and asyncio.current_task() is not sender:
            error = sender.exception()
            if error is not None:
                raise error

    async def _wait(self, patience: float | None, failure: UpstreamFailure = UpstreamFailure.READ_TIMEOUT) -> None:
        self._changed.clear()
        if self.sender is not None and asyncio.current_task() is not self.sender:
            self.sender.add_done_callback(lambda _task: self.wake())
        try:
            async with asyncio.timeout(patience):
                await self._changed.wait()
        except TimeoutError:
            raise self._connection.failed(failure) from None


def _head(headers: Any) -> tuple[int, Fields]:
    fields = [(bytes(name), bytes(value)) for name, value in headers]
    status = int(dict(fields)[b":status"])
    return status, [field for field in fields if not field[0].startswith(b":")]


async def _pieces(content: bytes | AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    async for piece in content:
        yield piece
