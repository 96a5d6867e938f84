"""One connection to one origin, kept open and replaced when it is dead.

Theory of operation. The pool opens a connection when a request needs one; here one is opened before that, and again whenever it
is gone, with growing waits. While it is open it is looked at each second. When nothing has come for a while a PING asks whether
the origin is there; when that brings nothing either, the connection is in doubt (`ClientSession.ask_for_life`), which takes it
out of use at once, and another one is opened, without a full handshake where the origin gave a ticket.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from h3push.client.connection import ClientConnection
from h3push.client.connections import Connections
from h3push.errors import H3PushError
from h3push.http.url import Origin
from h3push.relay.settings import RelaySettings

LOOK = 1.0
"""Seconds between two looks at a connection."""
LEAST_WAIT = 1.0
ROUND_TRIPS = 4
"""The time for an answer to a PING, in seconds and in round trips: the larger one counts."""


@dataclass(slots=True)
class Silence:
    """How long nothing has come, and whether the origin was asked."""

    received: float
    since: float
    asked_at: float | None = None


class Upkeep:
    """The connection to one origin.

    Args:
        connections: those of the relay.
        origin: where it leads.
        settings: how soon is asked and tried again.
    """

    def __init__(self, connections: Connections, origin: Origin, settings: RelaySettings) -> None:
        self.origin = origin
        """Where it leads."""
        self.opened = 0
        """Connections so far."""
        self.error = ""
        """Why there is none, in a sentence; empty while there is one."""
        self.connection: ClientConnection | None = None
        """The one that is open."""
        self._connections = connections
        self._settings = settings
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to open and to keep it."""
        self._task = asyncio.create_task(self._run(), name=f"h3push relay to {self.origin.authority}")

    async def stop(self) -> None:
        """Let it go."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        wait = self._settings.first_backoff
        while True:
            try:
                shared = await self._connections.get(self.origin, None)
            except (H3PushError, OSError) as error:
                self.error = str(error)
                await asyncio.sleep(wait)
                wait = min(wait * 2, self._settings.last_backoff)
                continue
            wait = self._settings.first_backoff
            self.error = ""
            if shared.connection is not self.connection:
                self.opened += 1
                self.connection = shared.connection
            await self._watch(shared.connection)
            self.connection = None
            await asyncio.sleep(0)

    async def _watch(self, connection: ClientConnection) -> None:
        """Stay with a connection until it takes no further requests."""
        loop = asyncio.get_running_loop()
        silence = Silence(connection.stats.get("received_bytes", 0), loop.time())
        while connection.is_usable:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK):
                    await connection.wait_closed()
            if connection.is_usable:
                self._look(connection, silence, loop.time())

    def _look(self, connection: ClientConnection, silence: Silence, now: float) -> None:
        session, stats = connection.session, connection.stats
        self._connections.ready(self.origin)  # used now, so it is not idle
        received = stats.get("received_bytes", 0)
        if received != silence.received:
            silence.received, silence.since, silence.asked_at = received, now, None
            return
        if silence.asked_at is None:
            patience = self._settings.quiet_seconds if session.wanted else self._settings.ping_seconds
            if now - silence.since >= patience:
                session.endpoint.driver.ping(session.handle)
                session.schedule_flush()
                silence.asked_at = now
        elif now - silence.asked_at >= max(LEAST_WAIT, ROUND_TRIPS * stats.get("rtt", 0)):
            session.ask_for_life()
