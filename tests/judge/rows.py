"""Access logs made up for tests: page views in JSON lines, as the server writes them."""

import json
from pathlib import Path
from typing import Any

PAGE = {
    "time": "2026-11-28T18:35:19.123Z",
    "client": "198.51.100.1:50412",
    "method": "GET",
    "path": "/",
    "protocol": "HTTP/3",
    "status": 200,
    "bytes": 2000,
    "duration_ms": 1.0,
    "outcome": "complete",
    "push_id": None,
    "initiator": None,
    "user_agent": None,
    "connection": "c-1",
    "view": 1,
    "page": "/",
    "position": 0,
    "since_page_ms": 0.0,
    "think_ms": 5.0,
    "warm": False,
    "rtt_ms": 100.0,
    "window": 12_000,
    "conditional": False,
    "arm": None,
    "pushes_used": None,
    "pushes_unused": None,
}


class LogOfTest:
    """Collects rows."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def page(self, number: int, path: str = "/", **columns: Any) -> None:
        """A page on a connection of its own."""
        row = PAGE | {"connection": f"c-{number}", "path": path, "page": path}
        self.lines.append(json.dumps(row | columns))

    def member(self, number: int, path: str, page: str = "/", **columns: Any) -> None:
        """What went with the page of a connection."""
        row = PAGE | {"connection": f"c-{number}", "path": path, "page": page, "position": 1, "since_page_ms": 110.0}
        row |= {"bytes": 3000, "duration_ms": 10.0, "warm": None, "rtt_ms": None, "window": None}
        self.lines.append(json.dumps(row | columns))

    def write(self, path: Path) -> Path:
        """Write the file."""
        path.write_text("".join(f"{line}\n" for line in self.lines), encoding="utf-8")
        return path
