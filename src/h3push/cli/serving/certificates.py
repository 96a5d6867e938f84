"""Certificates: files of the user's own, or one made for development."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import rich_click as click

from h3push.cli.failures import CommandFailed, file_failure
from h3push.cli.serving.flag import FILE, Subject, flag


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """The files of certificates and keys, and of the authority that a client has to trust."""

    pairs: tuple[tuple[Path, Path], ...]
    """Certificate chain and key, PEM, of each."""
    cafile: Path | None = None
    """The authority's certificate, where we know it."""

    @property
    def certfile(self) -> Path:
        """The first certificate, which clients without SNI are shown."""
        return self.pairs[0][0]


class ClientAuthType(click.Choice[str]):
    """`required` or `optional`, or uvicorn's number for it (that of `ssl.VerifyMode`)."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read one."""
        return super().convert(_VERIFY_MODES.get(str(value), value), param, ctx)


_VERIFY_MODES = {"2": "required", "1": "optional", "CERT_REQUIRED": "required", "CERT_OPTIONAL": "optional"}
"""Of uvicorn and gunicorn, and of Hypercorn."""


class TlsVersionType(click.Choice[str]):
    """The oldest version of TLS, or uvicorn's number for "whatever is safe" (`ssl.PROTOCOL_TLS`, `ssl.PROTOCOL_TLS_SERVER`)."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read one."""
        return super().convert({"2": "1.2", "17": "1.2"}.get(str(value), value), param, ctx)


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates(Subject):
    """Certificates of the server, and of its clients."""

    heading = "Certificates"

    certfile: tuple[Path, ...] = flag(
        "--certfile FILE",
        "Certificate chain (PEM); several are chosen by their names.",
        also="--ssl-certfile",
        type=FILE,
        multiple=True,
    )
    keyfile: tuple[Path, ...] = flag(
        "--keyfile FILE",
        "Its private key (PEM), one for each.  [default: in the certfile]",
        also="--ssl-keyfile",
        type=FILE,
        multiple=True,
    )
    keyfile_password: str | None = flag(
        "--keyfile-password TEXT", "Password of an encrypted key; others can see it.", also="--ssl-keyfile-password"
    )
    keyfile_password_file: Path | None = flag(
        "--keyfile-password-file FILE", "The file of this password.  [default: it is asked for]", type=FILE
    )
    client_ca: Path | None = flag(
        "--client-ca FILE",
        "Ask clients for certificates of these authorities.",
        also="--ssl-ca-certs --ca-certs",
        type=FILE,
    )
    client_auth: str | None = flag(
        "--client-auth HOW",
        "optional: let in clients that show none.  [default: required]",
        also="--ssl-cert-reqs --cert-reqs --verify-mode",
        type=ClientAuthType(["required", "optional"]),
    )
    ssl_ciphers: str | None = flag("--ssl-ciphers LIST", "OpenSSL's list for TLS 1.2, over TCP.", also="--ciphers")
    ssl_version: str = flag(
        "--ssl-version VERSION",
        "Oldest TLS over TCP.",
        default="1.2",
        type=TlsVersionType(["1.2", "1.3"]),
    )
    early_data: bool = flag("--early-data", "Answer repeatable requests in 0-RTT.")
    dev: bool = flag("--dev", "Make a development CA and a certificate, once, and use them.")
    name: tuple[str, ...] = flag(
        "--name HOST", "Add a name to the certificate of --dev; may be repeated.", multiple=True
    )
    dev_dir: Path | None = flag(
        "--dev-dir DIR", "Where --dev keeps them.  [default: $XDG_STATE_HOME/h3push]", type=FILE
    )

    def check(self) -> None:
        """Ask for one way to a certificate, and no more than one."""
        if (self.dev_dir is not None or self.name) and not self.dev:
            raise click.UsageError("--dev-dir and --name go with --dev.")
        if self.dev and (self.certfile or self.keyfile):
            raise click.UsageError("Give --dev or --certfile and --keyfile, not both.")
        if not self.dev and not self.certfile:
            raise click.UsageError("HTTP/3 needs a certificate: give --dev, or --certfile and --keyfile.")
        if self.keyfile and len(self.certfile) != len(self.keyfile):
            raise click.UsageError(
                f"Each --certfile needs its --keyfile: there are {len(self.certfile)} and {len(self.keyfile)}."
            )
        if self.keyfile_password is not None and self.keyfile_password_file is not None:
            raise click.UsageError("Give --keyfile-password or --keyfile-password-file, not both.")
        if self.client_auth is not None and self.client_ca is None:
            raise click.UsageError("--client-auth goes with --client-ca: no client is asked for a certificate.")

    def find(self, host: str) -> CertificateFiles:
        """Find the certificates; make or renew one for development. Raises `CommandFailed`."""
        if self.dev:
            from h3push.server.machine import machine_names

            return development_files(self.dev_dir, (host, *self.name), machine_names())
        return CertificateFiles(tuple(zip(self.certfile, self._keyfiles(), strict=True)))

    def _keyfiles(self) -> tuple[Path, ...]:
        """The file of each key: where none is named, its certificate's, which has to hold it. Raises `CommandFailed`."""
        if not self.keyfile:
            for certfile in self.certfile:
                if b"PRIVATE KEY-----" not in _read(certfile):
                    raise CommandFailed(f"{certfile} holds no private key: give its file with --keyfile")
        return self.keyfile or self.certfile

    def password(self) -> bytes:
        """The password of encrypted keys, from the command line, its file, or whoever sits there. Raises `CommandFailed`."""
        if self.keyfile_password is not None:
            return self.keyfile_password.encode()
        if self.keyfile_password_file is not None:
            try:
                return self.keyfile_password_file.read_bytes().rstrip(b"\r\n")
            except OSError as error:
                raise file_failure(error, "read the password", self.keyfile_password_file) from None
        return _ask_password(self.keyfile or self.certfile)


def _read(certfile: Path) -> bytes:
    try:
        return certfile.read_bytes()
    except OSError as error:
        raise file_failure(error, "read the certificate", certfile) from None


@cache
def _ask_password(keyfiles: tuple[Path, ...]) -> bytes:
    """Ask once: workers, and a reload, use the same answer."""
    names = " and ".join(map(str, keyfiles))
    if not sys.stdin or not sys.stdin.isatty():
        raise CommandFailed(
            f"the private key {names} is encrypted: give its password with --keyfile-password-file "
            "or in H3PUSH_KEYFILE_PASSWORD"
        )
    answer: str = click.prompt(f"Password of {names}", hide_input=True, err=True)
    return answer.encode()


def development_files(directory: Path | None, names: Sequence[str], of_machine: Sequence[str] = ()) -> CertificateFiles:
    """Make or renew the development certificate for `names`, and those of this machine. Raises `CommandFailed`."""
    from h3push.server.certificates import AuthorityError, development_certificates, state_directory

    directory = directory or state_directory()
    try:
        made = development_certificates(directory, (*names, *of_machine))
    except OSError as error:
        raise file_failure(error, "keep certificates in", directory) from None
    except AuthorityError as error:
        raise CommandFailed(str(error)) from None
    except ValueError as error:
        raise CommandFailed(f"no certificate can be made for {', '.join(names)}: {error}") from None
    return CertificateFiles(((made.certfile, made.keyfile),), made.cafile)
