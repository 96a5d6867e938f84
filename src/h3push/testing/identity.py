"""Certificates for rigs: the same bytes for the same seed, so that no handshake's size ever varies.

Ed25519, because its keys come from 32 chosen bytes and its signatures contain no randomness and have one length. The
authority and the leaf have fixed serial numbers and dates. Nobody should trust these: the private keys follow from the seed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

_NOT_BEFORE = datetime(2020, 1, 1, tzinfo=UTC)
_NOT_AFTER = datetime(2099, 12, 31, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Identity:
    """A server's certificate, its key, and the authority that a client has to trust; all PEM."""

    certificate: bytes
    """The leaf; a server sends nothing else."""
    key: bytes
    """PKCS 8."""
    authority: bytes
    """The self-signed root."""


def make_identity(names: Sequence[str], *, seed: int = 0) -> Identity:
    """Make the identity of a server with these names (DNS names, wildcards, IP addresses).

    Raises `ValueError` when there are no names.
    """
    if not names:
        raise ValueError("a certificate needs at least one name")
    authority_key, leaf_key = _key(f"{seed}/authority"), _key(f"{seed}/leaf")
    authority_name = _name("h3push rig authority")
    authority = (
        _builder(authority_name, authority_name, authority_key, serial=1)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(authority_key, None)
    )
    leaf = (
        _builder(_name("h3push rig"), authority_name, leaf_key, serial=2)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(authority_key, None)
    )
    private = leaf_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Identity(leaf.public_bytes(Encoding.PEM), private, authority.public_bytes(Encoding.PEM))


def _key(seed: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(sha256(seed.encode()).digest())


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(subject: x509.Name, issuer: x509.Name, key: Ed25519PrivateKey, *, serial: int) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(_NOT_BEFORE)
        .not_valid_after(_NOT_AFTER)
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
