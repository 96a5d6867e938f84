"""A server, as its connections see it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from h3push.http.fields import Field
from h3push.http.url import Authorities
from h3push.runtime.inbox import UnreadBudget
from h3push.runtime.settings import ServerSettings
from h3push.server.access_log import AccessLog
from h3push.server.counters import ServerCounters
from h3push.server.identities import Identities
from h3push.server.runner import Handler
from h3push.server.tls import CertificateRefusals


class ConnectionOwner(Protocol):
    """The server, as its connections see it."""

    handler: Handler
    settings: ServerSettings
    counters: ServerCounters
    access_log: AccessLog | None
    authorities: Authorities | None
    refusals: CertificateRefusals
    identities: Identities | None
    is_shutting_down: bool
    unread: UnreadBudget
    date: Callable[[], Field | None]
    tasks: "set[asyncio.Task[None]]"

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Make a task of a handler. Whoever keeps it in `tasks` takes it out when it ends."""

    def forget(self, connection: Any) -> None:
        """A connection is over."""

    def note_end(self) -> None:
        """Something ended on a connection: a graceful shutdown looks again."""
