"""Certificates: files of the user's own, or one made for development."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import rich_click as click

from h3push.cli.failures import CommandFailed, file_failure
from h3push.cli.serving.flag import FILE, Subject, flag


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """The files of a certificate, of its key, and of the authority that a client has to trust."""

    certfile: Path
    """Certificate chain, PEM."""
    keyfile: Path
    """Its key, PEM."""
    cafile: Path | None = None
    """The authority's certificate, where we know it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates(Subject):
    """The certificate."""

    heading = "Certificates"

    certfile: Path | None = flag("--certfile FILE", "Certificate chain (PEM).", also="--ssl-certfile", type=FILE)
    keyfile: Path | None = flag("--keyfile FILE", "Its private key (PEM).", also="--ssl-keyfile", type=FILE)
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
        if not self.dev and (self.certfile is None or self.keyfile is None):
            raise click.UsageError("HTTP/3 needs a certificate: give --dev, or --certfile and --keyfile.")

    def find(self, host: str) -> CertificateFiles:
        """Find the certificate; make or renew one for development. Raises `CommandFailed`."""
        if self.dev:
            return development_files(self.dev_dir, (host, *self.name))
        assert self.certfile is not None
        assert self.keyfile is not None
        return CertificateFiles(self.certfile, self.keyfile)


def development_files(directory: Path | None, names: Sequence[str]) -> CertificateFiles:
    """Make or renew the development certificate for `names`. Raises `CommandFailed`."""
    from h3push.server.certificates import AuthorityError, development_certificates, state_directory

    directory = directory or state_directory()
    try:
        made = development_certificates(directory, names)
    except OSError as error:
        raise file_failure(error, "keep certificates in", directory) from None
    except AuthorityError as error:
        raise CommandFailed(str(error)) from None
    except ValueError as error:
        raise CommandFailed(f"no certificate can be made for {', '.join(names)}: {error}") from None
    return CertificateFiles(made.certfile, made.keyfile, made.cafile)
