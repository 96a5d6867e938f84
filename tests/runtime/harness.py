"""A server and a client of ours on a virtual network: deterministic, and an hour takes no time."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import h3push
from h3push.testing.identity import make_identity
from h3push.testing.link import LinkSettings
from h3push.testing.network import VirtualDriver, VirtualNetwork
from h3push.testing.virtual import run_virtual

T = TypeVar("T")

IDENTITY = make_identity(["origin.example", "localhost", "127.0.0.1"], seed=0)
"""A certificate for the names that tests use."""

ROUND_TRIP = 0.1
"""Seconds of the virtual network's round trip."""


def server_tls() -> h3push.ServerTls:
    return h3push.ServerTls([(IDENTITY.certificate, IDENTITY.key)])


def client_tls() -> h3push.ClientTls:
    return h3push.ClientTls(trust=IDENTITY.authority)


@dataclass
class World:
    """What a scenario may look at."""

    server: h3push.Server
    client: h3push.Client
    network: VirtualNetwork
    client_driver: VirtualDriver
    server_driver: VirtualDriver


def in_world(
    handler: h3push.Handler,
    scenario: Callable[[World], Awaitable[T]],
    *,
    max_pushes: int | None = None,
    server_settings: h3push.ServerSettings | None = None,
    client_settings: h3push.ClientSettings | None = None,
    server_config: h3push.H3Config | None = None,
    link: LinkSettings | None = None,
) -> T:
    """Run `scenario` with a client that is connected to a server with `handler`."""
    server_settings = server_settings or h3push.ServerSettings()
    client_settings = client_settings or h3push.ClientSettings()
    link = link or LinkSettings(delay=ROUND_TRIP / 2)

    async def main() -> T:
        network = VirtualNetwork(seed=1, up=link, down=link)
        server_driver = network.server_endpoint(server_tls(), server_settings.transport(), names=("origin.example",))
        client_driver = network.client_endpoint(client_tls(), client_settings.transport(max_pushes))
        async with h3push.serve(
            handler, settings=server_settings, config=server_config, driver=server_driver
        ) as server:
            client = h3push.connect(
                "https://origin.example/", max_pushes=max_pushes, settings=client_settings, driver=client_driver
            )
            async with client:
                return await scenario(World(server, client, network, client_driver, server_driver))

    return run_virtual(main)


class Errors(logging.Handler):
    """Collects what is logged, so that a test can say that nothing was."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
