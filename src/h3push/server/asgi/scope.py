"""From a request to the scope that ASGI describes."""

import ssl
from typing import Any
from urllib.parse import unquote
from weakref import WeakKeyDictionary

from h3push.aio.request import Request
from h3push.fields import Fields
from h3push.server.asgi.types import EARLY_HINT, H3PUSH, PATHSEND, PUSH, SPEC, TLS, TRAILERS, ZEROCOPYSEND, Scope

TLS_1_3 = 0x0304
"""The only TLS version that QUIC has (RFC 9001 section 4.2)."""

_tls_facts: "WeakKeyDictionary[object, dict[str, Any]]" = WeakKeyDictionary()


def build_scope(
    request: Request,
    *,
    server: tuple[str, int | None],
    root_path: str,
    state: dict[str, Any] | None,
    marker: dict[str, Any],
    offers_push: bool,
) -> Scope:
    """The scope of one request, promised ones included.

    Args:
        request: the request.
        server: address and port that the server listens on.
        root_path: where the application is mounted, decoded.
        state: the lifespan's state, or `None` when the application has no lifespan.
        marker: our own extension (`push.marker`).
        offers_push: whether the client takes pushes for this request.
    """
    raw_path, _, query = (request.head.path or b"").partition(b"?")
    extensions: dict[str, Any] = {
        EARLY_HINT: {},
        PATHSEND: {},
        ZEROCOPYSEND: {},
        TLS: tls_facts(request),
        H3PUSH: marker,
    }
    if offers_push:
        extensions[PUSH] = {}
    if takes_trailers(request.head.fields):
        extensions[TRAILERS] = {}
    scope: Scope = {
        "type": "http",
        "asgi": dict(SPEC),
        "http_version": "3",
        "server": server,
        "client": tuple(request.client[:2]),
        "scheme": request.scheme,
        "method": request.method,
        "root_path": root_path,
        "path": unquote(raw_path.decode("latin-1")),
        "raw_path": raw_path,
        "query_string": query,
        "headers": scope_headers(request),
        "extensions": extensions,
    }
    if state is not None:
        scope["state"] = state.copy()
    return scope


def scope_headers(request: Request) -> Fields:
    """The header fields, with Host first: ASGI has no `:authority`."""
    authority = request.head.authority
    fields = [(name, value) for name, value in request.head.fields if name != b"host"]
    return fields if authority is None else [(b"host", authority), *fields]


def takes_trailers(fields: Fields) -> bool:
    """True when the client says `TE: trailers` (RFC 9110 section 10.1.4): others may drop them, so none are sent."""
    return any(name == b"te" and b"trailers" in value.lower() for name, value in fields)


def tls_facts(request: Request) -> dict[str, Any]:
    """ASGI's `tls` extension, made once a connection and copied for each request."""
    facts = _tls_facts.get(request.connection)
    if facts is None:
        facts = _tls_facts[request.connection] = _read_tls_facts(request)
    return facts.copy()


def _read_tls_facts(request: Request) -> dict[str, Any]:
    info = request.connection.info
    cipher = info.get("cipher_suite")
    chain = info.get("peer_certificates")
    certificates = chain if isinstance(chain, list) else []
    return {
        "server_cert": None,
        "client_cert_chain": [ssl.DER_cert_to_PEM_cert(one) for one in certificates],
        "client_cert_name": _subject(certificates[0]) if certificates else None,
        "client_cert_error": None,
        "tls_version": TLS_1_3,
        "cipher_suite": cipher if isinstance(cipher, int) else None,
    }


def _subject(der: bytes) -> str:
    """The name in a client's certificate (RFC 4514); imported when a client has one, for it takes its time."""
    from cryptography import x509

    return x509.load_der_x509_certificate(der).subject.rfc4514_string()
