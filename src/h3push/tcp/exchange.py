"""One request over TCP through the application, and what goes with its response.

Theory of operation. The exchange stands between the server beneath and the user's application, as their two callables. Events of
the response pass through, with what we add to their fields; push and hint events go to a `PageDelivery`, which writes into an
`Outbox`, so that what goes with a page stands before it.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Protocol

from h3push.asgi import events
from h3push.asgi.cycle import own_fields
from h3push.asgi.events import PushOptions, deliver_path
from h3push.asgi.handler import ApplicationError
from h3push.asgi.push import Pusher
from h3push.asgi.types import (
    EARLY_HINT,
    H3PUSH,
    INFORMATIONAL,
    PUSH,
    TLS,
    TRAILERS,
    ASGIApplication,
    ClientGoneError,
    Message,
    Receive,
    Scope,
    Send,
)
from h3push.delivery.page import Delivered, PageDelivery
from h3push.delivery.state import DeliveryState
from h3push.errors import StreamFailed
from h3push.http.fields.received import joined
from h3push.plans.plan import PushPlan
from h3push.server.log_row import ResponseOutcome
from h3push.server.server import Server
from h3push.tcp.request import Outbox, TcpRequest
from h3push.tcp.row import TcpRow
from h3push.tcp.settings import TcpSettings
from h3push.tcp.tls import tls_extension

logger = logging.getLogger("h3push.server")

START, BODY = "http.response.start", "http.response.body"
HTTP1 = frozenset({"1.0", "1.1"})
_OF_THE_RESPONSE = frozenset({START, BODY, TRAILERS})


class TcpOwner(Protocol):
    """The application around the user's, as one request sees it."""

    app: ASGIApplication
    """The user's application."""
    server: Server
    """The HTTP/3 server, whose counters, access log and bounds are shared."""
    delivery: DeliveryState
    """State and counters of pushes and hints."""
    settings: TcpSettings
    """How the application is run."""
    alt_svc: Callable[[], bytes | None]
    """The value of Alt-Svc."""
    under_way: int
    """Responses that are not complete."""

    def shared_scope(self, scope: Scope, extensions: dict[str, Any]) -> Scope:
        """Copy a server's scope for the user's application, with what all versions share."""


class TcpPusher(Pusher):
    """The server's end of `h3push.push` for a request over TCP, whose delivery is made when it is asked for."""

    __slots__ = ("_exchange",)

    def __init__(self, exchange: "TcpExchange") -> None:
        self._exchange = exchange
        self._loop = asyncio.get_running_loop()

    @property
    def takes_pushes(self) -> bool:
        return self._exchange.delivery.takes_pushes

    def carry_out(self, plan: PushPlan) -> None:
        self._exchange.delivery.carry_out(plan)

    def _push_here(self, paths: Iterable[str], options: PushOptions) -> list[Delivered]:
        delivery = self._exchange.delivery
        return [deliver_path(delivery, path, options) for path in paths]


