"""A server and a client of ours on a virtual network: deterministic, and an hour takes no time."""

import logging
from functools import partial

import h3push
from h3push.testing import World, make_identity
from h3push.testing import in_world as in_any_world
from h3push.testing.world import ROUND_TRIP

__all__ = ["IDENTITY", "ROUND_TRIP", "Errors", "World", "client_tls", "in_world", "server_tls"]

IDENTITY = make_identity(["origin.example", "localhost", "127.0.0.1"], seed=0)
"""A certificate for the names that tests use."""

in_world = partial(in_any_world, identity=IDENTITY)
"""Run a scenario with a client that is connected to a server with a handler; its result."""


def server_tls() -> h3push.ServerTls:
    return h3push.ServerTls([(IDENTITY.certificate, IDENTITY.key)])


def client_tls() -> h3push.ClientTls:
    return h3push.ClientTls(trust=IDENTITY.authority)


class Errors(logging.Handler):
    """Collects what is logged, so that a test can say that nothing was."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
