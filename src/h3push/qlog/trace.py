"""A file of qlog: JSON text sequences (RFC 7464), one file for each connection, which qvis opens.

The header names the file twice: as the drafts do now (`file_schema`), and as qvis looks for it (`qlog_version`).
"""

import json
import logging
import secrets
import time
from pathlib import Path
from typing import IO, Any

from h3push.qlog.observer import ConnectionObserver
from h3push.wire.registry import Role

logger = logging.getLogger("h3push.qlog")

RECORD_SEPARATOR = "\x1e"
"""Begins each text of a sequence (RFC 7464 section 2.2)."""
EVENT_SCHEMA = "urn:ietf:params:qlog:events:http3-13"
"""The draft whose words the events use."""


class Trace:
    """The file of one connection. Failing to write it is logged once, and disturbs nothing else.

    Args:
        directory: where the file goes; its name is that of the connection.
        role: which end writes.
        title: names the connection to people.
    """

    def __init__(self, directory: Path, role: Role, title: str) -> None:
        self.connection = secrets.token_hex(8)
        """The connection's name in the file."""
        self.path = directory / f"{self.connection}_{role.value}.sqlog"
        """The file."""
        self._file: IO[str] | None = None
        self._offset = time.time() - time.monotonic()
        try:
            self._file = self.path.open("w", encoding="utf-8")
        except OSError as error:
            self._failed(error)
        self._write(_header(self.connection, role, title))

    def event(self, name: str, data: dict[str, Any]) -> None:
        """Write an event that happens now."""
        milliseconds = round((time.monotonic() + self._offset) * 1000, 3)
        self._write({"time": milliseconds, "name": name, "data": data})

    def close(self) -> None:
        """Close the file. Harmless when it is closed."""
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError as error:
                self._failed(error)

    def _write(self, value: dict[str, Any]) -> None:
        if self._file is None:
            return
        try:
            self._file.write(f"{RECORD_SEPARATOR}{json.dumps(value, separators=(',', ':'))}\n")
        except OSError as error:
            self._file = None
            self._failed(error)

    def _failed(self, error: OSError) -> None:
        logger.error("%s cannot be written: %s", self.path, error.strerror or error)


def observe(directory: Path, role: Role, title: str) -> ConnectionObserver:
    """Watch a connection, and write a file about it."""
    return ConnectionObserver(role, Trace(directory, role, title))


def _header(connection: str, role: Role, title: str) -> dict[str, Any]:
    return {
        "qlog_version": "0.3",
        "qlog_format": "JSON-SEQ",
        "file_schema": "urn:ietf:params:qlog:file:sequential",
        "serialization_format": "application/qlog+json-seq",
        "title": f"h3push: {title}",
        "trace": {
            "title": title,
            "vantage_point": {"name": "h3push", "type": role.value},
            "event_schemas": [EVENT_SCHEMA],
            "common_fields": {
                "group_id": connection,
                "protocol_types": ["QUIC", "HTTP3"],
                "time_format": "relative_to_epoch",
                "reference_time": {"clock_type": "system", "epoch": "1970-01-01T00:00:00.000Z"},
            },
        },
    }
