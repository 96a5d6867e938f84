"""Sockets without a worker: what arrives there is for connections that nobody has, and their clients are told so.

A stateless reset (RFC 9000 section 10.3) ends such a connection at its client's next packet, instead of at its idle time-out. New
clients get no answer: the kernel's program sends them elsewhere, and what had already arrived they send again.
"""

import selectors
from collections.abc import Mapping, Sequence
from functools import partial

from h3push import _quic
from h3push.server.place import Address, Secrets
from h3push.server.shared_port import SteeredSockets


class VacantSockets:
    """Reads the sockets that no worker reads, with the keys that all workers share."""

    def __init__(
        self,
        groups: Sequence[SteeredSockets],
        count: int,
        secrets: Secrets,
        tls: _quic.ServerTls,
        selector: selectors.BaseSelector,
    ) -> None:
        self._groups = groups
        self._count = count
        self._secrets = secrets
        self._tls = tls
        self._transport = _quic.Transport(ask_incoming=True)
        self._selector = selector
        self._endpoints: dict[int, list[_quic.Endpoint]] = {}

    def take(self, number: int) -> None:
        """Read the sockets of a number, which lost its worker; harmless when they are read already."""
        if number in self._endpoints:
            return
        self._endpoints[number] = [self._endpoint(group, number) for group in self._groups]

    def tell_orphans(self, number: int, rosters: Mapping[Address, int]) -> None:
        """Reset the connections that the last worker of a number left behind."""
        for group, endpoint in zip(self._groups, self._endpoints[number], strict=True):
            if endpoint.tell_orphans(rosters[group.address]):
                endpoint.flush()

    def give(self, number: int) -> None:
        """Leave them to a worker."""
        for endpoint in self._endpoints.pop(number, ()):
            self._selector.unregister(endpoint.fileno())
            endpoint.shutdown()

    def forget(self) -> None:
        """Drop everything in a forked copy, which may not read: the descriptors are closed, and nothing is sent."""
        self._endpoints.clear()

    def _endpoint(self, group: SteeredSockets, number: int) -> _quic.Endpoint:
        endpoint = _quic.Endpoint.bind(
            group.address,
            server=self._tls,
            transport=self._transport,
            fd=group.duplicate(number),
            worker=(number, self._count),
            reset_key=self._secrets.reset_key,
            token_key=self._secrets.token_key,
        )
        self._selector.register(endpoint.fileno(), selectors.EVENT_READ, partial(self._answer, endpoint))
        return endpoint

    def _answer(self, endpoint: _quic.Endpoint) -> None:
        for event in endpoint.recv():
            if event[0] == _quic.INCOMING:
                knock = event[1]
                assert isinstance(knock, int)
                endpoint.ignore(knock)
        endpoint.flush()
