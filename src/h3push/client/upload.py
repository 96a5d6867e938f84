"""A request's content on its way out."""

import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from h3push.errors import StreamStateError
from h3push.http.content import Body, BytesPart, FileContent, send_content
from h3push.quic.driver import bytes_waiting, send_file, send_part
from h3push.runtime.drain import Drain

if TYPE_CHECKING:
    from h3push.client.connection import ClientConnection
    from h3push.client.exchange import ClientExchange
    from h3push.http.content import Sink


class Upload:
    """Sends the content of one request. It stops, quietly, when the server wants no more (RFC 9114 section 4.1)."""

    def __init__(self, connection: "ClientConnection", exchange: "ClientExchange") -> None:
        self._connection = connection
        self._exchange = exchange

    @property
    def gone(self) -> bool:
        """True when the server wants no more of it, or the request is over."""
        return not self._exchange.sending

    async def run(self, body: Body) -> None:
        """Send all of it. What the caller's iterator raises fails the request."""
        try:
            await send_content(self, body, end_stream=True)
        except Exception as error:
            self._connection.cancel(self._exchange, error)
        finally:
            self._connection.upload_ended(self._exchange)

    def write(self, data: bytes, end: bool) -> int:
        """Send a piece; how many bytes wait."""
        core = self._connection.core
        return self._write(lambda stream_id: core.send_data(stream_id, data, end), end)

    async def send(self, data: bytes, *, end_stream: bool = False) -> None:
        """Send a piece; waits while too much is queued."""
        await self._wait_until_drained(self.write(data, end_stream), end_stream)

    async def send_part(self, part: BytesPart, *, end_stream: bool = False) -> None:
        """Send a part of larger bytes; waits while too much is queued."""
        connection = self._connection
        core, driver, handle = connection.core, connection.endpoint.driver, connection.handle
        waiting = self._write(
            lambda stream_id: send_part(core, driver, handle, stream_id, part, end_stream), end_stream
        )
        await self._wait_until_drained(waiting, end_stream)

    def _write(self, send: Callable[[int], int], end: bool) -> int:
        """Have `send` write to the stream, if it still takes anything; how many bytes wait."""
        exchange, connection = self._exchange, self._connection
        if not exchange.sending:
            return 0
        assert exchange.stream_id is not None
        try:
            queued = send(exchange.stream_id)
        except StreamStateError:
            if connection.core.is_closed:
                return 0
            raise
        exchange.active_at = connection.now()
        connection.kick()
        if end:
            connection.upload_ended(exchange)
        return queued

    async def _wait_until_drained(self, waiting: int, end: bool) -> None:
        settings, exchange, connection = self._connection.settings, self._exchange, self._connection
        if waiting <= settings.send_high_water or end:
            return
        if exchange.drain is None:
            exchange.drain = Drain()
        assert exchange.stream_id is not None
        still = partial(bytes_waiting, connection.endpoint.driver, connection.handle, exchange.stream_id)
        await exchange.drain.wait(settings.drain_timeout, still)
        exchange.active_at = connection.now()

    async def send_file(
        self, path: str | os.PathLike[str], offset: int = 0, length: int | None = None, *, end_stream: bool = False
    ) -> None:
        """Send a part of a file."""
        exchange, connection = self._exchange, self._connection
        file = FileContent(path, offset, length)
        size = file.size()
        if size == 0:
            await self.send(b"", end_stream=end_stream)
        elif exchange.sending and exchange.stream_id is not None:
            send_file(
                connection.core,
                connection.endpoint.driver,
                connection.handle,
                exchange.stream_id,
                file,
                size,
                end_stream,
            )
            connection.kick()


def _is_a_sink(upload: Upload) -> "Sink":
    """Checked by mypy: an upload is where content goes."""
    return upload
