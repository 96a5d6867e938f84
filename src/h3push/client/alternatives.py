"""Where an origin speaks HTTP/3: what Alt-Svc said (RFC 7838), and where nothing answered.

Without a word from the origin, HTTP/3 is tried at its own host and port. A place where nothing answered is left alone for a
while, and Alt-Svc that names the same place again does not change that: a network without UDP has servers that offer HTTP/3 all
day.
"""

import re
from collections import OrderedDict
from dataclasses import dataclass

from h3push.errors import ConnectFailure
from h3push.http.url import Origin

ANOTHER_WAY = frozenset({ConnectFailure.REFUSED, ConnectFailure.TIMEOUT, ConnectFailure.PROTOCOL})
"""Failures that say that HTTP/3 is not there; the others would be the same for HTTP/1.1."""

DEFAULT_MAX_AGE = 86_400
"""Seconds that an alternative is good for when it does not say (RFC 7838 section 3.1)."""
_ENTRY = re.compile(r"""\s*([^\s=;,]+)="((?:[^"\\]|\\.)*)"((?:\s*;\s*[^\s=;,]+=(?:"[^"]*"|[^\s;,]*))*)\s*(?:,|$)""")
_MAX_AGE = re.compile(r';\s*ma=(?:"?)(\d{1,10})', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Alternative:
    """Host and port of an alternative service."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Offer:
    """The first HTTP/3 service of an Alt-Svc field."""

    place: Alternative
    seconds: int
    """How long it may be used."""


def parse(value: str, origin: Origin) -> Offer | None:
    """The first offer of HTTP/3 in an Alt-Svc field; `None` when there is none, or the field is `clear` or malformed."""
    at = 0
    while match := _ENTRY.match(value, at):
        at = match.end()
        protocol, authority, parameters = match.groups()
        if protocol != "h3":
            continue
        host, colon, port = authority.rpartition(":")
        if not colon or not port.isascii() or not port.isdigit() or not 0 < int(port[:6]) < 65_536:
            return None
        age = _MAX_AGE.search(parameters)
        host = host.strip("[]").lower() or origin.host
        return Offer(Alternative(host, int(port)), DEFAULT_MAX_AGE if age is None else int(age[1]))
    return None


class Alternatives:
    """Where HTTP/3 is known to answer, origin by origin.

    Args:
        most: origins that are remembered; the oldest is forgotten first.
        retry_after: a place where nothing answered is tried again after so many seconds.
    """

    def __init__(self, most: int, retry_after: float) -> None:
        self._most = most
        self._retry_after = retry_after
        self._offered: OrderedDict[Origin, tuple[Alternative, float]] = OrderedDict()
        self._silent: OrderedDict[Alternative, float] = OrderedDict()

    def of(self, origin: Origin, now: float) -> Alternative:
        """Where to try HTTP/3."""
        offered = self._offered.get(origin)
        if offered is not None and now < offered[1]:
            return offered[0]
        return Alternative(origin.host, origin.port)

    def may_be_tried(self, origin: Origin, now: float) -> bool:
        """False where nothing answered a while ago."""
        silent_until = self._silent.get(self.of(origin, now))
        return silent_until is None or now >= silent_until

    def seen(self, origin: Origin, value: str, now: float) -> None:
        """An Alt-Svc field came from the origin itself, over TLS. It replaces the one before (RFC 7838 section 3)."""
        self._offered.pop(origin, None)
        offer = parse(value, origin)
        if offer is not None and offer.seconds:
            self._offered[origin] = offer.place, now + offer.seconds
            if len(self._offered) > self._most:
                self._offered.popitem(last=False)

    def silent(self, origin: Origin, now: float) -> None:
        """Nothing answered where `of` had pointed."""
        place = self.of(origin, now)
        self._silent.pop(place, None)
        self._silent[place] = now + self._retry_after
        if len(self._silent) > self._most:
            self._silent.popitem(last=False)

    def answered(self, origin: Origin, now: float) -> None:
        """It did answer."""
        self._silent.pop(self.of(origin, now), None)
