"""Fields as they pass the relay: what names the relay on one side names the origin on the other.

A browser that sees `http://localhost:8080` says so in Origin and Referer, and the origin would take its own page for a
stranger. The origin says its own name in Location and in the Domain of cookies, and the browser would leave the relay, or drop
the cookie. What binds a browser to the origin's own address (Alt-Svc, Strict-Transport-Security) says nothing about this
machine, and stays out. Content is passed as it is, so links in pages that begin with the origin's name lead past the relay.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from h3push.http.fields import Field, Fields
from h3push.proxy.forwarding import end_to_end

_OF_HERE = frozenset({b"host", b"expect"})
"""Answered by the relay itself."""
_OF_THE_ORIGIN = frozenset({b"alt-svc", b"strict-transport-security", b"push-report"})
_NAMING_RELAY = frozenset({b"origin", b"referer"})
_NAMING_ORIGIN = frozenset({b"location", b"content-location", b"access-control-allow-origin"})


@dataclass(frozen=True, slots=True)
class Translation:
    """The two names of one server."""

    here: bytes
    """As the program in front calls it: scheme and authority."""
    there: bytes
    """As it calls itself."""

    def request(self, fields: Iterable[Field], version: str) -> Fields:
        """The fields of a request as they go to the origin."""
        kept = []
        for name, value in end_to_end(fields):
            if name in _OF_HERE:
                continue
            kept.append((name, _renamed(value, self.here, self.there) if name in _NAMING_RELAY else value))
        return [*kept, (b"via", f"{version} h3push".encode("latin-1"))]

    def response(self, fields: Iterable[Field]) -> Fields:
        """The fields of a response as they go to the program."""
        passed: Fields = []
        for name, value in end_to_end(fields):
            if name in _OF_THE_ORIGIN:
                continue
            if name in _NAMING_ORIGIN:
                value = _renamed(value, self.there, self.here)
            elif name == b"set-cookie":
                value = _without_domain(value)
            passed.append((name, value))
        return [*passed, (b"via", b"3 h3push")]


def _renamed(value: bytes, before: bytes, after: bytes) -> bytes:
    """A URL of one server as a URL of the other; anything else as it is."""
    rest = value[len(before) :]
    if value[: len(before)].lower() == before.lower() and rest[:1] in {b"", b"/", b"?", b"#"}:
        return after + rest
    return value


def _without_domain(cookie: bytes) -> bytes:
    """A cookie of whatever host sets it (RFC 6265 section 5.2.3): the domain that the origin names is not this machine's."""
    first, *attributes = cookie.split(b";")
    kept = [one for one in attributes if one.partition(b"=")[0].strip().lower() != b"domain"]
    return b";".join([first, *kept])
