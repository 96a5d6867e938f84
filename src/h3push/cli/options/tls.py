"""The client's side of TLS, as `-k`, `--cacert`, `--cert` and `--key` mean it."""

import os
import ssl
from importlib import import_module
from pathlib import Path
from typing import Any

import rich_click as click

from h3push import _quic
from h3push.cli.failures import CommandFailed, ExitCode, file_failure
from h3push.cli.options.arguments import Arguments


def client_tls(arguments: Arguments) -> _quic.ClientTls:
    """Read the files. Raises `CommandFailed` with the name of one that cannot be used."""
    trust = None if arguments.cacert is None else _read(arguments.cacert, "the authorities", ExitCode.CACERT)
    if trust is not None:
        _check(arguments.cacert, ExitCode.CACERT, trust=trust)
    identity = _identity(arguments)
    if identity is not None:
        _check(arguments.cert, ExitCode.CLIENT_CERTIFICATE, identity=identity)
    key_log = os.environ.get("SSLKEYLOGFILE") or None
    try:
        return _quic.ClientTls(trust=trust, verify=not arguments.insecure, identity=identity, key_log_file=key_log)
    except OSError as error:
        raise file_failure(error, "write the key log (SSLKEYLOGFILE)", key_log or "", ExitCode.WRITE_ERROR) from None


def ordinary_tls(arguments: Arguments) -> ssl.SSLContext:
    """The same for TLS over TCP. `client_tls` has found the files good."""
    if arguments.cacert is not None:
        context = ssl.create_default_context(cafile=arguments.cacert)
    else:
        truststore: Any = import_module("truststore")
        context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if arguments.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if arguments.cert is not None:
        try:
            context.load_cert_chain(arguments.cert, arguments.key)
        except (OSError, ssl.SSLError) as error:
            sentence = f"{arguments.cert} cannot be used over TCP: {error}"
            raise CommandFailed(sentence, ExitCode.CLIENT_CERTIFICATE) from None
    if key_log := os.environ.get("SSLKEYLOGFILE"):
        context.keylog_filename = key_log
    return context


def _identity(arguments: Arguments) -> tuple[bytes, bytes] | None:
    if arguments.cert is None:
        if arguments.key is not None:
            raise click.UsageError("--key goes with --cert.")
        return None
    chain = _read(arguments.cert, "the certificate", ExitCode.CLIENT_CERTIFICATE)
    return chain, chain if arguments.key is None else _read(arguments.key, "the key", ExitCode.CLIENT_CERTIFICATE)


def _read(path: Path, what: str, code: ExitCode) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise file_failure(error, f"read {what} in", path, code) from None


def _check(path: Path | None, code: ExitCode, **settings: object) -> None:
    """Tell which file cannot be used."""
    try:
        _quic.ClientTls(**settings)  # type: ignore[arg-type]
    except ValueError as error:
        raise CommandFailed(f"{path} cannot be used: {error}", code) from None
