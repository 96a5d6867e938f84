"""The lifespan protocol (ASGI lifespan 2.0): the application starts before the first request and stops after the last.

Its life, with the events that lead from one state to the next::

    NOT_STARTED ──startup──▶ STARTING ──complete──▶ RUNNING ──shutdown──▶ STOPPING ──complete──▶ STOPPED
                               │ │                                          │
                               │ └── failed, or no answer in time           └── failed, or no answer in time:
                               │     ──▶ LifespanFailedError, STOPPED           logged ──▶ STOPPED
                               └── raises, or returns ──▶ UNSUPPORTED: go on without lifespan, as ASGI wants
"""

import asyncio
import logging
from enum import Enum
from typing import Any

from h3push.asgi.types import LIFESPAN_SPEC, ASGIApplication, Message

logger = logging.getLogger("h3push.server")


CANCEL_TIMEOUT = 1.0
"""Seconds that a cancelled lifespan has to clean up."""


class LifespanFailedError(RuntimeError):
    """The application said that it could not start; the message is its own."""


class LifespanState(Enum):
    """How far the application's life has come."""

    NOT_STARTED = "not started"
    """It has not been asked to start."""
    STARTING = "starting"
    """It was asked to start and has not answered."""
    RUNNING = "running"
    """It has started."""
    UNSUPPORTED = "without lifespan"
    """It raised instead of answering: most applications without lifespan do."""
    STOPPING = "stopping"
    """It was asked to stop and has not answered."""
    STOPPED = "stopped"
    """It is over."""


class Lifespan:
    """One application's life.

    Arguments:
        app: the application.
        timeout: seconds for it to start, and to stop.
        required: an application that takes no lifespan events has failed to start.
    """

    def __init__(self, app: ASGIApplication, *, timeout: float = 60.0, required: bool = False) -> None:
        self.state: dict[str, Any] = {}
        """The application's `scope["state"]`; each request gets a shallow copy."""
        self.stage = LifespanState.NOT_STARTED
        """How far it has come."""
        self._app = app
        self._timeout = timeout
        self._required = required
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._answered = asyncio.Event()
        self._failure: str | None = None
        self._task: asyncio.Task[None] | None = None

    async def startup(self) -> None:
        """Start the application. `LifespanFailedError` when it says that it cannot, or does not answer in time."""
        self.stage = LifespanState.STARTING
        self._task = asyncio.create_task(self._run(), name="h3push lifespan")
        started = False
        try:
            failure = await self._ask({"type": "lifespan.startup"}, "start")
            if failure is not None:
                raise LifespanFailedError(failure or "the application failed to start")
            if self._required and self.stage is LifespanState.UNSUPPORTED:
                raise LifespanFailedError("it takes no lifespan events, which are required")
            started = True
        finally:
            if not started:
                await self._end_task()

    async def shutdown(self) -> None:
        """Stop the application. Failures are logged: the server stops in any case."""
        try:
            if self.stage is LifespanState.RUNNING and not self._has_ended():
                self.stage = LifespanState.STOPPING
                failure = await self._ask({"type": "lifespan.shutdown"}, "stop")
                if failure is not None:
                    logger.error("the application failed to stop: %s", failure)
        except LifespanFailedError as error:
            logger.error("%s", error)
        finally:
            await self._end_task()

    async def abandon(self) -> None:
        """Stop without asking the application: it has no time left."""
        await self._end_task()

    def _has_ended(self) -> bool:
        """True when the application left its lifespan already, so that nobody would answer."""
        return self._task is not None and self._task.done()

    async def _end_task(self) -> None:
        """Cancel the application's task, and wait a moment for it: one that ignores its cancellation must not hold us up."""
        self.stage = LifespanState.STOPPED
        task = self._task
        if task is None:
            return
        task.cancel()
        await asyncio.wait({task}, timeout=CANCEL_TIMEOUT)
        if not task.done():
            logger.error("the application's lifespan does not end, although it was cancelled")

    async def _ask(self, message: Message, what: str) -> str | None:
        """Send the application an event and wait for its answer: a failure, or `None`."""
        self._answered.clear()
        self._failure = None
        self._inbox.put_nowait(message)
        try:
            async with asyncio.timeout(self._timeout):
                await self._answered.wait()
        except TimeoutError:
            raise LifespanFailedError(f"the application did not {what} within {self._timeout:g} s") from None
        return self._failure

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": dict(LIFESPAN_SPEC), "state": self.state}
        try:
            await self._app(scope, self._inbox.get, self._send)
        except SystemExit as error:
            # Left alone, it would end the event loop and with it every response that is under way.
            self._failure = f"the application called sys.exit({error.code!r})"
            logger.error("%s", self._failure)
        except Exception as error:
            self._raised(error)
        else:
            if self.stage is LifespanState.STARTING:
                self.stage = LifespanState.UNSUPPORTED
        finally:
            self._answered.set()

    def _raised(self, error: Exception) -> None:
        if self.stage is LifespanState.STARTING and self._failure is None:
            self.stage = LifespanState.UNSUPPORTED
            if self._required:
                logger.error("the application's lifespan raised", exc_info=error)
                return
            logger.info("the application takes no lifespan events (%s: %s)", type(error).__name__, error)
        elif self.stage is LifespanState.STOPPING:
            self._failure = f"{type(error).__name__}: {error}"
        elif self._failure is None:
            logger.error("the application's lifespan ended early", exc_info=error)

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "lifespan.startup.complete":
            self.stage = LifespanState.RUNNING
        elif kind == "lifespan.shutdown.complete":
            self.stage = LifespanState.STOPPED
        elif kind in {"lifespan.startup.failed", "lifespan.shutdown.failed"}:
            self._failure = str(message.get("message", ""))
        else:
            raise RuntimeError(f"{kind!r} is no answer to a lifespan event")
        self._answered.set()
