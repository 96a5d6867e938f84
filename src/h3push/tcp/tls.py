"""TLS for the TCP side, from the files that QUIC uses too."""

import os
import ssl
from pathlib import Path


def make_context(
    certfile: Path, keyfile: Path, versions: list[str], *, key_log_file: str | None = None
) -> ssl.SSLContext:
    """Make a server's TLS context.

    Args:
        certfile: certificate chain, PEM.
        keyfile: its private key, PEM.
        versions: names of HTTP's versions in ALPN, the best first: "h2", "http/1.1".
        key_log_file: the secrets of all connections are appended to it.

    Raises:
        ValueError: the files cannot be used; the sentence names them.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(versions)
    if key_log_file is not None:
        context.keylog_filename = key_log_file
    load_certificate(context, certfile, keyfile)
    return context


def load_certificate(context: ssl.SSLContext, certfile: Path, keyfile: Path) -> None:
    """Use a certificate for connections that begin from now on. `ValueError` when the files cannot be used."""
    try:
        context.load_cert_chain(certfile, keyfile)
    except (OSError, ssl.SSLError) as error:
        names = f"{os.fspath(certfile)} and {os.fspath(keyfile)}"
        raise ValueError(f"{names} cannot be used over TCP: {error}") from None
