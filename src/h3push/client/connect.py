"""From a URL to a connection: look-up, attempts, and a sentence for each way that it can fail.

Happy eyeballs, the small form (RFC 8305): the addresses are tried in turn, IPv6 and IPv4 alternating; the next one starts when
one has failed or has not answered for `attempt_delay`; the first handshake that is done wins and the others are dropped. All
together have `connect_timeout`.
"""

import asyncio
import errno
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import chain, zip_longest
from typing import Literal

from h3push import _quic
from h3push.client.authorities import covers, split_authority
from h3push.client.connection import ClientConnection, HandshakeFailed
from h3push.client.response import ReceivedPush
from h3push.errors import ConnectFailed
from h3push.h3.client import H3ClientConnection
from h3push.h3.config import H3Config
from h3push.http.url import Origin, origin_of
from h3push.quic.adapter import Driver, SocketDriver
from h3push.runtime.endpoint import Endpoint
from h3push.runtime.settings import ClientSettings

Address = tuple[str, int]


def parse_origin(url: str) -> Origin:
    """Host and port of an https URL. `ValueError` with a sentence for anything else."""
    origin = origin_of(url)
    if origin is None:
        raise ValueError(f"HTTP/3 needs an https URL such as https://example.com/, not {url!r}")
    return origin


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
    on_push: Callable[[ReceivedPush], None] | None = None


async def establish(plan: Plan) -> ClientConnection:
    """A connection whose handshake is done. `ConnectFailed` when there is none within `connect_timeout`."""
    seconds = plan.settings.connect_timeout
    try:
        async with asyncio.timeout(seconds):
            addresses = [plan.address] if plan.address else await look_up(plan.origin)
            if plan.driver is not None:
                return await _attempt(plan, addresses[0], plan.driver)
            if len(addresses) == 1:
                # In this task: the first request is then in time for the handshake's last flight.
                return await _open(plan, addresses[0])
            return await _race(plan, addresses)
    except TimeoutError:
        where = plan.origin.authority
        raise ConnectFailed(
            f"nothing answers at {where} over UDP within {seconds:g} s: is an HTTP/3 server running there?"
        ) from None


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
        raise ConnectFailed(f"cannot find host {origin.host}: {error.strerror or error}") from None
    addresses = list(dict.fromkeys((str(where[0]), int(where[1])) for *_, where in found))
    first = [address for address in addresses if (":" in address[0]) == (":" in addresses[0][0])]
    second = [address for address in addresses if address not in first]
    return [address for address in chain.from_iterable(zip_longest(first, second)) if address is not None]


async def _race(plan: Plan, addresses: Sequence[Address]) -> ClientConnection:
    """Try the addresses, each a little after the one before; the first connection wins."""
    left = list(addresses)
    running: set[asyncio.Task[ClientConnection]] = set()
    failures: list[ConnectFailed] = []
    won: list[ClientConnection] = []
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


async def _open(plan: Plan, address: Address) -> ClientConnection:
    return await _attempt(plan, address, _client_socket(plan, address))


async def _attempt(plan: Plan, address: Address, driver: Driver) -> ClientConnection:
    endpoint = Endpoint(driver)
    try:
        connection = _connect(plan, endpoint, address)
        await connection.ready
    except HandshakeFailed as failure:
        endpoint.close()
        raise ConnectFailed(_sentence(plan, address, failure)) from None
    except BaseException:
        endpoint.close()
        raise
    return connection


def _connect(plan: Plan, endpoint: Endpoint, address: Address) -> ClientConnection:
    def make_owner(handle: int) -> ClientConnection:
        check = _authority_check(plan.origin, endpoint, handle)
        core = H3ClientConnection(endpoint.transport(handle), endpoint.dress(plan.config), is_authoritative=check)
        connection = ClientConnection(endpoint, handle, address, core, plan.settings)
        connection.is_authoritative = check
        connection.pushes.on_push = plan.on_push
        return connection

    owner = endpoint.connect(address, plan.origin.host, plan.tls, make_owner)
    assert isinstance(owner, ClientConnection)
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
        raise ConnectFailed(f"cannot reach {_show(address)}: {error.strerror or error}") from None
    kind = _quic.ThreadedEndpoint if plan.io == "thread" else _quic.Endpoint
    transport = plan.settings.transport(plan.config.max_concurrent_pushes)
    anywhere = ("::" if family == socket.AF_INET6 else "0.0.0.0", 0)  # noqa: S104 - a client; QUIC takes only what is its
    return SocketDriver(kind.bind(anywhere, client=plan.tls, transport=transport))


def _show(address: Address) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


# Why a handshake failed, in sentences. TLS alerts are QUIC errors 0x100 + alert (RFC 9001 section 4.8).

NO_APPLICATION_PROTOCOL = 0x178
"""TLS alert 120, no_application_protocol (RFC 7301)."""


def _sentence(plan: Plan, address: Address, failure: HandshakeFailed) -> str:
    where = _show(address)
    host = plan.origin.host
    if failure.error_code == NO_APPLICATION_PROTOCOL:
        return f"{where} speaks QUIC but not HTTP/3 (it refused the protocol name h3)"
    if "certificate" in failure.reason.lower():
        return _certificate_sentence(host, failure.reason)
    if failure.kind == _quic.CLOSED_TIMED_OUT:
        return (
            f"nothing answers at {where} over UDP within {plan.settings.connect_timeout:g} s: "
            "is an HTTP/3 server running there?"
        )
    if failure.kind == _quic.CLOSED_UNREACHABLE and failure.error_code == errno.ECONNREFUSED:
        return f"{where} refused the connection (no UDP listener)"
    if failure.kind == _quic.CLOSED_UNREACHABLE:
        return f"cannot reach {where}: {failure.reason}"
    if failure.kind == _quic.CLOSED_REFUSED:
        return f"{where} has no QUIC version in common with us"
    code = "" if failure.error_code is None else f" (QUIC error {failure.error_code:#x})"
    return f"the handshake with {where} failed: {failure.reason or 'no reason was given'}{code}"


def _certificate_sentence(host: str, reason: str) -> str:
    reason_words = reason.replace(" ", "").lower()
    if "notvalidforname" in reason_words:
        return f"the certificate is not for {host}: {reason}; connect by a name that it is for, or use verify=False"
    if "expired" in reason_words:
        return f"the certificate of {host} has expired: {reason}"
    if "notvalidyet" in reason_words:
        return f"the certificate of {host} is not valid yet: {reason}; is the clock right?"
    return f"the certificate of {host} is not trusted: {reason}; use --cacert / cafile=, or verify=False"
