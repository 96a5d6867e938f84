"""One request through an application: the events that it may send, in which order, and those that it receives.

The events of an application and the states of its response are a table, `CYCLE`::

                 start            body            last body             trailers
    WAITING ───────────▶ STARTED ──┐ ◀─┐  ──────────────────▶ TRAILERS ──────────▶ DONE
        │                  │       └───┘      (or pathsend)       (only if start announced them)
        └── push, early    └── push
            hint, interim

Interim events and pushes never move the state, and never raise for their order: what comes too late is counted and dropped.
What comes after the end of the response is ignored, as ASGI has it. Anything else that has no row raises in the application,
with a sentence that says what was expected. The state moves once an event has taken effect, so that an event which fails, such
as the pathsend of a file that is not there, leaves the response as incomplete as it was.

A start waits for the content that follows in the same turn of the event loop (`ResponseWriter.hold`).

Back-pressure works both ways: `send` returns when the client has taken enough (`ServerSettings.send_high_water`), and content
that the application does not `receive` pauses the client (`receive_high_water`).
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any

from h3push.asgi import events
from h3push.asgi.scope import takes_trailers
from h3push.asgi.types import (
    EARLY_HINT,
    INFORMATIONAL,
    PATHSEND,
    PUSH,
    TRAILERS,
    ZEROCOPYSEND,
    ClientGoneError,
    Message,
)
from h3push.delivery.page import PageDelivery
from h3push.errors import LocalProtocolError, StreamFailed, Timeout
from h3push.http.content import FileContent
from h3push.http.fields import Field, Fields
from h3push.http.headers import declared_length
from h3push.server.request import Request

logger = logging.getLogger("h3push.server")


class CycleState(Enum):
    """Progress of the application's response."""

    WAITING = "waiting for http.response.start"
    """Nothing final has been sent."""
    STARTED = "waiting for http.response.body"
    """The header section has been sent, and perhaps some content."""
    TRAILERS = "waiting for http.response.trailers"
    """All content has been sent; the start announced trailers."""
    DONE = "complete"
    """Everything has been sent."""

    __hash__ = object.__hash__  # members are compared by identity; Enum's own hash is written in Python


class CycleInput(Enum):
    """An event of the application, as far as it moves the state of its response."""

    START = "start"
    """The final header section."""
    MORE = "more content"
    """Content, and more to come."""
    LAST = "last content"
    """The end of the content."""
    MORE_TRAILERS = "more trailers"
    """Trailer fields, and more to come."""
    LAST_TRAILERS = "last trailers"
    """The end of the trailers."""

    __hash__ = object.__hash__  # members are compared by identity; Enum's own hash is written in Python


_S, _I = CycleState, CycleInput

CYCLE: Mapping[tuple[CycleState, CycleInput], CycleState] = MappingProxyType(
    {
        (_S.WAITING, _I.START): _S.STARTED,
        (_S.STARTED, _I.MORE): _S.STARTED,
        (_S.STARTED, _I.LAST): _S.DONE,
        (_S.TRAILERS, _I.MORE_TRAILERS): _S.TRAILERS,
        (_S.TRAILERS, _I.LAST_TRAILERS): _S.DONE,
    }
)
"""(state, input) -> state. Where the start announced trailers, the last content leads to TRAILERS instead of DONE."""

BESIDE_THE_RESPONSE = frozenset({PUSH, EARLY_HINT, INFORMATIONAL})
"""Events that never move the state."""

_AFTER = dict(CYCLE)  # looked up for each event, which the view of it makes three times as dear
_START, _MORE, _LAST, _DONE = CycleInput.START, CycleInput.MORE, CycleInput.LAST, CycleState.DONE


