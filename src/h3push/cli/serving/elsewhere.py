"""Flags of other servers that have no meaning here, and the sentence that says why."""

from collections.abc import Mapping

import rich_click as click

_LOOP = "h3push runs on asyncio's own event loop"
_PARSERS = "HTTP/3 has one implementation here, and --tcp chooses the server of HTTP/1.1 and HTTP/2"
_BACKGROUND = "systemd or a container runs it in the background, and as which user"
_ASGI = "applications are ASGI 3; a2wsgi makes one of a WSGI application"

ELSEWHERE: Mapping[str, str] = {
    "--loop": _LOOP,
    "--worker-class": _LOOP,
    "-k": _LOOP,
    "--http": _PARSERS,
    "--http2": "HTTP/2 is there with zttp (pip install 'h3push[http2]')",
    "--http3": "HTTP/3 is always there",
    "--ws": _PARSERS,
    "--interface": _ASGI,
    "--server-header": "no Server field is sent; --header 'Server: NAME' adds one",
    "--no-server-header": "no Server field is sent",
    "--insecure-bind": "--redirect-http PORT answers plain HTTP with the way to HTTPS",
    "--quic-bind": "UDP and TCP have the same port: --bind names it",
    "--access-logfile": "the access log goes to stdout",
    "--error-logfile": "errors go to stderr; --log-config sends them elsewhere",
    "--statsd-host": "--metrics [HOST:]PORT has the figures, for Prometheus",
    "--preload": "each worker imports the application for itself, so that a reload brings new code",
    "--threads": "--workers starts processes; an application's threads are its own",
    "--daemon": _BACKGROUND,
    "--pid": _BACKGROUND,
    "--user": _BACKGROUND,
    "--group": _BACKGROUND,
    "--umask": _BACKGROUND,
    "--debug": "--log-level debug tells more, and --reload starts what has changed",
    "--log-file": "errors go to stderr; --log-config sends them elsewhere",
    "--error-log": "errors go to stderr; --log-config sends them elsewhere",
    "--statsd-prefix": "--metrics [HOST:]PORT has the figures, for Prometheus",
    "--h11-max-incomplete-event-size": _PARSERS,
    "--reset-contextvars": "each request has a context of its own",
    "--timeout": "a worker that stops turning gets no new connections until it turns again",
    "--timeout-worker-healthcheck": "a worker that stops turning gets no new connections until it turns again",
}
"""Flag -> why it is none here."""


def explain(error: click.NoSuchOption) -> None:
    """Raise `click.UsageError` with the sentence for another server's flag; nothing for any other."""
    sentence = ELSEWHERE.get(error.option_name)
    if sentence is not None:
        raise click.UsageError(f"Leave out {error.option_name}: {sentence}.", error.ctx) from None
