"""Certificates for development: a certificate authority of one's own, and a server certificate that it signs.

Both live in one directory (`state_directory`)::

    ca.pem       the CA's certificate, for clients to trust (`--cacert`)
    ca.key       its key; whoever has it can pose as any server to those who trust the CA (mode 0600)
    server.pem   the server's certificate and the CA's
    server.key   its key (mode 0600)

They are made once and used again, so that a CA stays trusted. Files in its place that make no CA are an error: they may be
somebody's own. Each file is written whole or not at all, and a key before its certificate. A lock keeps starting servers apart.
"""

import base64
import fcntl
import hashlib
import ipaddress
import logging
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

logger = logging.getLogger("h3push.server")

CA_LIFETIME = timedelta(days=3650)
"""Ten years: replacing a CA means that everybody must trust the new one."""
SERVER_LIFETIME = timedelta(days=30)
"""Short, because it renews itself; Chromium takes at most 14 days only for certificates pinned by hash."""
RENEW_BEFORE = timedelta(days=7)
"""A certificate that expires within this time is made anew."""
BACKDATE = timedelta(hours=1)
"""Certificates are valid from an hour ago: the clocks of a machine and its containers differ."""
WARN_BEFORE = timedelta(days=7)
"""A certificate of the user's own that expires within this time, or a tenth of its life if that is less, is worth a line."""
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
"""Names in every development certificate."""


class AuthorityError(ValueError):
    """The files of the CA exist and cannot be used; the sentence names them."""


@dataclass(frozen=True, slots=True)
class DevelopmentCertificates:
    """The files to serve with, and the file to trust."""

    cafile: Path
    """The CA's certificate, PEM."""
    certfile: Path
    """The server's certificate chain, PEM."""
    keyfile: Path
    """The server's key, PEM."""


def state_directory() -> Path:
    """The directory for state that outlives a run: `$XDG_STATE_HOME/h3push`, by default `~/.local/state/h3push`.

    A relative `$XDG_STATE_HOME` is ignored, as the XDG Base Directory Specification demands.
    """
    state_home = Path(os.environ.get("XDG_STATE_HOME", ""))
    if not state_home.is_absolute():
        state_home = Path.home() / ".local" / "state"
    return state_home / "h3push"


def development_certificates(
    directory: Path, names: Iterable[str] = (), *, now: datetime | None = None
) -> DevelopmentCertificates:
    """Make or renew the certificates in `directory` where necessary, for `LOCAL_NAMES` and `names`.

    Raises:
        OSError: the directory cannot be made or written to.
        AuthorityError: `ca.pem` and `ca.key` exist and cannot be used.
        ValueError: a name that cannot stand in a certificate.
    """
    now = now or datetime.now(UTC)
    wanted = dict.fromkeys([*LOCAL_NAMES, *(name for name in names if not _is_wildcard_address(name))])
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(directory):
        authority = _load_authority(directory, now) or _make_authority(directory, now)
        server = _load(directory / "server.pem", directory / "server.key")
        if server is None or _ends_soon(server[0], now) or not _serves(server[0], authority[0], wanted):
            _make_server(directory, authority, wanted, now)
    return DevelopmentCertificates(directory / "ca.pem", directory / "server.pem", directory / "server.key")


def expiry_notice(certfile: Path, *, now: datetime | None = None) -> str | None:
    """A line about a certificate that has expired, is about to expire (`WARN_BEFORE`), or is not valid yet; else `None`."""
    now = now or datetime.now(UTC)
    try:
        leaf = x509.load_pem_x509_certificates(certfile.read_bytes())[0]
    except (OSError, ValueError):
        return None
    begins, ends = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    if now >= ends:
        return f"the certificate {certfile} expired on {ends:%Y-%m-%d %H:%M} UTC: clients refuse it"
    if now < begins:
        return f"the certificate {certfile} is valid from {begins:%Y-%m-%d %H:%M} UTC on: until then, clients refuse it"
    if ends - now < min(WARN_BEFORE, (ends - begins) / 10):
        return f"the certificate {certfile} expires on {ends:%Y-%m-%d %H:%M} UTC"
    return None


def key_hash(certfile: Path) -> str:
    """The hash by which Chromium takes a certificate: SHA-256 of its public key (SubjectPublicKeyInfo), in base64."""
    return key_hash_of(x509.load_pem_x509_certificates(certfile.read_bytes())[0])


def key_hash_of(certificate: x509.Certificate) -> str:
    """The same of a certificate at hand."""
    encoded = certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return base64.b64encode(hashlib.sha256(encoded).digest()).decode("ascii")


_Pair = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def _load_authority(directory: Path, now: datetime) -> _Pair | None:
    """The CA; `None` when there is none yet, or it expires soon."""
    certfile, keyfile = directory / "ca.pem", directory / "ca.key"
    there = [file for file in (certfile, keyfile) if file.exists()]
    if len(there) < 2:
        if there:
            logger.warning("%s is alone: a new authority is made, which clients have to trust anew", there[0])
        return None
    authority = _load(certfile, keyfile)
    if authority is None:
        raise AuthorityError(
            f"{certfile} and {keyfile} are no certificate authority of ours: remove both to have a new one made, or give another "
            "directory"
        )
    if _ends_soon(authority[0], now):
        logger.warning("the authority in %s ends: a new one is made, which clients have to trust anew", certfile)
        return None
    return authority


def _ends_soon(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_after_utc - now <= RENEW_BEFORE


def _load(certfile: Path, keyfile: Path) -> _Pair | None:
    """A certificate with its key; `None` when either is absent or broken, or they do not belong together."""
    try:
        certificate = x509.load_pem_x509_certificates(certfile.read_bytes())[0]
        key = serialization.load_pem_private_key(keyfile.read_bytes(), password=None)
    except (FileNotFoundError, ValueError, TypeError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or certificate.public_key() != key.public_key():
        return None
    return certificate, key


def _serves(certificate: x509.Certificate, authority: x509.Certificate, names: Iterable[str]) -> bool:
    """True when the CA signed the certificate and all of `names` stand in it."""
    try:
        certificate.verify_directly_issued_by(authority)
        held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except Exception:
        return False
    return all(_general_name(name) in held for name in names)


def _make_authority(directory: Path, now: datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "h3push development CA")])
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        _builder(name, name, key.public_key(), now, CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write(directory / "ca.key", _key_bytes(key), 0o600)
    _write(directory / "ca.pem", _certificate_bytes(certificate), 0o644)
    return certificate, key


def _make_server(directory: Path, authority: _Pair, names: Iterable[str], now: datetime) -> None:
    ca_certificate, ca_key = authority
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "h3push development server")])
    identifier = ca_certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    certificate = (
        _builder(subject, ca_certificate.subject, key.public_key(), now, SERVER_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    _write(directory / "server.key", _key_bytes(key), 0o600)
    _write(directory / "server.pem", _certificate_bytes(certificate) + _certificate_bytes(ca_certificate), 0o644)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    now: datetime,
    lifetime: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + lifetime)
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _is_wildcard_address(name: str) -> bool:
    """`0.0.0.0` and `::` mean every address; nobody connects to them by that name."""
    try:
        return ipaddress.ip_address(name).is_unspecified
    except ValueError:
        return not name


def _key_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _certificate_bytes(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _write(path: Path, data: bytes, mode: int) -> None:
    """Replace a file at once: readers see the old one or the new one."""
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as opened:
            os.fchmod(handle, mode)
            opened.write(data)
            opened.flush()
            os.fsync(handle)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Let one process in at a time; the lock ends with its process."""
    with (directory / ".lock").open("w") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
