"""`connect`: from a URL and the wishes of the caller to a connection that is made in `async with`."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Literal

from h3push import _quic
from h3push.client.connection import ClientConnection
from h3push.client.handshake import Plan, Resolve
from h3push.client.pushes import OnPush
from h3push.client.tls import Certificate, make_tls
from h3push.h3.config import H3Config
from h3push.http.arguments import check_type
from h3push.http.url import parse_url
from h3push.quic.adapter import Driver
from h3push.runtime.settings import ClientSettings

MOST_BLOCKED = 100
"""QPACK_BLOCKED_STREAMS of a client that takes pushes, at most. A server's encoder may count each promise as a stream of its own
until it is acknowledged, and says in full what every promise repeats once they are used up: a page with fifty promises would fill
a first window with them alone."""


def connect(
    url: str,
    *,
    cafile: str | os.PathLike[str] | None = None,
    verify: bool = True,
    cert: Certificate | None = None,
    tls: _quic.ClientTls | None = None,
    early_data: bool = False,
    max_pushes: int | None = None,
    config: H3Config | None = None,
    settings: ClientSettings | None = None,
    io: Literal["loop", "thread"] = "loop",
    driver: Driver | None = None,
    address: tuple[str, int] | None = None,
    resolve: Resolve | None = None,
    qlog: str | os.PathLike[str] | None = None,
    on_push: OnPush | None = None,
) -> ClientConnection:
    """Make a connection to a server; it connects when `async with` begins.

    Args:
        url: an https URL; host and port count, the path does not. A user name and password in it go out with each request to
            that host (RFC 7617), unless the request has an Authorization field.
        cafile: PEM file, or directory of them, with the only authorities to trust, instead of the system's.
        verify: False accepts every certificate: for tests on your own machine only.
        cert: the client's certificate, for servers that ask for one: a PEM file with chain and key, a tuple of a file for each,
            or these and the key's password.
        tls: instead of `cafile`, `verify` and `cert`. Give the same object to several connections and the later ones resume the
            session of the first, which saves certificate and signature.
        early_data: on a resumed session that allows it, send GET and HEAD without waiting for the handshake, which saves a round
            trip. Somebody on the way may replay such a request: docs/explanation/early-data.md says what that means. `tls` needs
            `early_data=True` too.
        max_pushes: pushes that the server may have granted and unfinished at any instant; `None` allows none.
        config: bounds and switches of the protocol.
        settings: time-outs and bounds of this layer.
        io: "thread" has a thread of its own move packets.
        driver: instead of a UDP socket: another way to move datagrams, such as the virtual network of tests.
        address: connect to this address, and still send `url`'s host in the handshake and the requests.
        resolve: finds the addresses of `url`'s host, instead of the system's resolver; async.
        qlog: directory of a file that tells what HTTP/3 does on the connection (qlog), for qvis and the like.
        on_push: called at each promise, before its response can have begun: the place to `cancel` what is not
            wanted. False refuses the push; it may be async, then the push goes on meanwhile. What it raises is logged, and calls
            that push off.

    Raises:
        ValueError: no https URL, a negative `max_pushes`, or a certificate file that cannot be used.
        TypeError: an argument of the wrong type.
    """
    _check_connect_arguments(url, cafile, tls, max_pushes, config, settings)
    parsed = parse_url(url)
    if max_pushes is not None and max_pushes < 0:
        raise ValueError(f"max_pushes must not be negative: {max_pushes}")
    if tls is None and driver is None:
        tls = make_tls(cafile, verify=verify, early_data=early_data, cert=cert)
    plan = Plan(
        origin=parsed.origin,
        tls=tls,
        config=_config(config, max_pushes),
        settings=settings or ClientSettings(),
        io=io,
        driver=driver,
        address=address,
        resolve=resolve,
        qlog=None if qlog is None else Path(qlog),
        early_data=early_data,
    )
    return ClientConnection(plan, on_push, parsed.authorization)


def _config(config: H3Config | None, max_pushes: int | None) -> H3Config:
    """The caller's bounds, or the defaults, for a client that takes so many pushes."""
    if config is None:
        config = H3Config()
        blocked = max(config.qpack_blocked_streams, min(max_pushes or 0, MOST_BLOCKED))
        config = replace(config, qpack_blocked_streams=blocked)
    if max_pushes is not None:
        config = replace(config, max_concurrent_pushes=max_pushes)
    return replace(config, release_pushes=False, grant_in_two_steps=True)


def _check_connect_arguments(
    url: object, cafile: object, tls: object, max_pushes: object, config: object, settings: object
) -> None:
    check_type("url", url, str)
    check_type("cafile", cafile, str, os.PathLike, type(None))
    check_type("tls", tls, _quic.ClientTls, type(None))
    check_type("max_pushes", max_pushes, int, type(None))
    check_type("config", config, H3Config, type(None))
    check_type("settings", settings, ClientSettings, type(None))
