"""Several upstreams as one: who gets the next request, and who is left out for a while.

The one with the fewest requests under way gets the next; of equals, the one that was asked longest ago. One that could not be
reached is left out for `fail_timeout`, and a request that certainly did not reach it goes to another. With a health check, one
that fails it is left out until it answers again.
"""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeVar

from h3push.http.fields import Fields
from h3push.proxy.connections import UpstreamConnections
from h3push.proxy.failures import UpstreamFailed, UpstreamFailure
from h3push.proxy.settings import UpstreamSettings
from h3push.proxy.upstream import OnInterim, Upstream, UpstreamRequest, UpstreamResponse

logger = logging.getLogger("h3push.proxy")

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Member:
    """One of the upstreams."""

    connections: UpstreamConnections
    down_until: float = 0.0
    """Loop time until which it is left out."""
    healthy: bool = True
    """False since it failed a health check."""
    asked: int = 0
    """Number of the last request that it got."""


class Upstreams:
    """The upstreams of a proxy.

    Args:
        upstreams: at least one.
        settings: time-outs and bounds of each.
        context: TLS, for those of https.
        health_check: path that is asked for now and then; `None`: only requests tell whether an upstream works.
        tunnel_context: TLS for WebSockets, which go over HTTP/1.1 whatever `context` is for; `None`: `context`.
    """

    def __init__(
        self,
        upstreams: Sequence[Upstream],
        settings: UpstreamSettings,
        context: ssl.SSLContext | None = None,
        health_check: str | None = None,
        tunnel_context: ssl.SSLContext | None = None,
    ) -> None:
        self.settings = settings
        self._tunnel_context = tunnel_context or context
        self.members = [
            Member(UpstreamConnections(one, settings, context if one.scheme == "https" else None)) for one in upstreams
        ]
        """All of them."""
        self._health_check = health_check
        self._checks: asyncio.Task[None] | None = None
        self._asked = 0

    def start(self) -> None:
        """Begin to look after them."""
        if self._health_check is not None:
            self._checks = asyncio.create_task(self._check_for_ever(self._health_check.encode("ascii")))

    async def close(self) -> None:
        """Close every connection."""
        if self._checks is not None:
            self._checks.cancel()
            with suppress(asyncio.CancelledError):
                await self._checks
        for one in self.members:
            one.connections.close()

    def choose(self, tried: Sequence[Member] = ()) -> Member | None:
        """The upstream for the next request; `None` when all were tried."""
        if len(self.members) == 1:
            return None if tried else self.members[0]
        now = asyncio.get_running_loop().time()
        left = [one for one in self.members if one not in tried]
        if not left:
            return None
        up = [one for one in left if one.healthy and one.down_until <= now] or left
        chosen = min(up, key=_load)
        self._asked += 1
        chosen.asked = self._asked
        return chosen

    async def send(self, request: UpstreamRequest, on_interim: OnInterim) -> tuple[Upstream, UpstreamResponse]:
        """Send a request to an upstream that answers.

        Raises:
            UpstreamFailed: the last failure, when none did.
        """
        tried: list[Member] = []
        failed: UpstreamFailed | None = None
        while (chosen := self.choose(tried)) is not None:
            tried.append(chosen)
            own = chosen.connections.upstream
            try:
                response = await chosen.connections.send(_addressed(request, own), on_interim)
            except UpstreamFailed as error:
                failed = error
                if error.failure.before_anything and error.failure is not UpstreamFailure.CONNECTION_LIMIT:
                    self._leave_out(chosen, error)
                if not (error.is_unprocessed or request.may_repeat):
                    raise
            else:
                chosen.down_until = 0.0
                return own, response
        assert failed is not None
        raise failed

    async def open(self, opening: Callable[[Upstream, ssl.SSLContext | None], Awaitable[T]]) -> tuple[Member, T]:
        """Open something that is no request, to an upstream that can be reached.

        Raises:
            UpstreamFailed: the last failure, when none could.
        """
        tried: list[Member] = []
        failed: UpstreamFailed | None = None
        while (chosen := self.choose(tried)) is not None:
            tried.append(chosen)
            upstream = chosen.connections.upstream
            try:
                return chosen, await opening(upstream, self._tunnel_context if upstream.scheme == "https" else None)
            except UpstreamFailed as error:
                failed = error
                if not error.is_unprocessed:
                    raise
                self._leave_out(chosen, error)
        assert failed is not None
        raise failed

    def _leave_out(self, member: Member, error: UpstreamFailed) -> None:
        now = asyncio.get_running_loop().time()
        if member.down_until <= now:
            logger.warning("%s", error)
        member.down_until = now + self.settings.fail_timeout

    async def _check_for_ever(self, target: bytes) -> None:
        while True:
            await asyncio.gather(*(self._check(one, target) for one in self.members))
            await asyncio.sleep(self.settings.health_interval)

    async def _check(self, member: Member, target: bytes) -> None:
        own = member.connections.upstream
        request = UpstreamRequest(b"GET", target, own.authority.encode("latin-1"), [])
        try:
            response = await member.connections.send(request, _ignore)
            while await response.read():
                pass
            healthy, why = response.status < 500, f"it answers {response.status}"
        except UpstreamFailed as error:
            healthy, why = False, str(error)
        if healthy and not member.healthy:
            logger.warning("%s is well again", own)
        elif member.healthy and not healthy:
            logger.warning("%s failed its health check: %s", own, why)
        member.healthy = healthy


def _load(member: Member) -> tuple[int, int]:
    return member.connections.under_way, member.asked


def _addressed(request: UpstreamRequest, upstream: Upstream) -> UpstreamRequest:
    """A request with the prefix and, where it has no other, the Host of an upstream."""
    if request.authority is not None and not upstream.prefix:
        return request
    target = upstream.prefix.encode("ascii") + request.target
    return replace(request, target=target, authority=request.authority or upstream.authority.encode("latin-1"))


async def _ignore(_status: int, _fields: Fields) -> None:
    """Nobody waits for interim responses to a check."""
