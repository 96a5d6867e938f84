"""The contents that every server of the benchmark answers with: the same bytes from all of them."""

import os
from pathlib import Path

ONE_K = b"x" * 1024
"""Of `/1k`."""
HELLO = b"Hello, world!"
"""Of `/hello`."""
HUNDRED_K = b"y" * 102_400
"""Of `/100k`."""
BULK = b"x" * int(os.environ.get("BENCH_BULK", "200_000_000"))
"""Of `/bulk`; `clients.py` asks for more."""
PUSHES = 20
"""Resources of `/page`, `/push-1k` and `/push-100k`."""

BODIES = {"/1k": ONE_K, "/hello": HELLO, "/100k": HUNDRED_K, "/bulk": BULK, "/page": ONE_K}
"""Content by path."""

PUSHED = {"/push-1k": "/1k", "/push-100k": "/100k"}
"""Pages that come with `PUSHES` pushes, each of that path."""

AT_HAND = {"/push-1k-at-hand": "/1k"}
"""The same, by h3push alone: with the promise it is given the response."""


def write_site(root: Path) -> None:
    """Write the same as files, for servers of files: `/static/1k` and `/bulk`."""
    (root / "static").mkdir(parents=True, exist_ok=True)
    (root / "static" / "1k").write_bytes(ONE_K)
    (root / "bulk").write_bytes(BULK)
