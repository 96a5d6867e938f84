"""Starts of responses that wait for their content, so that both go out in one write.

Most applications send `http.response.start` and all of the content in one go; written together they cost half. ASGI has a server
keep the start until the first body event. Here it waits no longer than for the turn of the event loop: when the application turns
to something else that takes time, its header section is sent meanwhile.

Only a start like one that went out before waits. Nothing can be wrong with it, so whatever is wrong with a start is still raised
by the `send` that it belongs to.
"""

import asyncio
import logging
from typing import TYPE_CHECKING

from h3push.h3.known import MAX_SIZE, Memory
from h3push.http.fields import Fields
from h3push.server.connection import ServerConnection

if TYPE_CHECKING:
    from h3push.asgi.cycle import Cycle


logger = logging.getLogger("h3push.server")


class HeldStarts:
    """The starts that wait now, and what is known of those that went out, over all connections."""

    def __init__(self) -> None:
        self._sent = Memory[tuple[object, ...], Fields]()
        self._cycles: dict[Cycle, None] = {}
        self._will_look = False

    def known(self, status: int, fields: Fields) -> Fields | None:
        """The same fields, when a start like this one is known to have gone out; `None` when not."""
        return self._sent.get((status, *fields))

    def remember(self, status: int, fields: Fields) -> None:
        """A start went out, and nothing was wrong with it."""
        self._sent.remember((status, *fields), fields, fields)

    def hold(self, cycle: "Cycle") -> None:
        """See that the start of `cycle` goes out when this turn is over."""
        self._cycles[cycle] = None
        if not self._will_look:
            self._will_look = True
            asyncio.get_running_loop().call_soon(self._turn_ended)

    def release(self, cycle: "Cycle") -> None:
        """The start of `cycle` goes out."""
        self._cycles.pop(cycle, None)

    def _turn_ended(self) -> None:
        self._will_look = False
        cycles, self._cycles = self._cycles, {}
        for cycle in cycles:
            try:
                cycle.stop_waiting()
            except Exception:  # the starts behind it are other requests'
                logger.exception("a start could not be sent")


def takes_all_known(connection: ServerConnection) -> bool:
    """True when no start that is remembered is too large for the client."""
    settings = connection.core.peer_settings
    limit = None if settings is None else settings.max_field_section_size
    return limit is None or limit >= 2 * MAX_SIZE  # which leaves room for :status and Date
