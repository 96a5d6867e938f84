"""From a URL to a connection: look-up, attempts, and a sentence for each way that it can fail.

Happy eyeballs, the small form (RFC 8305): the addresses are tried in turn, IPv6 and IPv4 alternating; the next one starts when
one has failed or has not answered for `attempt_delay`; the first handshake that is done wins and the others are dropped. All
together have `connect_timeout`.
"""

import asyncio
import errno
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from itertools import chain, zip_longest
from pathlib import Path
from typing import Literal

from h3push import _quic
from h3push.client.authorities import covers, split_authority
from h3push.client.pushes import OnPush
from h3push.client.session import ClientSession, HandshakeFailed
from h3push.errors import ConnectFailed, ConnectFailure
from h3push.h3.client import H3ClientConnection
from h3push.h3.config import H3Config
from h3push.h3.observed import ObservedClientConnection
from h3push.http.url import Origin
from h3push.qlog.trace import observe
from h3push.quic.adapter import Driver, SocketDriver
from h3push.runtime.endpoint import Endpoint
from h3push.runtime.settings import ClientSettings
from h3push.wire.registry import Role

Address = tuple[str, int]
Resolve = Callable[[Origin], Awaitable[Sequence[Address]]]
"""Finds the addresses of an origin, the best first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that an attempt needs beside the address."""

    origin: Origin
    tls: _quic.ClientTls | None
    config: H3Config
    settings: ClientSettings
    io: Literal["loop", "thread"]
    driver: Driver | None
    address: Address | None
    resolve: Resolve | None
    """Finds the addresses; `look_up` when `None`."""
    qlog: Path | None
    """Directory of a file that tells what HTTP/3 does on the connection."""
    early_data: bool
    """Requests that may be repeated go out in early data, where the session allows it."""


async def establish(plan: Plan, on_push: OnPush | None) -> ClientSession:
    """Connect; returns when the handshake is done, or early data can be sent.

    `ConnectFailed` when that is not so within `connect_timeout`.
    """
    seconds = plan.settings.connect_timeout
    try:
        async with asyncio.timeout(seconds):
            addresses = [plan.address] if plan.address else await (plan.resolve or look_up)(plan.origin)
            looked_up_at = asyncio.get_running_loop().time()
            if plan.driver is not None:
                connection = await _attempt(plan, addresses[0], plan.driver)
            elif len(addresses) == 1:
                # In this task: the first request is then in time for the handshake's last flight.
                connection = await _open(plan, addresses[0])
            else:
                connection = await _race(plan, addresses)
    except TimeoutError:
        raise _no_answer(plan, plan.origin.authority) from None
    connection.pushes.on_push = on_push
    connection.looked_up_at = looked_up_at
    return connection


async def look_up(origin: Origin) -> list[Address]:
    """The addresses of a host, IPv6 and IPv4 alternating, in the resolver's order otherwise."""
    try:
        return [(str(ip_address(origin.host)), origin.port)]
    except ValueError:
        pass
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_DGRAM)
    except OSError as error:
        sentence = f"cannot find host {origin.host}: {error.strerror or error}"
        raise ConnectFailed(sentence, ConnectFailure.DNS) from None
    addresses = list(dict.fromkeys((str(where[0]), int(where[1])) for *_, where in found))
    first = [address for address in addresses if (":" in address[0]) == (":" in addresses[0][0])]
    second = [address for address in addresses if address not in first]
    return [address for address in chain.from_iterable(zip_longest(first, second)) if address is not None]


