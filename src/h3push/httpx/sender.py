"""Which requests go out over HTTP/3, and which the ordinary transport gets.

HTTP/3 has a head start: a request waits for the handshake that long. Where nothing answers, the ordinary transport takes this
request and those after it, for a while. The handshake goes on meanwhile; if it succeeds after all, the next request goes over
HTTP/3. A certificate that is not acceptable is an error and no reason for another way.
"""

import asyncio
import os
import ssl
from functools import partial
from typing import Any

from h3push import _quic
from h3push.client.alternatives import ANOTHER_WAY
from h3push.client.answer import Answer
from h3push.client.connect import connect
from h3push.client.connections import Connect
from h3push.client.pool import Pool, TakePushes
from h3push.client.push_stats import PushStats
from h3push.client.stored import ResponseStore
from h3push.client.tls import Certificate, make_tls
from h3push.errors import ConnectFailed
from h3push.http.url import Origin
from h3push.httpx.library import Asked
from h3push.runtime.settings import ClientSettings, PoolSettings, PushCacheSettings

Verify = bool | str | os.PathLike[str] | ssl.SSLContext
"""As httpx has it: True for the authorities of the system, False for no check, a PEM file or a directory of them, or a context
with authorities."""


class Http3Sender:
    """Answers requests over HTTP/3, and says which it leaves to the ordinary transport.

    Args:
        has_fallback: False: nothing is left to it.
        push: see `TakePushes`.
        verify: see `Verify`.
        cert: the client's own certificate, see `Certificate`.
        trust_env: False: SSL_CERT_FILE and SSL_CERT_DIR do not say where the system's authorities are.
        early_data: see `connect`.
        settings: of the connections together.
        push_cache: bounds of the pushes that wait, and of those that are stored.
        client_settings: time-outs and bounds of each connection; the requests' own time-outs stand before them.
        storage: where claimed pushes are stored, one of hishel's; in memory when `None`.
        dial: makes a connection, instead of `connect`.
    """

    def __init__(
        self,
        *,
        has_fallback: bool,
        push: TakePushes = "cache",
        verify: Verify = True,
        cert: Certificate | None = None,
        trust_env: bool = True,
        early_data: bool = False,
        settings: PoolSettings | None = None,
        push_cache: PushCacheSettings | None = None,
        client_settings: ClientSettings | None = None,
        storage: Any = None,
        dial: Connect | None = None,
    ) -> None:
        bounds = push_cache or PushCacheSettings()
        dial = dial or partial(
            connect,
            tls=tls_of(verify, early_data, cert, trust_env),
            early_data=early_data,
            settings=client_settings,
        )
        self.pool = Pool(
            push=push,
            store=None if push == "off" else ResponseStore(bounds, storage),
            settings=settings,
            push_cache=bounds,
            client_settings=client_settings,
            dial=dial,
        )
        self._has_fallback = has_fallback
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def push_stats(self) -> PushStats:
        """The fate of all pushes so far."""
        return self.pool.push_stats

    async def send(self, asked: Asked) -> Answer | None:
        """The answer to a request; `None`: the ordinary transport is to send it. Raises what `Pool.request` raises."""
        self._check_loop()
        known = await self.pool.known(asked.head, asked.content, asked.timeouts)
        if known is not None:
            return known
        if self._has_fallback and not await self._is_there(asked):
            return None
        return await self.pool.ask(asked.origin, asked.head, asked.content, timeouts=asked.timeouts)

    def seen(self, origin: Origin, alt_svc: str) -> None:
        """The ordinary transport has got an Alt-Svc field."""
        self.pool.alternatives.seen(origin, alt_svc, asyncio.get_running_loop().time())

    async def close(self) -> None:
        """Close all connections."""
        await self.pool.close()

    async def _is_there(self, asked: Asked) -> bool:
        """True when there is a connection to send the request on."""
        pool, origin = self.pool, asked.origin
        if pool.connections.ready(origin) is not None:
            return True
        now = asyncio.get_running_loop().time
        if not pool.alternatives.may_be_tried(origin, now()):
            return False
        seconds = asked.timeouts.get("connect")
        head_start = pool.settings.head_start
        try:
            await pool.connections.get(origin, head_start if seconds is None else min(seconds, head_start))
        except ConnectFailed as failure:
            if failure.kind not in ANOTHER_WAY:
                raise
            pool.alternatives.silent(origin, now())
            return False
        return True

    def _check_loop(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError("h3push runs on asyncio (anyio on asyncio too); trio has another event loop") from None
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise RuntimeError("an AsyncTransport belongs to the event loop that used it first: make one for each loop")


def tls_of(
    verify: Verify, early_data: bool, cert: Certificate | None = None, trust_env: bool = True
) -> _quic.ClientTls:
    """TLS settings of what httpx calls `verify`. `ValueError` for a context whose authorities cannot be read."""
    make = partial(make_tls, early_data=early_data, cert=cert, trust_env=trust_env)
    if isinstance(verify, bool):
        return make(verify=verify)
    if not isinstance(verify, ssl.SSLContext):
        return make(verify)
    if verify.verify_mode == ssl.CERT_NONE:
        return make(verify=False)
    authorities = verify.get_ca_certs(binary_form=True)
    if not authorities:
        raise ValueError("the SSLContext has no authorities that can be read from it: give verify= a PEM file")
    return make("".join(map(ssl.DER_cert_to_PEM_cert, authorities)).encode())
