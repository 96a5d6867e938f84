"""The connections to one upstream: opened when they are needed, kept while they are good, bounded in number."""

import asyncio
import ssl
from collections import deque

from h3push.proxy.failures import UpstreamFailed, UpstreamFailure, failure_of
from h3push.proxy.http1 import Http1Connection
from h3push.proxy.http2 import Http2Connection
from h3push.proxy.settings import UpstreamSettings
from h3push.proxy.upstream import OnInterim, Upstream, UpstreamRequest, UpstreamResponse

Connection = Http1Connection | Http2Connection


class UpstreamConnections:
    """The connections to one upstream.

    Args:
        upstream: where it is.
        settings: time-outs and bounds.
        context: TLS, for https.
    """

    def __init__(self, upstream: Upstream, settings: UpstreamSettings, context: ssl.SSLContext | None) -> None:
        self.upstream = upstream
        self.settings = settings
        self.under_way = 0
        """Requests whose answer is not complete."""
        self.context = context
        """TLS, for https."""
        self._usable: deque[Connection] = deque()
        self._open: set[Connection] = set()
        self._places = asyncio.Semaphore(settings.max_requests)

    async def send(self, request: UpstreamRequest, on_interim: OnInterim) -> UpstreamResponse:
        """Send a request, and once more when a connection that was kept turned out to be closed.

        Raises:
            UpstreamFailed: no answer.
        """
        while True:
            connection = await self._take()
            kept = not connection.is_fresh
            try:
                return await connection.exchange(request, on_interim)
            except UpstreamFailed as error:
                stale = kept and error.failure is UpstreamFailure.CONNECTION_TERMINATED
                if not (stale and request.may_repeat):
                    raise

    def close(self) -> None:
        """Close every connection."""
        for connection in list(self._open):
            connection.close()

    # the connections' calls

    def over(self, connection: Connection) -> None:
        """An exchange is over."""
        self.under_way -= 1
        self._places.release()
        if connection.is_usable and connection not in self._usable:
            self._usable.append(connection)

    def lost(self, connection: Connection) -> None:
        """A connection is closed."""
        self._open.discard(connection)

    # inside

    async def _take(self) -> Connection:
        """A connection that can take a request, a kept one or a new one; the request's place is taken with it."""
        if self._places.locked():
            try:
                async with asyncio.timeout(self.settings.pool_timeout):
                    await self._places.acquire()
            except TimeoutError:
                raise self._failed(UpstreamFailure.CONNECTION_LIMIT) from None
        else:
            await self._places.acquire()  # at once
        try:
            connection = self._find() or await self._connect()
        except BaseException:
            self._places.release()
            raise
        self.under_way += 1
        return connection

    def _find(self) -> Connection | None:
        """The connection that came free last; those of no use any more are dropped."""
        usable, now = self._usable, asyncio.get_running_loop().time()
        while usable:
            connection = usable[-1]
            if connection.busy or now - connection.used <= self.settings.keepalive:
                if connection.is_usable:
                    return connection
            else:
                connection.close()
            usable.pop()
        return None

    async def _connect(self) -> Connection:
        upstream, loop = self.upstream, asyncio.get_running_loop()
        made = (Http2Connection if upstream.http2 else Http1Connection)(upstream, self.settings, self)
        try:
            async with asyncio.timeout(self.settings.connect_timeout):
                if upstream.socket is not None:
                    transport, _ = await loop.create_unix_connection(lambda: made, upstream.socket)
                else:
                    address = upstream.host, upstream.port
                    transport, _ = await loop.create_connection(lambda: made, *address, ssl=self.context)
        except OSError as error:  # a time-out and an error of TLS are OSErrors, too
            raise self._failed(*failure_of(error)) from None
        self._open.add(made)
        tls = transport.get_extra_info("ssl_object")
        if upstream.http2 and tls is not None and tls.selected_alpn_protocol() != "h2":
            made.close()
            raise self._failed(UpstreamFailure.HTTP_PROTOCOL, "it speaks no HTTP/2")
        self._usable.append(made)
        return made

    def _failed(self, failure: UpstreamFailure, detail: str = "") -> UpstreamFailed:
        return UpstreamFailed(failure, str(self.upstream), detail)