class TcpExchange:
    """One request through the application, and what goes with its response.

    Most requests have nothing that goes with them, so what cares for that is made when somebody asks for it.
    """

    # Class attributes are the defaults, so that a request that needs none of this pays for none of it.
    status: int | None = None
    """Status of the final response; `None` before it began."""
    _request: TcpRequest | None = None
    _delivery: PageDelivery | None = None
    _outbox: Outbox | None = None
    _row: TcpRow | None = None
    _takes_pushes = False
    _complete = False
    _trailers = False
    _gone = False
    _failed = False

    def __init__(self, owner: TcpOwner, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["http_version"] == "2":
            _join_cookies(scope)
        self._owner = owner
        self._scope = scope
        self._receive = receive
        self._send = send
        self._offered = scope.get("extensions") or {}
        settings = owner.settings
        if PUSH in self._offered and owner.server.config.enable_push and settings.takes_pushes(send):
            self._takes_pushes = True
        self._tls = settings.tls(send)
        log = owner.server.access_log
        if log is not None:
            self._row = TcpRow(log, self.request, self._tls, partial(settings.path, send))

    def _application_scope(self) -> Scope:
        """The application's scope, with what all versions share.

        A copy: the server goes on with its own. It leads here, so it is not kept: a circle lives until the collector comes.
        """
        settings = self._owner.settings
        extensions: dict[str, Any] = {
            EARLY_HINT: {},
            H3PUSH: {"push_id": None, "initiator": None, "pusher": TcpPusher(self)},
        }
        if TRAILERS in self._offered:
            extensions[TRAILERS] = {}
        if self._takes_pushes and settings.push_event and self.delivery.takes_pushes:
            extensions[PUSH] = {}
        tls = tls_extension(self._tls)
        if tls is not None:
            extensions[TLS] = tls
        return self._owner.shared_scope(self._scope, extensions)

    @property
    def request(self) -> TcpRequest:
        """The request, as planners and deliveries see it."""
        if self._request is None:
            self._outbox = Outbox(self._send)
            self._request = TcpRequest(
                self._scope,
                self._outbox,
                self._owner.server.settings,
                takes_pushes=self._takes_pushes,
                takes_interim=EARLY_HINT in self._offered,
            )
            self._request.final_status = self.status
        return self._request

    @property
    def delivery(self) -> PageDelivery:
        """Gives the client what goes with the response."""
        if self._delivery is None:
            self._delivery = PageDelivery(self.request, self._owner.delivery)
        return self._delivery

    async def run(self) -> None:
        """Run the application, and deal with its outcome."""
        outcome = ResponseOutcome.FAILED
        owner = self._owner
        counters, authorities = owner.server.counters, owner.server.authorities
        counters.requests += 1
        counters.requests_over_tcp += 1
        owner.under_way += 1
        try:
            if self._scope["method"] == "CONNECT":
                await self._answer(501)  # a 2xx would open a tunnel
            elif authorities is not None and self.request.head.authority not in authorities:
                await self._answer(421)
            else:
                await self._run()
            if not self._failed:
                outcome = (
                    ResponseOutcome.CANCELLED_BY_CLIENT
                    if self._gone and not self._complete
                    else ResponseOutcome.COMPLETE
                )
        except ClientGoneError:
            outcome = ResponseOutcome.CANCELLED_BY_CLIENT
        except Exception:
            counters.failed += 1
            raise
        finally:
            owner.under_way -= 1
            if self._delivery is not None:
                self._delivery.ended(failed=outcome is ResponseOutcome.FAILED)
            self._tls = None  # an application may leave what leads here in a circle
            if self._row is not None:
                self._write_row(outcome)

    async def _run(self) -> None:
        settings = self._owner.settings
        try:
            if settings.planners and not settings.whole_pages:
                self._carry_out_plans(early=True)
                if self._outbox is not None:
                    await self._outbox.flush()
            await self._owner.app(self._application_scope(), self.receive, self.send)
            if not self._complete and not self._gone:
                raise ApplicationError("the application returned before its response was complete")
        except StreamFailed as error:  # the connection ends with the response, so nothing short passes for whole
            logger.info("%r: %s", self.request, error)
            self._failed = True
        except SystemExit as error:
            # Left alone, it would end the event loop and with it everybody else's responses.
            ended = ApplicationError(f"the application called sys.exit({error.code!r})")
            ended.__cause__ = error
            await self._end_after(ended)
        except Exception as error:
            await self._end_after(error)

    async def _end_after(self, error: Exception) -> None:
        """Answer in the application's place where it has not begun to."""
        if not self._complete and (self._gone or self.status is not None):
            raise error  # the server beneath ends the response, so that nothing short passes for whole
        logger.error("%r: the handler failed", self.request, exc_info=error)
        self._owner.server.counters.failed += 1
        if not self._complete:
            self._failed = True
            await self._answer(500)

    def _carry_out_plans(self, *, early: bool) -> None:
        if self._scope["method"] != "GET":
            return
        plans = [plan for planner in self._owner.settings.planners if (plan := planner(self.request)) is not None]
        if early and plans:
            self.delivery.carry_out_early(*plans)
        elif not early:
            for plan in plans:
                self.delivery.carry_out(plan)

    async def _answer(self, status: int) -> None:
        await self.send({"type": START, "status": status, "headers": [(b"content-length", b"0")]})
        await self.send({"type": BODY})

    # the application's two callables

    async def receive(self) -> Message:
        """Hand on the next event of the client."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._gone = True
        return message

    async def send(self, message: Message) -> None:
        """Hand on an event of the application, or carry it out."""
        kind = message["type"]
        if kind not in _OF_THE_RESPONSE:
            await self._send_beside(kind, message)
            return
        if self._complete:
            return
        if kind == START:
            message = self._started(message)
        if self._outbox is None:
            await self._send(message)
        else:
            await self._outbox.send(message)
        if kind == BODY:
            if self._request is not None and self._scope["method"] != "HEAD":
                self._request.content_bytes += len(message.get("body", b""))
            self._complete = not message.get("more_body") and not self._trailers
        elif kind == TRAILERS:
            self._complete = not message.get("more_trailers")
        if self._complete and self._row is not None:
            self._write_row(ResponseOutcome.FAILED if self._failed else ResponseOutcome.COMPLETE)

    async def _send_beside(self, kind: str, message: Message) -> None:
        if kind == PUSH:
            events.deliver_push(self.delivery, message)
        elif kind == EARLY_HINT:
            events.deliver_early_hint(self.delivery, message)
        elif kind == INFORMATIONAL:
            events.deliver_informational(self.delivery, message)
        elif not self._complete:
            await self._send(message)  # the server beneath says that it knows none of this

    def _write_row(self, outcome: ResponseOutcome) -> None:
        row, self._row = self._row, None
        if row is not None:
            row.write(outcome)

    def _started(self, message: Message) -> Message:
        """The start of the response with the fields that we add; what goes with the page has been put before it."""
        status, fields, owner = int(message["status"]), own_fields(message.get("headers", ())), self._owner
        if status == 200 and owner.settings.whole_pages:
            self._carry_out_plans(early=False)
        named = dict(fields)
        if self._delivery is not None or (self._takes_pushes and b"link" in named):
            delivery = self.delivery
            events.deliver_response(delivery, status, fields)
            delivery.answered(status, fields)
            fields += delivery.link_fields(fields)
        self.status = status
        if self._request is not None:
            self._request.final_status = status
        self._trailers = bool(message.get("trailers"))
        if self._row is not None:
            self._row.began()
        date = owner.server.date()
        if date is not None and b"date" not in named:  # RFC 9110 section 6.6.1
            fields.append(date)
        if owner.server.is_shutting_down and self._scope["http_version"] in HTTP1 and b"connection" not in named:
            fields.append((b"connection", b"close"))  # the client's next request would find nobody
        alternative = owner.alt_svc()
        if alternative is not None and b"alt-svc" not in named:
            fields.append((b"alt-svc", alternative))
        return {**message, "headers": fields}


def _join_cookies(scope: Scope) -> None:
    """Make one Cookie field of several (RFC 9113 section 8.2.3): browsers split it over HTTP/2, and applications read one."""
    headers = scope["headers"]
    if [name for name, _ in headers].count(b"cookie") > 1:
        scope["headers"] = joined(headers)
