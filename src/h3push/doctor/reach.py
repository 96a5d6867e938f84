"""How a server is found from here: over TCP first, as a browser does, then over QUIC where that points to."""

import asyncio
import http.client
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from h3push.client.alternatives import Alternative, parse
from h3push.client.connect import connect
from h3push.doctor.certificate import examine_certificate, examine_chain
from h3push.doctor.finding import Finding, Level, advice, good, wrong
from h3push.errors import ConnectFailed, ConnectFailure, H3PushError
from h3push.http.url import Origin
from h3push.runtime.settings import ClientSettings

UDP, ALT_SVC = "UDP", "Alt-Svc"


@dataclass(frozen=True, slots=True)
class TcpAnswer:
    """A look at a server over TCP."""

    alt_svc: str | None
    """The Alt-Svc field; `None` when there is none."""
    certificate: bytes
    """The server's certificate, DER."""


async def examine_reach(origin: Origin, cafile: Path | None, seconds: float) -> list[Finding]:
    """Look at a server.

    Args:
        origin: the server.
        cafile: the authorities to trust, instead of the system's.
        seconds: how long each attempt to connect may take.
    """
    found: list[Finding] = []
    try:
        visit = await asyncio.to_thread(_visit, origin, seconds)
    except (OSError, http.client.HTTPException) as error:
        visit = None
        message = f"nothing answers on TCP port {origin.port} ({error}), so no browser finds HTTP/3"
        found.append(advice(ALT_SVC, message, "pip install 'h3push[http2]', and no --tcp off"))
    place = Alternative(origin.host, origin.port)
    if visit is not None:
        offer = None if visit.alt_svc is None else parse(visit.alt_svc, origin)
        found.append(_alt_svc(visit.alt_svc, offer is not None, origin))
        place = place if offer is None else offer.place
    return found + await _examine_quic(origin, place, cafile, seconds, visit)


def _visit(origin: Origin, seconds: float) -> TcpAnswer:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # the certificate is looked at, not trusted
    context.set_alpn_protocols(["http/1.1"])
    connection = http.client.HTTPSConnection(origin.host, origin.port, timeout=seconds, context=context)
    try:
        connection.connect()
        assert isinstance(connection.sock, ssl.SSLSocket)
        certificate = connection.sock.getpeercert(binary_form=True)
        connection.request("HEAD", "/", headers={"host": origin.authority, "user-agent": "h3push doctor"})
        return TcpAnswer(connection.getresponse().getheader("alt-svc"), certificate or b"")
    finally:
        connection.close()


def _alt_svc(value: str | None, offers: bool, origin: Origin) -> Finding:
    if value is None:
        message = "responses over TCP have no Alt-Svc field, so no browser finds HTTP/3"
        return wrong(ALT_SVC, message, f'add to each response: alt-svc: h3=":{origin.port}"; ma=86400')
    if not offers:
        message = f"Alt-Svc over TCP is {value!r}, which offers no h3"
        return wrong(ALT_SVC, message, f"--alt-svc 'h3=\":{origin.port}\"; ma=86400'")
    return good(ALT_SVC, f"responses over TCP say where HTTP/3 is: {value}")


async def _examine_quic(
    origin: Origin, place: Alternative, cafile: Path | None, seconds: float, visit: TcpAnswer | None
) -> list[Finding]:
    try:
        chain, refusal = await _shown(origin, place, cafile, seconds)
    except ConnectFailed as error:
        # TCP at least shows the certificate itself.
        known = [] if visit is None else examine_certificate(visit.certificate, origin.host, datetime.now(UTC))
        return [_unreachable(error, place), *known]
    found = [good(UDP, f"HTTP/3 answers on UDP port {place.port}")]
    found += examine_certificate(chain[0], origin.host, datetime.now(UTC))
    if refusal is None or all(one.level is not Level.WRONG for one in found):
        found.append(examine_chain(chain, refusal))
    return found


async def _shown(
    origin: Origin, place: Alternative, cafile: Path | None, seconds: float
) -> tuple[list[bytes], str | None]:
    """The certificates that the server shows, and why a client refuses them, if it does."""
    try:
        return await _handshake(origin, place, cafile, seconds, verify=True), None
    except ConnectFailed as error:
        if error.kind is not ConnectFailure.CERTIFICATE:
            raise
        return await _handshake(origin, place, None, seconds, verify=False), str(error)


async def _handshake(
    origin: Origin, place: Alternative, cafile: Path | None, seconds: float, *, verify: bool
) -> list[bytes]:
    """Connect over QUIC; the certificates that the server shows."""
    settings = ClientSettings(connect_timeout=seconds)
    address = None if place == Alternative(origin.host, origin.port) else (place.host, place.port)
    url = f"https://{origin.authority}/"
    async with connect(url, cafile=cafile, verify=verify, settings=settings, address=address) as client:
        chain = client.info["peer_certificates"]
        assert isinstance(chain, list)
        return chain


def _unreachable(error: H3PushError, place: Alternative) -> Finding:
    kind = error.kind if isinstance(error, ConnectFailed) else None
    if kind is ConnectFailure.DNS:
        return wrong(UDP, f"{place.host} is no name that can be resolved: {error}", f"dig {place.host}")
    if kind is ConnectFailure.TIMEOUT:
        message = f"nothing comes back from UDP port {place.port}: a firewall drops it, or nobody listens"
        return wrong(UDP, message, f"sudo ufw allow {place.port}/udp, or the same in the rules of the cloud")
    if kind is ConnectFailure.REFUSED:
        message = f"nobody listens on UDP port {place.port} of {place.host}"
        return wrong(UDP, message, f"h3push serve --host :: --port {place.port} with what is to be served")
    return wrong(
        UDP, f"no HTTP/3 on UDP port {place.port}: {error}", f"h3push get -v https://{place.host}:{place.port}/"
    )
