"""A request's content on its way out."""

import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Protocol

from h3push.client.exchange import Exchange, ExchangeOwner
from h3push.http.content import Body, BytesPart, FileContent, send_content
from h3push.runtime.drain import Drain

if TYPE_CHECKING:
    from h3push.http.content import Sink


class Sender(ExchangeOwner, Protocol):
    """The connection, as an upload sees it."""

    def send_data(self, stream_id: int, data: bytes, end: bool) -> int:
        """Send content; how many bytes wait."""

    def send_part(self, stream_id: int, part: BytesPart, end: bool) -> int:
        """Send a part of larger bytes as one DATA frame; how many bytes wait."""

    def send_file(self, stream_id: int, file: FileContent, size: int, end: bool) -> None:
        """Send a part of a file as one DATA frame."""

    def waiting(self, stream_id: int) -> int:
        """How many bytes of a stream wait for the server to take them."""

    def upload_ended(self, exchange: Exchange) -> None:
        """The request's content is sent, or no longer wanted."""


class Upload:
    """Sends the content of one request. It stops, quietly, when the server wants no more (RFC 9114 section 4.1)."""

    def __init__(self, connection: Sender, exchange: Exchange) -> None:
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
            self._exchange.upload = None  # it ends by itself
            self._connection.cancel(self._exchange, error)
        finally:
            self._exchange.upload = None
            self._connection.upload_ended(self._exchange)

    def write(self, data: bytes, end: bool) -> int:
        """Send a piece; how many bytes wait."""
        return self._write(partial(self._connection.send_data, data=data, end=end), len(data), end)

    async def send(self, data: bytes, *, end_stream: bool = False) -> None:
        """Send a piece; waits while too much is queued."""
        await self._wait_until_drained(self.write(data, end_stream), end_stream)

    async def send_part(self, part: BytesPart, *, end_stream: bool = False) -> None:
        """Send a part of larger bytes; waits while too much is queued."""
        send = partial(self._connection.send_part, part=part, end=end_stream)
        waiting = self._write(send, part.length, end_stream)
        await self._wait_until_drained(waiting, end_stream)

    async def send_file(
        self, path: str | os.PathLike[str], offset: int = 0, length: int | None = None, *, end_stream: bool = False
    ) -> None:
        """Send a part of a file."""
        file = FileContent(path, offset, length)
        size = file.size()
        if size == 0:
            await self.send(b"", end_stream=end_stream)
        elif not self.gone:
            assert self._exchange.stream_id is not None
            self._connection.send_file(self._exchange.stream_id, file, size, end_stream)
            self._exchange.content_sent += size

    def _write(self, send: Callable[[int], int], size: int, end: bool) -> int:
        """Have `send` write so many bytes to the stream, if it still takes anything; how many bytes wait."""
        exchange = self._exchange
        if not exchange.sending:
            return 0
        assert exchange.stream_id is not None
        waiting = send(exchange.stream_id)
        exchange.content_sent += size
        exchange.active_at = self._connection.now()
        if end:
            self._connection.upload_ended(exchange)
        return waiting

    async def _wait_until_drained(self, waiting: int, end: bool) -> None:
        connection, exchange = self._connection, self._exchange
        if waiting <= connection.settings.send_high_water or end:
            return
        if exchange.drain is None:
            exchange.drain = Drain()
        assert exchange.stream_id is not None
        await exchange.drain.wait(exchange.limits.write, partial(connection.waiting, exchange.stream_id))
        exchange.active_at = connection.now()


def _is_a_sink(upload: Upload) -> "Sink":
    """Checked by mypy: an upload is where content goes."""
    return upload
