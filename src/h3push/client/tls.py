"""TLS settings of a client from files: whom to trust, and who the client is."""

import os
import ssl
from pathlib import Path

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from h3push import _quic
from h3push.http.arguments import check_type

FilePath = str | os.PathLike[str]
Certificate = FilePath | tuple[FilePath, FilePath] | tuple[FilePath, FilePath, str | bytes | None]
"""A client certificate as httpx has it: one PEM file with chain and key; or a file for each; or these and the key's password."""

_OF_THE_ENVIRONMENT = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_PEM = b"-----BEGIN "


def make_tls(
    trust: FilePath | bytes | None = None,
    *,
    verify: bool = True,
    early_data: bool = False,
    cert: Certificate | None = None,
    trust_env: bool = True,
) -> _quic.ClientTls:
    """TLS settings of a client.

    Args:
        trust: the only authorities to trust, instead of the system's: a PEM file, a directory of them, or PEM.
        verify: False accepts every certificate.
        early_data: sessions that allow it are resumed in 0-RTT.
        cert: the client's own certificate.
        trust_env: False: SSL_CERT_FILE and SSL_CERT_DIR do not say where the system's authorities are.

    Raises:
        ValueError: a file cannot be used.
    """
    pem = trust if isinstance(trust, bytes | None) else authorities(trust)
    if pem is None and verify and not trust_env and any(os.environ.get(name) for name in _OF_THE_ENVIRONMENT):
        pem = _compiled_in()
    key_log = os.environ.get("SSLKEYLOGFILE")
    identity = None if cert is None else _identity(cert)
    try:
        return _quic.ClientTls(
            trust=pem, verify=verify, early_data=early_data, identity=identity, key_log_file=key_log
        )  # fmt: skip
    except OSError as error:
        raise ValueError(f"cannot write the key log {key_log!r} (SSLKEYLOGFILE): {error.strerror or error}") from None


def authorities(path: FilePath) -> bytes:
    """The certificates in a PEM file, or in all those of a directory. `ValueError` when there is none."""
    where = Path(path)
    if not where.is_dir():
        return _read(where, "the authorities")
    found = _pem_files(where)
    if not found:
        raise ValueError(f"there is no PEM file in {os.fspath(path)!r}")
    return found


def _compiled_in() -> bytes | None:
    """The authorities of the places that OpenSSL was built with, which no variable changes."""
    places = ssl.get_default_verify_paths()
    if Path(places.openssl_cafile).is_file():
        return Path(places.openssl_cafile).read_bytes()
    directory = Path(places.openssl_capath)
    return (_pem_files(directory) if directory.is_dir() else b"") or None


def _pem_files(directory: Path) -> bytes:
    """Every PEM file of a directory once, though most are there under a second name too."""
    files = {path.resolve() for path in directory.iterdir() if path.is_file()}
    contents = (path.read_bytes() for path in sorted(files))
    return b"\n".join(content for content in contents if _PEM in content)


def _identity(cert: Certificate) -> tuple[bytes, bytes]:
    """The chain and the key, both PEM."""
    check_type("cert", cert, str, os.PathLike, tuple)
    if not isinstance(cert, tuple):
        both = _read(Path(cert), "the client certificate")
        return both, both
    if len(cert) not in {2, 3}:
        raise ValueError("cert= is a file, or a tuple of certificate file, key file and perhaps password")
    chain = _read(Path(cert[0]), "the client certificate")
    key = _read(Path(cert[1]), "the client's key")
    password = cert[2] if len(cert) == 3 else None
    return chain, key if password is None else _decrypted(key, password, os.fspath(cert[1]))


def _decrypted(key: bytes, password: str | bytes, name: str) -> bytes:
    secret = password.encode() if isinstance(password, str) else password
    try:
        opened = load_pem_private_key(key, secret)
    except (ValueError, TypeError) as error:
        raise ValueError(f"cannot open the client's key in {name!r} with this password: {error}") from None
    return opened.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot read {what} in {os.fspath(path)!r}: {error.strerror or error}") from None
