"""Calls the handler of a server for each request and each push, and deals with the outcome.

A plain handler is answered inside the call that told of its request: no task, no timer, no future. Only what has to wait gets a
task. `running` counts handlers, not streams: a stream that the client resets is gone at once, its handler may not be, and what is
bounded is the work (CVE-2023-44487).

A task that ends has no callbacks, each of which would be a turn of the loop of its own: its last step does what they would.
One that is cancelled before its first step takes none, so until then it has a callback.

The failure of a handler never leaves its stream: it becomes a status while nothing has gone out, a reset after that.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

from h3push.errors import (
    ConnectFailed,
    ConnectionClosed,
    ErrorCode,
    H3PushError,
    LocalProtocolError,
    StreamFailed,
    Timeout,
)
from h3push.runtime.descriptors import is_out_of_descriptors
from h3push.runtime.inbox import ContentTooLarge
from h3push.server.counters import ServerCounters
from h3push.server.request import Request
from h3push.server.response import Response

Handler = Callable[[Request], Response | Awaitable[Response | None] | None]
"""Called by a server for every request and every push. `None`: the handler has sent the response itself."""

Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]
"""Runs a coroutine as a task."""

logger = logging.getLogger("h3push.server")


class HandlerRunner:
    """Runs the handler for the requests of one connection.

    Args:
        handler: what answers.
        spawn: makes a task of a handler that waits.
        tasks: those that run, over all connections.
        counters: those of the server.
        on_wait: called when a handler has to wait, before its request is over.
        on_over: called when a handler is done and its response sent, reset or given up.
    """

    def __init__(
        self,
        handler: Handler,
        spawn: Spawn,
        tasks: "set[asyncio.Task[None]]",
        counters: ServerCounters,
        on_wait: Callable[[Request], None],
        on_over: Callable[[Request], None],
    ) -> None:
        self.running = 0
        """Handlers of requests that run now, those of pushes apart."""
        self._handler = handler
        self._spawn = spawn
        self._tasks = tasks
        self._counters = counters
        self._on_wait = on_wait
        self._on_over = on_over

    def run(self, request: Request, given: Response | None = None) -> None:
        """Call the handler, unless a response is `given`; answer at once where that is possible."""
        try:
            result = self._handler(request) if given is None else given
            if isinstance(result, Response):
                if request.writer.respond_now(result):
                    if request.content is not None:  # else nothing is left to be cleared up
                        self._on_over(request)
                    return
                result = request.respond(result)
            elif result is None:
                _complete(request)
                if request.content is not None:
                    self._on_over(request)
                return
            elif not hasattr(result, "__await__"):  # isinstance(result, Awaitable) asks the same, and is slow
                raise TypeError(f"a handler returns a Response, None or an awaitable of these, not {result!r}")
        except Exception as error:
            self._fail(request, error)
            self._on_over(request)
            return
        self._run_as_task(request, result)

    def _run_as_task(self, request: Request, result: Awaitable[Response | None]) -> None:
        if request.fulfils is None:
            self.running += 1
        task = request.task = self._spawn(self._run_task(request, result))
        if not task.done():
            self._tasks.add(task)
            if not request.task_began:
                never_began = request.never_began = partial(self._never_began, request, result)
                task.add_done_callback(never_began)
            self._on_wait(request)

    def _never_began(self, request: Request, result: Awaitable[Response | None], _task: object) -> None:
        """A handler's task was cancelled before its first step: it has run nothing, not even its clean-up."""
        request.never_began = None
        if isinstance(result, Coroutine):
            result.close()
        request.writer.reset(ErrorCode.H3_REQUEST_CANCELLED)
        self._finish(request)

    async def _run_task(self, request: Request, result: Awaitable[Response | None]) -> None:
        request.task_began = True
        if request.never_began is not None and request.task is not None:
            request.task.remove_done_callback(request.never_began)
            request.never_began = None
        try:
            response = await result
            if response is not None:
                await request.respond(response)
            _complete(request)
        except Exception as error:
            self._fail(request, error)
        finally:
            request.writer.reset(ErrorCode.H3_REQUEST_CANCELLED)
            self._finish(request)

    def _finish(self, request: Request) -> None:
        """A handler's task is done."""
        if request.task is not None:
            self._tasks.discard(request.task)
        if request.fulfils is None:
            self.running -= 1
        self._on_over(request)

    def _fail(self, request: Request, error: Exception) -> None:
        """Answer for a handler that raised."""
        if request.disconnected or (isinstance(error, ConnectionClosed) and request.connection.core.is_closed):
            logger.debug("%r: %s, after the client had gone", request, error)
            return
        if request.response_ended and request.sends_for_nobody:
            logger.debug("%r: %s, after all of the response was sent", request, error)
            return
        self._counters.failed += 1
        status = status_of(error, own=request.content is not None and error is request.content.failure)
        request.writer.failed = status >= 500
        if isinstance(error, LocalProtocolError):
            logger.error("%r: %s", request, error)
        elif status == 500:
            logger.error("%r: the handler failed", request, exc_info=error)
        else:
            logger.info("%r: %s", request, error)
        if request.fulfils is None and request.status is None:
            try:
                request.writer.respond_now(Response(status))
            except H3PushError as too_late:
                logger.debug("%r: no %d either: %s", request, status, too_late)
            else:
                return
        request.writer.reset(ErrorCode.H3_INTERNAL_ERROR)


def _complete(request: Request) -> None:
    """End the response of a handler that returned without a `Response`: it has sent one itself, or it should have."""
    if request.response_ended:
        return
    if request.status is None:
        raise LocalProtocolError("the handler returned None and has sent no response: return a Response")
    request.writer.write(b"", True)


def status_of(error: Exception, *, own: bool) -> int:
    """The status that tells a client of a failure, while no response has begun.

    `own`: the request's content could not be read, which is the client's doing. The same errors from elsewhere are those of a
    server behind the handler.
    """
    if isinstance(error, ContentTooLarge):
        return 413 if own else 502
    if isinstance(error, Timeout):
        return 408 if own else 504
    if isinstance(error, StreamFailed | ConnectionClosed | ConnectFailed):
        return 400 if own else 502
    if is_out_of_descriptors(error):
        return 503
    return 500
