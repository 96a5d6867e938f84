"""A server's TLS settings from files, and the clients that refuse its certificate."""

import logging
import os
from pathlib import Path

from h3push import _quic

logger = logging.getLogger("h3push.server")

FilePath = str | os.PathLike[str]


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
    chain = _read_pem(certfile, "certificate")
    key = _read_pem(keyfile, "private key")
    try:
        log = None if key_log_file is None else os.fspath(key_log_file)
        return _quic.ServerTls([(chain, key)], early_data=early_data, ticket_key=ticket_key, key_log_file=log)
    except ValueError as error:
        raise ValueError(f"{os.fspath(certfile)} and {os.fspath(keyfile)} cannot be used: {error}") from None
    except OSError as error:  # the only file that is opened below
        assert key_log_file is not None
        raise ValueError(_sentence("write the key log", key_log_file, error)) from None


def _read_pem(path: FilePath, what: str) -> bytes:
    """Read a PEM file. A truncated one is found here, because parsers do not say clearly what is wrong with it."""
    try:
        pem = Path(path).read_bytes()
    except OSError as error:
        raise ValueError(_sentence(f"read the {what}", path, error)) from None
    if pem.count(b"-----BEGIN ") != pem.count(b"-----END "):
        raise ValueError(f"the {what} {os.fspath(path)} is cut off: a section of it has no end")
    return pem


def _sentence(what: str, path: FilePath, error: OSError) -> str:
    return f"cannot {what} {os.fspath(path)}: {(error.strerror or str(error)).lower()}"


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
