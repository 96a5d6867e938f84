"""What `run.py` measures, and for which servers."""

import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "peers"))

from contents import PUSHES

IDLE_CONNECTIONS = 10_000
GROWTH = (10, 100, 1_000)
"""Connections of the growth scenario."""

HANDLER, COMPILED = "h3push", "h3push, compiled"
ASGI, ASGI_COMPILED = "h3push, ASGI", "h3push, ASGI, compiled"
FILES, FILES_COMPILED = "h3push, static files", "h3push, static files, compiled"
NATIVE = "quinn + h3 (native)"
AIOQUIC, AIOQUIC_DIRECT, QH3 = "aioquic", "aioquic, no task", "qh3"
HYPERCORN, CADDY, NGINX = "Hypercorn", "Caddy", "nginx"

APPLICATIONS = (ASGI_COMPILED, ASGI, HYPERCORN)
HANDLERS = (COMPILED, HANDLER, NATIVE, AIOQUIC, AIOQUIC_DIRECT, QH3, *APPLICATIONS)
WEB = (CADDY, NGINX)
PUSHING = (COMPILED, HANDLER, AIOQUIC_DIRECT, QH3)
"""Those that can push."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One thing to measure."""

    key: str
    """Its name in `--only`."""
    title: str
    """Its heading."""
    load: tuple[str, ...]
    """Arguments of the load client."""
    servers: tuple[str, ...]
    """Who takes part, in the order of the table."""
    unit: str = "requests/s"
    """Of the rate: operations, or "MB/s"."""
    rounds: int | None = None
    """Measured in so many rounds only, where it takes long and varies little."""


SCENARIOS = (
    Scenario(
        "requests-1x50",
        "Responses of 1 KB, 1 connection x 50 streams",
        ("requests", "--connections", "1", "--streams", "50"),
        (*HANDLERS, *WEB),
    ),
    Scenario(
        "distinct-1x50",
        "Responses of 1 KB, 1 connection x 50 streams, no two requests the same",
        ("requests", "--connections", "1", "--streams", "50", "--distinct", "1"),
        (COMPILED, HANDLER, NATIVE, AIOQUIC, QH3, ASGI_COMPILED, ASGI, *WEB),
    ),
    Scenario(
        "requests-50x1",
        "Responses of 1 KB, 50 connections x 1 stream",
        ("requests", "--connections", "50", "--streams", "1"),
        (*HANDLERS, *WEB),
    ),
    Scenario(
        "requests-1x1",
        "Responses of 1 KB, 1 connection x 1 stream",
        ("requests", "--connections", "1", "--streams", "1"),
        (COMPILED, HANDLER, NATIVE, QH3, ASGI_COMPILED, ASGI, *WEB),
    ),
    Scenario(
        "hello-asgi",
        "ASGI hello, 1 connection x 50 streams",
        ("requests", "--connections", "1", "--streams", "50", "--path", "/hello"),
        (*APPLICATIONS, *WEB),
    ),
    Scenario(
        "static",
        "Static file of 1 KB, 1 connection x 50 streams",
        ("requests", "--connections", "1", "--streams", "50", "--path", "/static/1k"),
        (FILES_COMPILED, FILES, *WEB),
    ),
    Scenario(
        "bulk",
        "200 MB in one response (what 3 s bring, where that is less)",
        ("bulk", "--path", "/bulk", "--cap", "3"),
        (COMPILED, HANDLER, FILES_COMPILED, FILES, NATIVE, AIOQUIC, QH3, *APPLICATIONS, *WEB),
        "MB/s",
    ),
    Scenario(
        "upload",
        "Uploads of 20 MB",
        ("upload", "--path", "/upload"),
        (COMPILED, HANDLER, NATIVE, AIOQUIC, QH3, *APPLICATIONS),
        "MB/s",
    ),
    Scenario(
        "connects",
        "New connections with one request, 16 at once",
        ("connects", "--streams", "16"),
        (*HANDLERS, *WEB),
        "connections/s",
    ),
    Scenario(
        "page-1k-requested",
        f"A page and {PUSHES} resources of 1 KB, all requested, 4 connections",
        ("pages", "--push", "0", "--path", "/page", "--resource", "/1k"),
        PUSHING,
        "pages/s",
    ),
    Scenario(
        "page-1k-pushed",
        f"A page and {PUSHES} resources of 1 KB, pushed",
        ("pages", "--push", "1", "--path", "/push-1k"),
        PUSHING,
        "pages/s",
    ),
    Scenario(
        "page-1k-at-hand",
        f"A page and {PUSHES} resources of 1 KB, pushed, their responses at hand",
        ("pages", "--push", "1", "--path", "/push-1k-at-hand"),
        (COMPILED, HANDLER),
        "pages/s",
    ),
    Scenario(
        "page-100k-requested",
        f"A page and {PUSHES} resources of 100 KB, all requested, 4 connections",
        ("pages", "--push", "0", "--path", "/page", "--resource", "/100k"),
        (COMPILED, HANDLER, QH3),
        "pages/s",
    ),
    Scenario(
        "page-100k-pushed",
        f"A page and {PUSHES} resources of 100 KB, pushed",
        ("pages", "--push", "1", "--path", "/push-100k"),
        (COMPILED, HANDLER, QH3),
        "pages/s",
    ),
    *(
        Scenario(
            f"growth-{connections}",
            f"1 KB, {connections:,} connections x 1 stream",
            ("requests", "--connections", str(connections), "--streams", "1", "--warm", "1.0"),
            (COMPILED, HANDLER, NATIVE),
        )
        for connections in GROWTH
    ),
    Scenario(
        "idle",
        f"Memory of {IDLE_CONNECTIONS:,} idle connections that made one request each",
        ("idle", "--connections", str(IDLE_CONNECTIONS), "--cap", "100"),
        (COMPILED, HANDLER, ASGI_COMPILED, ASGI, NATIVE, AIOQUIC, QH3, *WEB),
        "KB each",
        rounds=1,
    ),
)
