"""Hints for one response: collected for one turn of the event loop, sent as one 103, repeated in the final response.

One 103, because Chromium acts on the first 103 of a response only. Repeated, because a client may ignore interim responses
(RFC 8297 section 2).
"""

import asyncio
from collections.abc import Iterable, Iterator

from h3push.delivery.counters import DeliveryCounters
from h3push.delivery.decision import Way
from h3push.errors import LocalProtocolError
from h3push.http.fields import Field, Fields
from h3push.http.links import FieldInjectionError, parse_links
from h3push.plans.links import link_value
from h3push.plans.plan import PlannedResource
from h3push.server.request import Request

EARLY_HINTS = 103
"""The status that names what a client will need (RFC 8297)."""
MAX_EARLY_HINTS = 16
"""103 responses for one request; clients bound what they take. What comes later goes into the Link field."""

MAX_REPEATED_LINKS = 4_096
"""Bytes of Link fields that are added to a final response; what is beyond has been hinted at once, and that is enough."""


class PageHints:
    """The hints of one response.

    Arguments:
        request: the page's request.
        counters: where values that cannot be sent are counted.
    """

    __slots__ = ("_counters", "_pending", "_repeat", "_request", "_sent")

    def __init__(self, request: Request, counters: DeliveryCounters) -> None:
        self._request = request
        self._counters = counters
        self._pending: list[str] = []
        self._repeat: dict[str, str] = {}
        self._sent = 0

    @property
    def exhausted(self) -> bool:
        """True when the client was sent as many 103 responses as it may be."""
        return self._sent >= MAX_EARLY_HINTS

    def add(self, resource: PlannedResource, way: Way) -> bool:
        """Tell of a resource in a 103, or in the final response alone. False when its link cannot be sent."""
        try:
            text = link_value(resource)
        except FieldInjectionError:
            self._counters.fields_refused += 1
            return False
        self._repeat.setdefault(resource.path, text)
        if way is Way.EARLY_HINT:
            self.add_texts([text])
        return True

    def add_texts(self, texts: Iterable[str]) -> None:
        """Send Link values with the next 103."""
        if not self._pending:
            asyncio.get_running_loop().call_soon(self.flush)
        self._pending += texts

    def flush(self) -> None:
        """Send what was collected as one 103, unless the final response has begun."""
        pending, self._pending = self._pending, []
        if not pending or self._request.status is not None:
            return
        self._sent += 1
        self.send_interim(EARLY_HINTS, [(b"link", text.encode("latin-1")) for text in dict.fromkeys(pending)])

    def send_interim(self, status: int, fields: Fields) -> None:
        """Send an interim response; one that the client cannot take, or with a field that cannot be sent, is counted instead."""
        try:
            self._request.send_interim(status, fields)
        except LocalProtocolError:
            self._counters.fields_refused += 1
        else:
            self._counters.early_hints += status == EARLY_HINTS

    def link_fields(self, fields: Iterable[Field]) -> Fields:
        """The Link fields to add to the final response: what was hinted at, unless `fields` name it."""
        if not self._repeat:
            return []
        named = set(_link_targets(fields))
        added: Fields = []
        room = MAX_REPEATED_LINKS
        for path, text in self._repeat.items():
            room -= len(text)
            if path not in named and room >= 0:
                added.append((b"link", text.encode("latin-1")))
        return added


def _link_targets(fields: Iterable[Field]) -> Iterator[str]:
    """The targets of a response's Link fields, as written."""
    for name, value in fields:
        if name == b"link":
            try:
                yield from (link.target for link in parse_links(value))
            except FieldInjectionError:
                continue
