"""TLS for the TCP side, with the certificates that QUIC shows too.

Theory of operation. A listener has one context for good, which carries no certificate of its own to speak of: as soon as a
client's first message is there, OpenSSL asks which context to go on with, and gets the one of the identity that the client names.
To load other certificates is to put other contexts into that table, so connections that are open keep theirs.
"""

import ssl
from typing import Any

from h3push.asgi.scope import subject_of
from h3push.server.identities import Identities, Identity
from h3push.server.tls import ClientAuth, TrustedClients
from h3push.tcp.visits import ClientViews, Visits

VERSIONS = {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}
"""OpenSSL's names of TLS versions -> their numbers (RFC 8446 section 4.1.2)."""


class IdentityContext(ssl.SSLContext):
    """A context that shows one certificate, and knows which."""

    identity: Identity
    """The certificate and its key."""
    ciphers: dict[str, int]
    """OpenSSL's names of cipher suites -> their numbers."""
    visits: Visits
    """Those of its listener."""


class TlsConnection(ssl.SSLObject):
    """The TLS of one connection."""

    extension: dict[str, Any] | None = None
    """ASGI's extension for it, once a request asked."""
    visit: ClientViews | None = None
    """The page views of the connection, where there is an access log."""


class TcpTls:
    """TLS of one listener.

    Arguments:
        versions: names of HTTP's versions in ALPN, the best first: "h2", "http/1.1".
        key_log_file: the secrets of all connections are appended to it.
        ciphers: OpenSSL's list for TLS 1.2; `None`: its default. The suites of TLS 1.3 stay.
        oldest: the oldest version of TLS that is spoken.

    Raises:
        ValueError: no cipher is left of the list.
    """

    def __init__(
        self,
        versions: list[str],
        key_log_file: str | None = None,
        *,
        ciphers: str | None = None,
        oldest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2,
    ) -> None:
        self._versions = versions
        self._ciphers = ciphers
        self._oldest = oldest
        self._key_log_file = key_log_file
        self.visits = Visits()
        """Which connections share their page views."""
        self._identities = Identities()
        self._contexts: dict[Identity, IdentityContext] = {}
        self.context = self._bare()
        """The context to listen with."""
        self.context.sni_callback = self._choose

    def load(self, identities: Identities, clients: TrustedClients | None) -> None:
        """Use these for connections that begin from now on. `ValueError` with a sentence when they cannot be used."""
        contexts = {one: self._context_of(one, clients) for one in identities}
        self._contexts, self._identities = contexts, identities
        # OpenSSL looks at these two before it asks.
        self.context.verify_mode = contexts[identities[0]].verify_mode
        _load_chain(self.context, identities[0])

    def _choose(self, tls: ssl.SSLObject, server_name: str | None, _context: ssl.SSLContext) -> None:
        tls.context = self._contexts[self._identities.find(server_name)]

    def _context_of(self, identity: Identity, clients: TrustedClients | None) -> IdentityContext:
        context = self._bare()
        context.identity = identity
        context.ciphers = {one["name"]: int(one["id"]) & 0xFFFF for one in context.get_ciphers()}
        _load_chain(context, identity)
        if clients is not None:
            required = clients.auth is ClientAuth.REQUIRED
            try:
                context.load_verify_locations(clients.cafile)
            except (OSError, ssl.SSLError) as error:
                raise ValueError(f"{clients.cafile} cannot be used over TCP: {error}") from None
            context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
        return context

    def _bare(self) -> IdentityContext:
        context = IdentityContext(ssl.PROTOCOL_TLS_SERVER)
        context.sslobject_class = TlsConnection
        context.visits = self.visits
        context.minimum_version = self._oldest
        if self._ciphers is not None:
            try:
                context.set_ciphers(self._ciphers)
            except ssl.SSLError:
                raise ValueError(f"OpenSSL has no cipher for TLS 1.2 in {self._ciphers!r}") from None
        context.set_alpn_protocols(self._versions)
        if self._key_log_file is not None:
            context.keylog_filename = self._key_log_file
        return context


def _load_chain(context: ssl.SSLContext, identity: Identity) -> None:
    try:
        context.load_cert_chain(identity.certfile, identity.keyfile, identity.password)
    except (OSError, ssl.SSLError) as error:
        names = f"{identity.certfile} and {identity.keyfile}"
        raise ValueError(f"{names} cannot be used over TCP: {error}") from None


def tls_extension(tls: ssl.SSLObject | None) -> dict[str, Any] | None:
    """ASGI's `tls` extension for a request of one connection; `None` without TLS."""
    if not isinstance(tls, TlsConnection):
        return None
    if tls.extension is None:
        tls.extension = _facts(tls)
    return tls.extension.copy()


def _facts(tls: ssl.SSLObject) -> dict[str, Any]:
    context = tls.context
    assert isinstance(context, IdentityContext)
    cipher = tls.cipher()
    chain = [] if context.verify_mode is ssl.CERT_NONE else _chain_of(tls)
    return {
        "server_cert": context.identity.leaf,
        "client_cert_chain": [ssl.DER_cert_to_PEM_cert(one) for one in chain],
        "client_cert_name": subject_of(chain[0]) if chain else None,
        "client_cert_error": None,
        "tls_version": VERSIONS.get(tls.version() or ""),
        "cipher_suite": None if cipher is None else context.ciphers.get(cipher[0]),
    }


def _chain_of(tls: ssl.SSLObject) -> list[bytes]:
    """The client's certificates, DER; before Python 3.13, its own alone."""
    whole = getattr(tls, "get_unverified_chain", None)
    if whole is not None:
        return list(whole())
    leaf = tls.getpeercert(binary_form=True)
    return [] if leaf is None else [leaf]
