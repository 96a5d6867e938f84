"""The ASGI scope of a request."""

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from h3push.asgi.types import EARLY_DATA, EARLY_HINT, H3PUSH, PATHSEND, PUSH, SPEC, TLS, TRAILERS, ZEROCOPYSEND, Scope
from h3push.http.fields import Field, Fields, RequestHead
from h3push.http.headers import has_field
from h3push.server.request import Request

_PERCENT = ord("%")  # a number is looked up in bytes at a tenth of the price of a string
TLS_1_3 = 0x0304
"""The only TLS version that QUIC has (RFC 9001 section 4.2)."""


@dataclass(frozen=True, slots=True)
class ConnectionFacts:
    """Values that all scopes of one connection share."""

    server: tuple[str, int]
    """Address and port that the connection came to."""
    tls: dict[str, Any]
    """ASGI's `tls` extension; each request gets a copy."""


def build_scope(
    request: Request,
    *,
    root_path: str,
    state: dict[str, Any] | None,
    marker: Mapping[str, object],
    offers_push: bool,
) -> Scope:
    """Build the scope of one request, promised ones included.

    Args:
        request: the request.
        root_path: where the application is mounted, decoded.
        state: the lifespan's state, or `None` when the application has no lifespan.
        marker: our own extension (`push.marker_of`).
        offers_push: whether the client takes pushes for this request.
    """
    head = request.head
    facts = facts_of(request)
    raw_path, _, query = (head.path or b"").partition(b"?")
    extensions: dict[str, Any] = {
        EARLY_HINT: {},
        PATHSEND: {},
        ZEROCOPYSEND: {},
        TLS: facts.tls.copy(),
        H3PUSH: marker,
    }
    if offers_push:
        extensions[PUSH] = {}
    if request.early:
        extensions[EARLY_DATA] = {}
    if takes_trailers(head.fields):
        extensions[TRAILERS] = {}
    scope: Scope = {
        "type": "http",
        "asgi": SPEC.copy(),
        "http_version": "3",
        "server": facts.server,
        "client": tuple(request.client[:2]),
        "scheme": request.scheme,
        "method": request.method,
        "root_path": root_path,
        "path": decoded_path(raw_path),
        "raw_path": raw_path,
        "query_string": query,
        "headers": scope_headers(head),
        "extensions": extensions,
    }
    if state is not None:
        scope["state"] = state.copy()
    return scope


def decoded_path(raw_path: bytes) -> str:
    """Decode a path as ASGI wants it: percent-encoding first, then UTF-8, with U+FFFD for anything else."""
    return (unquote_to_bytes(raw_path) if _PERCENT in raw_path else raw_path).decode("utf-8", "replace")


def scope_headers(head: RequestHead) -> Fields:
    """The header fields, with Host first, made from `:authority`, for which ASGI has no other place."""
    fields, authority = head.fields, head.authority
    if has_field(fields, b"host"):
        fields = [field for field in fields if field[0] != b"host"]
    return [*fields] if authority is None else [(b"host", authority), *fields]


def takes_trailers(fields: Sequence[Field]) -> bool:
    """True when the client says `TE: trailers` (RFC 9110 section 10.1.4); to others none are sent, for they may drop them."""
    for name, value in fields:  # noqa: SIM110 - a loop is half the price of any()
        if name == b"te" and b"trailers" in value.lower():
            return True
    return False


def facts_of(request: Request) -> ConnectionFacts:
    """The facts of a request's connection, found out once."""
    known: ConnectionFacts | None = request.connection.tied.get(ConnectionFacts)
    if known is not None:
        return known
    facts = ConnectionFacts(request.connection.local_address, _read_tls_facts(request))
    request.connection.tied[ConnectionFacts] = facts
    return facts


def _read_tls_facts(request: Request) -> dict[str, Any]:
    info = request.connection.info
    cipher = info.get("cipher_suite")
    chain = info.get("peer_certificates")
    certificates = chain if isinstance(chain, list) else []
    identities, name = request.connection.identities, info.get("server_name")
    shown = None if identities is None else identities.find(name if isinstance(name, str) else None)
    return {
        "server_cert": None if shown is None else shown.leaf,
        "client_cert_chain": [ssl.DER_cert_to_PEM_cert(one) for one in certificates],
        "client_cert_name": subject_of(certificates[0]) if certificates else None,
        "client_cert_error": None,
        "tls_version": TLS_1_3,
        "cipher_suite": cipher if isinstance(cipher, int) else None,
    }


def subject_of(der: bytes) -> str:
    """The name in a client's certificate (RFC 4514). cryptography is imported here because few servers ask for certificates."""
    from cryptography import x509

    return x509.load_der_x509_certificate(der).subject.rfc4514_string()
