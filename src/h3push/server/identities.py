"""The certificates of a server, with their keys: read from files, decrypted, and picked by the name that a client asks for.

The native module picks by the same rule (`rust/src/tls/certificates.rs`); this is for TLS over TCP, and for applications, which
are told which certificate a client was shown.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

FilePath = str | os.PathLike[str]

Password = Callable[[], bytes]
"""Gives the password of an encrypted key, which may mean to ask for it."""


@dataclass(frozen=True, slots=True)
class Identity:
    """One certificate and its key."""

    certfile: Path
    """The file of the chain, PEM."""
    keyfile: Path
    """The file of the key, PEM."""
    chain: bytes
    """The chain, PEM: the server's certificate first."""
    key: bytes
    """The key, PEM, not encrypted."""
    names: tuple[str, ...]
    """The DNS names in the certificate, in lower case, wildcards among them."""
    password: bytes | None = None
    """The password of the key's file."""

    @property
    def leaf(self) -> str:
        """The server's certificate alone, PEM."""
        end = b"-----END CERTIFICATE-----"
        return (self.chain.partition(end)[0] + end).decode("ascii", "replace") + "\n"


class Identities(tuple[Identity, ...]):
    """Every certificate of a server; the first one is for clients that name no server, or one that nobody has."""

    __slots__ = ()

    def find(self, server_name: str | None) -> Identity:
        """The identity that a client is shown: by the name itself first, by a wildcard for its parent next."""
        name = (server_name or "").rstrip(".").lower()
        wildcard = "*." + name.partition(".")[2]
        for wanted in (name, wildcard):
            for one in self:
                if wanted in one.names:
                    return one
        return self[0]


def read_identities(files: Sequence[tuple[FilePath, FilePath]], password: Password | None = None) -> Identities:
    """Read certificates and their keys.

    Args:
        files: certificate chain and private key, PEM, for each.
        password: gives the password of encrypted keys; called once, and only for one that is encrypted.

    Raises:
        ValueError: a file that cannot be read or decrypted; the sentence names it.
    """
    known: list[bytes] = []

    def once() -> bytes:
        if not known and password is not None:
            known.append(password())
        return known[0]

    return Identities(_read_identity(cert, key, None if password is None else once) for cert, key in files)


def _read_identity(certfile: FilePath, keyfile: FilePath, password: Password | None) -> Identity:
    chain, key = read_pem(certfile, "certificate"), read_pem(keyfile, "private key")
    used: bytes | None = None
    if b"ENCRYPTED" in key:
        if password is None:
            raise ValueError(
                f"the private key {os.fspath(keyfile)} is encrypted: give its password, with --keyfile-password"
            )
        used = password()
        key = _decrypted(key, used, keyfile)
    return Identity(Path(certfile), Path(keyfile), chain, key, _names(chain), used)


def read_pem(path: FilePath, what: str) -> bytes:
    """Read a PEM file. A truncated one is found here, because parsers do not say clearly what is wrong with it."""
    try:
        pem = Path(path).read_bytes()
    except OSError as error:
        raise ValueError(file_sentence(f"read the {what}", path, error)) from None
    if pem.count(b"-----BEGIN ") != pem.count(b"-----END "):
        raise ValueError(f"the {what} {os.fspath(path)} is cut off: a section of it has no end")
    return pem


def file_sentence(what: str, path: FilePath, error: OSError) -> str:
    """Say in a sentence that something cannot be done with a file."""
    return f"cannot {what} {os.fspath(path)}: {(error.strerror or str(error)).lower()}"


def _decrypted(key: bytes, password: bytes, path: FilePath) -> bytes:
    try:
        loaded = serialization.load_pem_private_key(key, password)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError(f"the private key {os.fspath(path)} does not open with this password") from None
    return loaded.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _names(chain: bytes) -> tuple[str, ...]:
    """The names in the first certificate; none in what is none, which the native module refuses with a better sentence."""
    try:
        leaf = x509.load_pem_x509_certificate(chain)
        held = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        return ()
    return tuple(name.lower() for name in held.get_values_for_type(x509.DNSName))
