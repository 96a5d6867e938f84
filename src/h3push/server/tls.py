"""A server's TLS settings from files, and the clients that refuse its certificate."""

import logging
import os
from dataclasses import dataclass
from enum import Enum

from h3push import _quic
from h3push.server.identities import FilePath, Identities, file_sentence, read_identities, read_pem

logger = logging.getLogger("h3push.server")


class ClientAuth(Enum):
    """Certificates of clients."""

    OPTIONAL = "optional"
    """A client may show one; if it does, an authority must have signed it."""
    REQUIRED = "required"
    """A client without one is refused."""


@dataclass(frozen=True, slots=True)
class TrustedClients:
    """Which certificates of clients are taken."""

    cafile: FilePath
    """The authorities, PEM."""
    auth: ClientAuth = ClientAuth.REQUIRED
    """The rule for clients without one."""


def load_tls(
    certfile: FilePath,
    keyfile: FilePath,
    *,
    early_data: bool = False,
    ticket_key: bytes | None = None,
    key_log_file: FilePath | None = None,
) -> _quic.ServerTls:
    """Make TLS settings for one certificate.

    Args:
        certfile: the certificate chain, PEM.
        keyfile: its private key, PEM.
        early_data: let resumed sessions send early data (0-RTT).
        ticket_key: seals session tickets; servers that share it resume each other's sessions.
        key_log_file: the secrets of all connections are appended to it (NSS key log), for Wireshark.

    Raises:
        ValueError: a file that cannot be read or used; the sentence names it.
    """
    identities = read_identities([(certfile, keyfile)])
    return make_tls(identities, early_data=early_data, ticket_key=ticket_key, key_log_file=key_log_file)


def make_tls(
    identities: Identities,
    *,
    clients: TrustedClients | None = None,
    early_data: bool = False,
    ticket_key: bytes | None = None,
    key_log_file: FilePath | None = None,
) -> _quic.ServerTls:
    """Make TLS settings for several certificates, and for clients that show one. The rest as for `load_tls`."""
    authorities = None if clients is None else read_pem(clients.cafile, "authorities of clients")
    try:
        return _quic.ServerTls(
            [(one.chain, one.key) for one in identities],
            client_ca=authorities,
            require_client=clients is not None and clients.auth is ClientAuth.REQUIRED,
            early_data=early_data,
            ticket_key=ticket_key,
            key_log_file=None if key_log_file is None else os.fspath(key_log_file),
        )
    except ValueError as error:
        raise ValueError(_unusable(identities, clients, error)) from None
    except OSError as error:  # the only file that is opened below
        assert key_log_file is not None
        raise ValueError(file_sentence("write the key log", key_log_file, error)) from None


def _unusable(identities: Identities, clients: TrustedClients | None, error: ValueError) -> str:
    """Name the files that are wrong: with several certificates, the first that does not work alone."""
    for one in identities:
        try:
            _quic.ServerTls([(one.chain, one.key)])
        except ValueError as reason:
            return f"{one.certfile} and {one.keyfile} cannot be used: {reason}"
    return f"{os.fspath(clients.cafile)} cannot be used: {error}" if clients is not None else str(error)


TLS_ALERT = 0x100
"""QUIC's error code for a TLS alert is this and the number of the alert (RFC 9001 section 4.8)."""

CERTIFICATE_ALERTS = {
    42: "it finds it bad, perhaps for another name",
    43: "its kind is unsupported",
    44: "it is revoked",
    45: "it has expired, or is not valid yet",
    46: "it is not acceptable",
    48: "its authority is unknown there",
}
"""Alerts that are about the certificate of the other side (RFC 8446 section 6.2)."""

REFUSAL_INTERVAL = 60.0
"""Seconds between two lines with the same reason: anybody can refuse a certificate again and again."""


class CertificateRefusals:
    """Logs that clients refuse the server's certificate, and why: each reason once in `REFUSAL_INTERVAL`."""

    def __init__(self) -> None:
        self._last: dict[int, float] = {}

    def handshake_failed(self, address: tuple[str, int], error_code: int | None, now: float) -> None:
        """Take note of a handshake that ended with a QUIC error code; `now` in seconds."""
        alert = -1 if error_code is None else error_code - TLS_ALERT
        reason = CERTIFICATE_ALERTS.get(alert)
        if reason is None or now - self._last.get(alert, -REFUSAL_INTERVAL) < REFUSAL_INTERVAL:
            return
        self._last[alert] = now
        logger.warning("the client at %s refuses our certificate: %s (TLS alert %d)", address[0], reason, alert)
