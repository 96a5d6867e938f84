"""The client: one connection to one server, requests on it, and the pushes that come with them."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Literal

from h3push import _quic
from h3push.client.connect import Plan, establish, parse_origin
from h3push.client.connection import ClientConnection
from h3push.client.exchange import ClientExchange
from h3push.client.response import ClientResponse, ReceivedPush
from h3push.client.upload import Upload
from h3push.errors import LocalProtocolError, NoStreamCredit, Timeout
from h3push.h3.config import H3Config
from h3push.http.content import PIECE_BYTES, Body, Content, known_length, normalize
from h3push.http.fields import RequestHead
from h3push.http.headers import HeadersLike, encode_headers
from h3push.http.priority import Priority
from h3push.quic.adapter import Driver
from h3push.runtime.settings import ClientSettings
from h3push.server.response import has_field

METHODS_WITH_CONTENT = frozenset({"POST", "PUT", "PATCH"})
"""Methods for which Content-Length is sent even when it is 0 (RFC 9110 section 8.6)."""


class Client:
    """A connection to one server; made by `connect`.

    `async with` connects and ends with `close`. Requests may run at the same time, as many as the server allows; further ones
    wait. When the server goes away (GOAWAY) or the connection is lost, requests that were certainly not processed raise
    `RequestNotProcessed`: make a new client and send them again.
    """

    def __init__(self, plan: Plan) -> None:
        self.settings = plan.settings
        """Time-outs and bounds."""
        self._plan = plan
        self._connection: ClientConnection | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Client":
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Connect. `ConnectFailed` with one sentence when that is not possible."""
        self._connection = await establish(self._plan)

    async def close(self) -> None:
        """Close the connection. What is under way fails with `ConnectionClosed`; no task is left behind."""
        connection = self._connection
        if connection is None:
            return
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        connection.close()
        connection.endpoint.close()

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
    ) -> ClientResponse:
        """Send a request; returns when the response's header section is there. Content goes out and comes in meanwhile.

        Args:
            method: such as "GET".
            path: path with query, percent-encoded.
            headers: further fields; Content-Length is added where the length is known.
            content: see `Content`.
            priority: RFC 9218 urgency and incremental delivery.
            authority: instead of the one of the URL that was connected to; one that the server's certificate names.

        Raises:
            LocalProtocolError: the server cannot speak for `authority`.
            RequestNotProcessed: the server certainly did not look at it; safe to retry on a new connection.
            ConnectionClosed: the connection was lost; the server may have acted on it.
            StreamFailed: the server reset it, or answered with something malformed.
            Timeout: `request_timeout` or `response_timeout` passed.
        """
        connection = self._connected
        body = normalize(content)
        if authority is not None and not connection.is_authoritative(authority.encode("ascii")):
            raise LocalProtocolError(f"the certificate of this server does not cover {authority}: connect to that one")
        head = self._head(method, path, headers, body, authority)
        exchange = await self._send_head(connection, head, body != b"", priority)
        try:
            if body != b"":
                self._send_body(connection, exchange, body)
            return await exchange.wait_answer()
        except BaseException:
            exchange.close()
            raise

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

    # pushes

    async def pushes(self) -> AsyncIterator[ReceivedPush]:
        """Every promise of the connection as it comes, beginning with those that are not done; ends with the connection.

        Whoever takes them here has them: closing a response leaves them alone then.
        """
        async for push in self._connected.pushes.listen():
            yield push

    # the connection

    @property
    def connection(self) -> ClientConnection:
        """The connection below, for tools: its `core` is the `H3ClientConnection`."""
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
        """True while new requests can be sent on this connection."""
        connection = self._connection
        return connection is not None and connection.over is None and not connection.going_away

    async def wait_closed(self) -> None:
        """Wait until the connection is over, whoever ends it."""
        await self._connected.ended.wait()

    # inside

    @property
    def _connected(self) -> ClientConnection:
        if self._connection is None:
            raise RuntimeError("the client is not connected: use it in `async with`")
        return self._connection

    def _head(
        self, method: str, path: str, headers: HeadersLike | None, body: Body, authority: str | None
    ) -> RequestHead:
        fields = encode_headers(headers)
        length = known_length(body)
        if has_field(fields, b"content-length"):
            length = None
        elif length is not None and (length > 0 or method in METHODS_WITH_CONTENT):
            fields = [*fields, (b"content-length", b"%d" % length)]
        return RequestHead(
            method=method.encode("latin-1"),
            scheme=b"https",
            authority=(authority or self._plan.origin.authority).encode("ascii"),
            path=path.encode("ascii"),
            fields=fields,
            content_length=length,
        )

    async def _send_head(
        self, connection: ClientConnection, head: RequestHead, has_content: bool, priority: Priority | None
    ) -> ClientExchange:
        try:
            return connection.open(head, end_stream=not has_content, priority=priority)
        except NoStreamCredit:
            pass
        try:
            async with asyncio.timeout(self.settings.request_timeout):
                while True:
                    await connection.credit.wait()
                    try:
                        return connection.open(head, end_stream=not has_content, priority=priority)
                    except NoStreamCredit:
                        continue
        except TimeoutError:
            raise Timeout(
                f"the server allowed no further request within {self.settings.request_timeout:g} s (request_timeout)"
            ) from None

    def _send_body(self, connection: ClientConnection, exchange: ClientExchange, body: Body) -> None:
        upload = Upload(connection, exchange)
        if type(body) is bytes and len(body) <= PIECE_BYTES:
            upload.write(body, True)
            return
        task = exchange.upload = asyncio.create_task(upload.run(body))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def connect(
    url: str,
    *,
    cafile: str | os.PathLike[str] | None = None,
    verify: bool = True,
    tls: _quic.ClientTls | None = None,
    max_pushes: int | None = None,
    config: H3Config | None = None,
    settings: ClientSettings | None = None,
    io: Literal["loop", "thread"] = "loop",
    driver: Driver | None = None,
    address: tuple[str, int] | None = None,
    on_push: Callable[[ReceivedPush], None] | None = None,
) -> Client:
    """Make a client; it connects when `async with` begins.

    Args:
        url: an https URL; host and port count, the path does not.
        cafile: PEM file with the only authorities to trust, instead of the system's.
        verify: False accepts every certificate: for tests on your own machine only.
        tls: instead of `cafile` and `verify`. Give the same object to several connections and the later ones resume the
            session of the first, which saves certificate and signature.
        max_pushes: pushes that the server may have granted and unfinished at any instant; `None` allows none.
        config: bounds and switches of the protocol.
        settings: time-outs and bounds of this layer.
        io: "thread" has a thread of its own move packets.
        driver: instead of a UDP socket: another way to move datagrams, such as the virtual network of tests.
        address: connect to this address, and send `url`'s host in the handshake and the requests as ever.
        on_push: called in the moment of each promise, before its response can have begun: the place to `cancel` what is not
            wanted. What it raises is logged, and calls that push off.

    Raises:
        ValueError: no https URL, or a certificate file that cannot be used.
    """
    origin = parse_origin(url)
    config = config or H3Config()
    if max_pushes is not None:
        config = replace(config, max_concurrent_pushes=max_pushes)
    plan = Plan(
        origin=origin,
        tls=tls if tls is not None or driver is not None else _client_tls(cafile, verify),
        config=replace(config, release_pushes=False, grant_in_two_steps=True),
        settings=settings or ClientSettings(),
        io=io,
        driver=driver,
        address=address,
        on_push=on_push,
    )
    return Client(plan)


def _client_tls(cafile: str | os.PathLike[str] | None, verify: bool) -> _quic.ClientTls:
    trust = None
    if cafile is not None:
        try:
            trust = Path(cafile).read_bytes()
        except OSError as error:
            raise ValueError(
                f"cannot read the authorities in {os.fspath(cafile)!r}: {error.strerror or error}"
            ) from None
    return _quic.ClientTls(trust=trust, verify=verify, key_log_file=os.environ.get("SSLKEYLOGFILE"))