class Cycle:
    """The application's `receive` and `send` for one request.

    Arguments:
        request: the request, sent by the client or promised by us.
        delivery: gives the client what goes with the response.
    """

    # Class attributes are the defaults, so that a request that needs none of this pays for none of it.
    request_failure: Exception | None = None
    """Why the request's content did not arrive, when it did not."""
    _told_end: bool = False
    _announces_trailers: bool = False
    _trailers: tuple[Field, ...] = ()
    _watch: asyncio.Task[None] | None = None

    def __init__(self, request: Request, delivery: PageDelivery) -> None:
        self._request = request
        self._writer = request.writer
        self._delivery = delivery
        self._fields: Fields = []
        self.state = CycleState.WAITING
        """Progress of the response."""

    # to the application

    async def receive(self) -> Message:
        """Give the next piece of the request; after the last one, wait for the end of the client's interest."""
        if self.state is _DONE or self._request.disconnected or self.request_failure is not None:
            return {"type": "http.disconnect"}
        if not self._told_end:
            return await self._receive_content()
        if self._watch is None:
            self._watch = asyncio.ensure_future(self._request.wait_disconnected())
        await asyncio.wait({self._watch})
        return {"type": "http.disconnect"}

    async def _receive_content(self) -> Message:
        chunk = b""
        content = self._request.content
        if content is not None:
            try:
                chunk = await content.next_chunk()
            except (StreamFailed, Timeout) as error:
                self.request_failure = error
                return {"type": "http.disconnect"}
        self._told_end = content is None or content.complete
        return {"type": "http.request", "body": chunk, "more_body": not self._told_end}

    def finish(self) -> None:
        """End the cycle when the application has returned: send a start without content, and wake whoever waits in `receive`."""
        self._writer.send_held()
        if self._watch is not None:
            self._watch.cancel()

    # from the application

    async def send(self, message: Message) -> None:
        """Take an event. `ClientGoneError` when nobody wants the response any more, `RuntimeError` for one out of order."""
        kind = message["type"]
        action = _ACTIONS.get(kind)
        if action is None:
            known = ", ".join(_ACTIONS)
            raise RuntimeError(f"{kind!r} is no event of an HTTP response; known: {known}")
        if self.state is _DONE and kind not in BESIDE_THE_RESPONSE:
            return
        if self._request.disconnected:
            raise ClientGoneError("the client does not want this response any more")
        waiting = action(self, message)
        if waiting is not None:
            await waiting

    def _after(self, happened: CycleInput, event: str) -> CycleState:
        """The state that an event leads to. `RuntimeError` when it may not come now."""
        after = _AFTER.get((self.state, happened))
        if after is None:
            raise RuntimeError(f"{event} does not fit here: the response is {self.state.value}")
        return CycleState.TRAILERS if happened is _LAST and self._announces_trailers else after

    # One method for each event. Most take effect at once; `send` waits for the awaitable that one returns.

    def _start(self, message: Message) -> Awaitable[None] | None:
        status, fields = int(message["status"]), own_fields(message.get("headers", ()))
        after = self._after(_START, "http.response.start")
        self._fields = fields
        self._announces_trailers = bool(message.get("trailers"))
        events.deliver_response(self._delivery, status, fields)
        self._delivery.answered(status, fields)
        added = self._delivery.link_fields(fields)
        waiting = None
        if added:
            waiting = self._begin_with_links(status, fields, added)
        else:
            self._writer.hold(status, fields)
        self.state = after
        return waiting

    def _body(self, message: Message) -> Awaitable[None] | None:
        more = message.get("more_body")
        after = self._after(_MORE if more else _LAST, "http.response.body")
        body = message.get("body", b"")
        if after is not _DONE:
            self.state = after
            return self._send_more(body) if body else None
        if self._delivery.waits_for_credit:
            return self._send_and_wait(body)
        self._writer.write(body if type(body) is bytes else bytes(body), True)
        self.state = after
        return None

    def _pathsend(self, message: Message) -> Awaitable[None] | None:
        after = self._after(_LAST, PATHSEND)
        # Content-Length bytes of it are sent, even if it has grown meanwhile.
        return self._send_file(FileContent(message["path"], 0, declared_length(self._fields)), after)

    def _zerocopysend(self, message: Message) -> Awaitable[None] | None:
        more = message.get("more_body")
        after = self._after(_MORE if more else _LAST, ZEROCOPYSEND)
        file, offset = message["file"], message.get("offset")
        descriptor = file if isinstance(file, int) else file.fileno()
        if offset is None:
            return self._send_from_position(descriptor, message.get("count"), after)
        return self._send_file(FileContent(f"/dev/fd/{descriptor}", offset, message.get("count")), after)

    def _trailer_fields(self, message: Message) -> Awaitable[None] | None:
        more = message.get("more_trailers")
        after = self._after(CycleInput.MORE_TRAILERS if more else CycleInput.LAST_TRAILERS, TRAILERS)
        self._trailers = (*self._trailers, *own_fields(message.get("headers", ())))
        if not more:
            if self._trailers and takes_trailers(self._request.head.fields):
                self._writer.write_trailers(list(self._trailers))
            else:
                self._writer.write(b"", True)
        self.state = after
        return None

    def _push(self, message: Message) -> None:
        events.deliver_push(self._delivery, message)

    def _early_hint(self, message: Message) -> None:
        events.deliver_early_hint(self._delivery, message)

    def _informational(self, message: Message) -> None:
        events.deliver_informational(self._delivery, message)

    # sending

    async def _begin_with_links(self, status: int, fields: Fields, added: Fields) -> None:
        try:
            await self._request.start_response(status, fields + added)
        except LocalProtocolError:
            logger.debug("%r: no room for Link fields beside the application's own", self._request)
            await self._request.start_response(status, fields)

    async def _send_more(self, data: Any) -> None:
        try:
            await self._request.send(bytes(data))
        except (Timeout, StreamFailed) as error:
            raise ClientGoneError(str(error)) from error

    async def _send_and_wait(self, data: Any) -> None:
        """Send the last content, but hold the response open for promises."""
        await self._send_more(data)
        self.state = CycleState.DONE
        await self._wait_and_end()

    async def _wait_and_end(self) -> None:
        await self._delivery.wait_for_credit()
        self._writer.write(b"", True)

    async def _send_file(self, content: FileContent, after: CycleState) -> None:
        """Have the transport send a part of a file, which it opens now, and the end of the response behind the last part."""
        end = after is _DONE
        hold = end and self._delivery.waits_for_credit
        await self._request.send_file(content.path, content.offset, content.length, end_stream=end and not hold)
        self.state = after
        if hold:
            await self._wait_and_end()

    async def _send_from_position(self, descriptor: int, count: int | None, after: CycleState) -> None:
        """Send from the file's own position, and move that on, as `os.sendfile` does without an offset."""
        path, offset = f"/dev/fd/{descriptor}", os.lseek(descriptor, 0, os.SEEK_CUR)
        size = FileContent(path, offset, count).size()
        await self._send_file(FileContent(path, offset, size), after)
        os.lseek(descriptor, offset + size, os.SEEK_SET)

    @staticmethod
    def actions() -> dict[str, Callable[["Cycle", Message], Awaitable[None] | None]]:
        """By type of an event, what deals with it; as a table in the body of the class, it would not compile."""
        return {
            "http.response.start": Cycle._start,
            "http.response.body": Cycle._body,
            PATHSEND: Cycle._pathsend,
            ZEROCOPYSEND: Cycle._zerocopysend,
            TRAILERS: Cycle._trailer_fields,
            PUSH: Cycle._push,
            EARLY_HINT: Cycle._early_hint,
            INFORMATIONAL: Cycle._informational,
        }


_ACTIONS = Cycle.actions()


def own_fields(headers: Iterable[Iterable[Any]]) -> list[Field]:
    """Copy an application's header fields, with names in lower case."""
    return [
        (name.lower(), value) if type(name) is bytes and type(value) is bytes else (bytes(name).lower(), bytes(value))
        for name, value in headers
    ]
