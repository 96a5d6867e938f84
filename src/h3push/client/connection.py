"""The client's view of one connection: requests on it, and the pushes that come with them."""

import asyncio
import warnings
from collections.abc import AsyncIterator
from functools import partial
from types import TracebackType

from h3push.client.exchange import Exchange, OnInterim
from h3push.client.handshake import Plan, establish
from h3push.client.limits import Limits, Timeouts, limits_of
from h3push.client.opening import open_in_turn
from h3push.client.pushes import OnPush
from h3push.client.request_head import check_arguments, with_length
from h3push.client.response import ClientResponse, ReceivedPush, ResponseStream
from h3push.client.session import ClientSession
from h3push.client.tunnel import ClientTunnel, open_tunnel
from h3push.client.upload import Upload
from h3push.errors import LocalProtocolError, NoStreamCredit
from h3push.http.content import PIECE_BYTES, Body, Content, normalize
from h3push.http.fields import Fields, RequestHead
from h3push.http.headers import HeadersLike, encode_headers, has_field
from h3push.http.priority import Priority
from h3push.http.url import encode_target

TOO_EARLY = 425
"""The status of a server that does not want to act on early data (RFC 8470 section 5.2)."""


class ClientConnection:
    """A connection to one server; made by `connect`.

    `async with` connects and ends with `close`. Requests may run at the same time, as many as the server allows; further ones
    wait. When the server goes away (GOAWAY) or the connection is lost, requests that were certainly not processed raise
    `RequestNotProcessed`: make a new client and send them again. One that is dropped while it is open closes with a
    `ResourceWarning`.
    """

    def __init__(self, plan: Plan, on_push: OnPush | None = None, authorization: str | None = None) -> None:
        self._session: ClientSession | None = None
        self.settings = plan.settings
        """Time-outs and bounds."""
        self._plan = plan
        self._on_push = on_push
        self._authorization = None if authorization is None else (b"authorization", authorization.encode("latin-1"))
        self._is_opened = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._limits_before: tuple[Timeouts, Limits] | None = None

    async def __aenter__(self) -> "ClientConnection":
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Connect. `ConnectFailed` with one sentence when that is not possible; `RuntimeError` when it was called before."""
        if self._is_opened:
            raise RuntimeError("the client is connected already, or was: make a new one with connect()")
        self._is_opened = True
        try:
            self._session = await establish(self._plan, self._on_push)
        except BaseException:
            self._is_opened = False
            raise

    async def close(self) -> None:
        """Close the connection. What is under way fails with `ConnectionClosed`; no task is left behind."""
        connection = self._session
        if connection is None:
            return
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        connection.shut()

    def __del__(self) -> None:
        connection = self._session
        if connection is not None and not connection.endpoint.is_closed:
            warnings.warn(
                f"{self!r} was dropped while it was open: it is closed", ResourceWarning, stacklevel=2, source=self
            )
            connection.run_later(connection.shut)

    def __repr__(self) -> str:
        return f"<ClientConnection https://{self._plan.origin.authority}>"

    # requests

    async def request(
        self,
        method: str,
        path: str,
        *,
        headers: HeadersLike | None = None,
        content: Content = None,
        priority: Priority | None = None,
        authority: str | None = None,
        timeouts: Timeouts | None = None,
    ) -> ClientResponse:
        """Send a request; returns when the response's header section is there. Content goes out and comes in meanwhile.

        Args:
            method: such as "GET".
            path: path with query; what may not stand in a URL is percent-encoded.
            headers: further fields; Content-Length is added where the length is known.
            content: see `Content`.
            priority: RFC 9218 urgency and incremental delivery.
            authority: instead of the one of the URL that was connected to; one that the server's certificate names.
            timeouts: instead of those in the settings.

        Raises:
            LocalProtocolError: the request would be malformed, or the server cannot speak for `authority`.
            RequestNotProcessed: the server certainly did not look at it; safe to retry on a new connection.
            PoolTimeout: the server allowed no further request in time; it was not sent, so it is safe to retry.
            ConnectFailed: with early data, there is no connection after all; safe to retry.
            ConnectionClosed: the connection was lost; the server may have acted on it.
            StreamFailed: the server reset it, or answered with something malformed.
            ReadTimeout, WriteTimeout: the server stopped talking, or taking content.
        """
        check_arguments(method, path, priority, authority)
        body = normalize(content)
        head = self._head(method, path, encode_headers(headers), authority)
        return await self._answer(head, body, priority, timeouts)

    async def send(
        self,
        head: RequestHead,
        *,
        content: Content = None,
        priority: Priority | None = None,
        timeouts: Timeouts | None = None,
        on_interim: OnInterim | None = None,
    ) -> ClientResponse:
        """`request` for one whose head is made already: nothing of it is encoded again. Its `content_length` is not looked at.

        `on_interim` is called with each interim response as it comes.
        """
        own = self._plan.origin.authority.encode("ascii")
        if head.authority != own:
            self._check_authority(head.authority or b"")
        return await self._answer(head, normalize(content), priority, timeouts, on_interim)

    async def _answer(
        self,
        head: RequestHead,
        body: Body,
        priority: Priority | None,
        timeouts: Timeouts | None,
        on_interim: OnInterim | None = None,
    ) -> ClientResponse:
        connection = self._connected
        head = with_length(head, body)
        limits = connection.limits if timeouts is None else self._limits(connection, timeouts)
        exchange = await self._send(connection, head, body, limits, priority, on_interim)
        if exchange.early and exchange.head is not None and exchange.head.status == TOO_EARLY:
            exchange.close()
            await connection.handshake.wait()
            exchange = await self._send(connection, head, body, limits, priority, on_interim)
        return ClientResponse(exchange)

    def stream(
        self,
        method: str,
        path: str,
        *,
        headers: HeadersLike | None = None,
        content: Content = None,
        priority: Priority | None = None,
        authority: str | None = None,
        timeouts: Timeouts | None = None,
    ) -> ResponseStream:
        """`request` for an `async with`, which closes the response at its end."""
        ask = partial(
            self.request, method, path, headers=headers, content=content, priority=priority, authority=authority,
            timeouts=timeouts,
        )  # fmt: skip
        return ResponseStream(ask)

    async def get(
        self, path: str, *, headers: HeadersLike | None = None, priority: Priority | None = None
    ) -> ClientResponse:
        """`request` with GET."""
        return await self.request("GET", path, headers=headers, priority=priority)

    async def head(self, path: str, *, headers: HeadersLike | None = None) -> ClientResponse:
        """`request` with HEAD."""
        return await self.request("HEAD", path, headers=headers)

    async def post(self, path: str, *, content: Content = None, headers: HeadersLike | None = None) -> ClientResponse:
        """`request` with POST."""
        return await self.request("POST", path, headers=headers, content=content)

    async def extended_connect(
        self,
        protocol: str,
        path: str,
        *,
        headers: HeadersLike | None = None,
        priority: Priority | None = None,
        authority: str | None = None,
        timeouts: Timeouts | None = None,
    ) -> ClientTunnel:
        """Ask for a tunnel by extended CONNECT (RFC 8441, RFC 9220); returns when the header section of the answer is there.

        Args:
            protocol: the `:protocol` that is spoken in it, such as "websocket".
            path: as of `request`.
            headers: as of `request`.
            priority: as of `request`.
            authority: as of `request`.
            timeouts: as of `request`; `read` is no limit unless it is given, as silence in a tunnel means nothing.

        Raises:
            NoExtendedConnect: the server does not take extended CONNECT; nothing was sent.
            PoolTimeout: it did not say in time whether it does, or allowed no further request.
            LocalProtocolError, RequestNotProcessed, ConnectFailed, ConnectionClosed, StreamFailed, ReadTimeout: as of `request`.
        """
        check_arguments(protocol, path, priority, authority)
        head = self._head("CONNECT", path, encode_headers(headers), authority)
        return await self.tunnel(head._replace(protocol=protocol.encode("latin-1", "replace")), priority, timeouts)

    async def tunnel(
        self, head: RequestHead, priority: Priority | None = None, timeouts: Timeouts | None = None
    ) -> ClientTunnel:
        """`extended_connect` for one whose head is made already."""
        connection = self._connected
        if head.authority != self._plan.origin.authority.encode("ascii"):
            self._check_authority(head.authority or b"")
        return await open_tunnel(
            connection, head, limits_of(connection.limits, {"read": None, **(timeouts or {})}), priority
        )

    # pushes

    async def pushes(self) -> AsyncIterator[ReceivedPush]:
        """Every promise of the connection as it comes, beginning with those that are not done; ends with the connection.

        Whoever takes them here has them: closing a response leaves them alone then.
        """
        async for push in self._connected.pushes.listen():
            yield push

    # the connection

    @property
    def session(self) -> ClientSession:
        """The machinery below, for tools: its `core` is the `H3ClientConnection`."""
        return self._connected

    @property
    def info(self) -> dict[str, object]:
        """Facts of the handshake: `alpn`, `cipher_suite`, `resumed`, `early_data`, `peer_certificates`, `remote`, ..."""
        connection = self._connected
        return connection.endpoint.driver.info(connection.handle)

    @property
    def stats(self) -> dict[str, int | float]:
        """Measures of the path: `rtt` (seconds), `lost_packets`, `sent_bytes`, ..."""
        connection = self._connected
        return connection.endpoint.driver.stats(connection.handle)

    @property
    def is_usable(self) -> bool:
        """True while new requests can be sent on this connection.

        It is False for a moment after a time-out, until the server has shown that it is still there.
        """
        connection = self._session
        return connection is not None and connection.is_usable

    async def wait_closed(self) -> None:
        """Wait until the connection is over, whoever ends it."""
        await self._connected.ended.wait()

    # inside

    @property
    def _connected(self) -> ClientSession:
        if self._session is None:
            raise RuntimeError("the client is not connected: use it in `async with`")
        return self._session

    def _head(self, method: str, path: str, fields: Fields, authority: str | None) -> RequestHead:
        own = self._plan.origin.authority
        if authority is not None and authority != own:
            self._check_authority(authority.encode("ascii", "replace"))
        elif self._authorization is not None and not has_field(fields, b"authorization"):
            fields = [*fields, self._authorization]
        return RequestHead(
            method=method.encode("latin-1", "replace"),
            scheme=b"https",
            authority=(authority or own).encode("ascii"),
            path=encode_target(path).encode("ascii"),
            fields=fields,
            content_length=None,
        )

    def _check_authority(self, authority: bytes) -> None:
        if not self._connected.is_authoritative(authority):
            name = authority.decode("ascii", "replace")
            raise LocalProtocolError(f"the certificate of this server does not cover {name}: connect to that one")

    def _limits(self, connection: ClientSession, timeouts: Timeouts) -> Limits:
        """The time-outs of a request; most have those of the one before."""
        before = self._limits_before
        if before is None or before[0] != timeouts:
            before = self._limits_before = (timeouts.copy(), limits_of(connection.limits, timeouts))
        return before[1]

    async def _send(
        self,
        connection: ClientSession,
        head: RequestHead,
        body: Body,
        limits: Limits,
        priority: Priority | None,
        on_interim: OnInterim | None,
    ) -> Exchange:
        """Send a request; returns when the response's header section is there."""
        has_content = body != b""
        exchange: Exchange | None = None
        if connection.doubt is None and connection.may_be_sent(head, not has_content):
            try:
                exchange = connection.open(head, limits, end_stream=not has_content, priority=priority)
            except NoStreamCredit:
                exchange = None
        if exchange is None:
            exchange = await open_in_turn(connection, head, limits, end_stream=not has_content, priority=priority)
        if on_interim is not None:
            exchange.on_interim = on_interim
        try:
            if has_content:
                self._send_body(connection, exchange, body)
            await exchange.wait_answer()
        except BaseException:
            exchange.close()
            raise
        return exchange

    def _send_body(self, connection: ClientSession, exchange: Exchange, body: Body) -> None:
        upload = Upload(connection, exchange)
        if type(body) is bytes and len(body) <= PIECE_BYTES:
            upload.write(body, True)
            return
        task = exchange.upload = asyncio.create_task(upload.run(body))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