async def _race(plan: Plan, addresses: Sequence[Address]) -> ClientSession:
    """Try the addresses, each a little after the one before; the first connection wins."""
    left = list(addresses)
    running: set[asyncio.Task[ClientSession]] = set()
    failures: list[ConnectFailed] = []
    won: list[ClientSession] = []
    try:
        while not won and (left or running):
            if left:
                running.add(asyncio.create_task(_open(plan, left.pop(0))))
            patience = plan.settings.attempt_delay if left else None
            done, running = await asyncio.wait(running, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                try:
                    won.append(task.result())
                except ConnectFailed as failure:
                    failures.append(failure)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for connection in won[1:]:
            connection.endpoint.close()
    if not won:
        raise failures[0]
    return won[0]


async def _open(plan: Plan, address: Address) -> ClientSession:
    return await _attempt(plan, address, _client_socket(plan, address))


async def _attempt(plan: Plan, address: Address, driver: Driver) -> ClientSession:
    endpoint = Endpoint(driver)
    try:
        connection = _connect(plan, endpoint, address)
        if not connection.is_early:
            await connection.handshake.wait()
        if connection.failure is not None:
            raise _failure(plan, address, connection.failure)
    except BaseException:
        endpoint.close()
        raise
    return connection


def _connect(plan: Plan, endpoint: Endpoint, address: Address) -> ClientSession:
    config = endpoint.vary(plan.config)

    def make_owner(handle: int) -> ClientSession:
        check = _authority_check(plan.origin, endpoint, handle)

        def make_core() -> H3ClientConnection:
            transport = endpoint.transport(handle)
            if plan.qlog is None:
                return H3ClientConnection(transport, config, is_authoritative=check)
            observer = observe(plan.qlog, Role.CLIENT, plan.origin.authority)
            return ObservedClientConnection(transport, config, observer, is_authoritative=check)

        explain = partial(_failure, plan, address)
        return ClientSession(endpoint, handle, address, make_core, plan.settings, check, explain)

    owner = endpoint.connect(address, plan.origin.host, plan.tls, make_owner)
    assert isinstance(owner, ClientSession)
    if plan.early_data:
        owner.begin_early()
    return owner


def _authority_check(origin: Origin, endpoint: Endpoint, handle: int) -> Callable[[bytes], bool]:
    """May the server speak for this authority? Its own, and on the same port what its certificate names."""

    def check(authority: bytes) -> bool:
        try:
            host, port = split_authority(authority)
        except ValueError:
            return False
        if port != origin.port:
            return False
        if host.strip("[]").lower() == origin.host.lower():
            return True
        chain = endpoint.driver.info(handle).get("peer_certificates")
        return isinstance(chain, list) and bool(chain) and covers(chain[0], host)

    return check


def _client_socket(plan: Plan, address: Address) -> SocketDriver:
    """A UDP socket that any address of ours may send through, so that the connection survives a change of it.

    A connected one is made first, as a question: the kernel says at once when there is no way to `address`.
    """
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(address)
    except OSError as error:
        sentence = f"cannot reach {_show(address)}: {error.strerror or error}"
        raise ConnectFailed(sentence, ConnectFailure.REFUSED) from None
    kind = _quic.ThreadedEndpoint if plan.io == "thread" else _quic.Endpoint
    transport = plan.settings.transport(plan.config.max_concurrent_pushes)
    anywhere = ("::" if family == socket.AF_INET6 else "0.0.0.0", 0)  # noqa: S104 - a client; QUIC takes only what is its
    return SocketDriver(kind.bind(anywhere, client=plan.tls, transport=transport))


def _show(address: Address) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


# Why a handshake failed, in sentences. TLS alerts are QUIC errors 0x100 + alert (RFC 9001 section 4.8).

TLS_ALERTS = 0x100
"""The first of them."""
NO_APPLICATION_PROTOCOL = 0x178
"""TLS alert 120, no_application_protocol (RFC 7301)."""


def _failure(plan: Plan, address: Address, failure: HandshakeFailed) -> ConnectFailed:
    where = _show(address)
    if failure.error_code == NO_APPLICATION_PROTOCOL:
        return ConnectFailed(f"{where} speaks QUIC but not HTTP/3 (it refused the protocol name h3)")
    if failure.kind == _quic.CLOSED_TRANSPORT_ERROR and "certificate" in failure.reason:
        return ConnectFailed(certificate_sentence(plan.origin.host, failure.reason), ConnectFailure.CERTIFICATE)
    if failure.kind == _quic.CLOSED_TIMED_OUT:
        return _no_answer(plan, where)
    if failure.kind == _quic.CLOSED_UNREACHABLE and failure.error_code == errno.ECONNREFUSED:
        return ConnectFailed(f"{where} refused the connection (no UDP listener)", ConnectFailure.REFUSED)
    if failure.kind == _quic.CLOSED_UNREACHABLE:
        return ConnectFailed(f"cannot reach {where}: {failure.reason}", ConnectFailure.REFUSED)
    if failure.kind == _quic.CLOSED_REFUSED:
        return ConnectFailed(f"{where} has no QUIC version in common with us")
    code = failure.error_code
    number = "" if code is None else f" (QUIC error {code:#x})"
    kind = ConnectFailure.TLS if code is not None and TLS_ALERTS <= code < 2 * TLS_ALERTS else ConnectFailure.PROTOCOL
    reason = failure.reason or "no reason was given"
    return ConnectFailed(f"the handshake with {where} failed: {reason}{number}", kind)


def _no_answer(plan: Plan, where: str) -> ConnectFailed:
    seconds = plan.settings.connect_timeout
    within = "" if seconds is None else f" within {seconds:g} s"
    sentence = f"nothing answers at {where} over UDP{within}: is an HTTP/3 server running there?"
    return ConnectFailed(sentence, ConnectFailure.TIMEOUT)


def certificate_sentence(host: str, reason: str) -> str:
    """Say which of the checks a certificate did not pass, and what to do; `reason` is the native module's words."""
    if reason.startswith("the certificate is not for"):
        return f"{reason}: connect by a name that it is for"
    whose = f"the certificate of {host}"
    if reason.startswith("the certificate is not valid"):
        days = re.search(r"another \d+ days?", reason)
        return f"{whose} is not valid yet{f', for {days[0]}' if days else ''}: is the clock right?"
    if reason.startswith("the certificate is not trusted"):
        return f"{reason.replace('the certificate', whose, 1)}; to trust it or its authority give cafile= (--cacert)"
    if reason.endswith("wrong signature"):
        return f"{whose} is not trusted: an authority of the same name as its own is trusted, with another key"
    text, colon, cause = reason.partition(": ")
    if colon and (name := _RUST_NAME.fullmatch(cause)):  # an error that has no sentence
        cause = _WORD_BEGINS.sub(" ", name[1]).lower()
    return text.replace("the certificate", whose, 1) + colon + cause


_RUST_NAME = re.compile(r"(?:[A-Za-z]+\()*([A-Za-z]+)\)*")
"""A name as Rust prints it: `Expired`, or one within others, `Other(OtherError(CaUsedAsEndEntity))`."""
_WORD_BEGINS = re.compile("(?<=[a-z])(?=[A-Z])")
