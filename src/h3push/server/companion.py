"""A listener beside HTTP/3: the same application over TCP, on the same port number, for clients that know no other way yet."""

from collections.abc import Mapping
from typing import Protocol

from h3push.server.identities import Identities
from h3push.server.tls import TrustedClients


class Companion(Protocol):
    """It lives as long as the server that it is given to: bound with it, started with it, shut down with it."""

    def bind(self, address: tuple[str, int]) -> None:
        """Take an address at the port that UDP has there. One of another port is from an attempt that failed: let it go.

        Raises:
            OSError: the address cannot be taken.
        """

    async def start(self) -> None:
        """Begin to accept."""

    async def shutdown(self, grace: float | None) -> None:
        """Accept nothing more, let what is under way finish for `grace` seconds, then end it. Cancelled, end it at once."""

    def release(self) -> None:
        """Let every address go; harmless when that is done already."""

    def load_certificates(self, identities: Identities, clients: TrustedClients | None) -> None:
        """Use others for connections that begin from now on. `ValueError` with a sentence when they cannot be used."""

    def connections(self) -> Mapping[str, int]:
        """Connections that are open, by their version of HTTP ("1.1", "2"). Any thread may ask."""

    @property
    def responses_under_way(self) -> int:
        """Responses that are not complete."""
