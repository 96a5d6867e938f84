"""Extended CONNECT at the client (RFC 8441, RFC 9220): one stream of the connection, as a tunnel for another protocol.

Theory of operation. The request waits for the server's SETTINGS, without which it may not be sent. From a 2xx on, the stream
carries DATA both ways until each side has ended its own: `send` waits while the server does not take what is queued, and what
nobody reads is not granted to the server. A FIN is an end, as of TCP; whatever else ends the tunnel raises on both sides of it.
A tunnel has no time-out of its own while it is silent, and keeps nobody from giving up pushes that do not move.
"""

import asyncio

from h3push.client.exchange import Exchange
from h3push.client.limits import Limits
from h3push.client.opening import open_in_turn
from h3push.client.response import ClientResponse
from h3push.client.session import ClientSession
from h3push.client.upload import Upload
from h3push.errors import ErrorCode, PoolTimeout, StreamFailed, StreamStateError, WriteTimeout
from h3push.http.fields import RequestHead
from h3push.http.priority import Priority


class ClientTunnel(ClientResponse):
    """The answer to an extended CONNECT. With 2xx it is a tunnel: bytes both ways (RFC 9114 section 4.4); else a plain response.

    `async with tunnel:` closes it at the end. Send in one task, receive in one task; they may be two.
    """

    def __init__(self, exchange: Exchange, connection: ClientSession) -> None:
        super().__init__(exchange)
        self._connection = connection
        self._upload = Upload(connection, exchange)
        self._is_ended = False
        if not self.is_accepted:
            self._end()

    async def __aenter__(self) -> "ClientTunnel":
        return self

    @property
    def is_accepted(self) -> bool:
        """True when the server has opened the tunnel; else the content says why not."""
        return 200 <= self.status < 300

    async def receive(self) -> bytes:
        """The next bytes from the server, as they arrive; empty once it has ended its direction.

        Raises:
            StreamFailed: the server reset the tunnel, or it was closed here.
            ConnectionClosed: the connection was lost.
            ReadTimeout: nothing came for the `read` that was given.
        """
        return await self.content.next_chunk()

    async def send(self, data: bytes) -> None:
        """Send bytes; waits while more than `send_high_water` of them are queued.

        Raises:
            StreamStateError: our direction has ended, or was never open.
            StreamFailed: the server takes no more, or the tunnel was closed here.
            ConnectionClosed: the connection was lost.
            WriteTimeout: the server took less than 16 KiB in `drain_timeout`; the tunnel is closed.
        """
        self._check_open()
        try:
            await self._upload.send(data)
        except WriteTimeout as error:
            self._connection.cancel(self._exchange, error)
            raise
        self._check_open()

    async def end(self) -> None:
        """End our direction (FIN); the server's goes on. Harmless when that has been done, or when nobody takes anything."""
        self._end()

    def _end(self) -> None:
        self._is_ended = True
        self._upload.write(b"", True)

    def _check_open(self) -> None:
        if self._is_ended:
            raise StreamStateError("our direction of the tunnel has ended")
        if self._upload.gone:
            sentence = "the server takes no more on this tunnel"
            raise self.content.error or StreamFailed(sentence, ErrorCode.H3_REQUEST_CANCELLED)

    def __repr__(self) -> str:
        return f"<ClientTunnel {self.status} {self.request.url}>"


async def open_tunnel(
    connection: ClientSession, head: RequestHead, limits: Limits, priority: Priority | None
) -> ClientTunnel:
    """Send an extended CONNECT as soon as that is possible; returns when the header section of the answer is there."""
    await connection.handshake.wait()
    try:
        async with asyncio.timeout(limits.pool):
            await connection.server_settings.wait()
    except TimeoutError:
        connection.ask_for_life()
        sentence = f"the server has not said within {limits.pool:g} s (request_timeout) that it takes extended CONNECT"
        raise PoolTimeout(sentence) from None
    exchange = await open_in_turn(connection, head, limits, end_stream=False, priority=priority)
    exchange.is_tunnel = True
    try:
        await exchange.wait_answer()
    except BaseException:
        exchange.close()
        raise
    return ClientTunnel(exchange, connection)
