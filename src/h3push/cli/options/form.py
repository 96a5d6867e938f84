"""Forms, as `-F` means them: multipart/form-data, encoded by httpx2, whose files are read while they are sent."""

import mimetypes
import os
from collections.abc import AsyncIterator
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any

import rich_click as click

from h3push.cli.failures import CommandFailed, ExitCode, file_failure

DEFAULT_TYPE = "application/octet-stream"
"""Media type of a file whose name tells none, as in curl."""


class FormContent:
    """A multipart form; each iteration begins anew.

    Arguments:
        fields: `NAME=VALUE`, `NAME=@FILE`, `NAME=<FILE`, each with `;type=...` and `;filename=...` where curl takes them.
        stack: closes the files.
    """

    def __init__(self, fields: tuple[str, ...], stack: ExitStack) -> None:
        try:
            httpx2 = import_module("httpx2")
        except ImportError:
            raise CommandFailed("forms (-F) need httpx2: pip install 'h3push[client]'") from None
        parts = [_part(field, stack) for field in fields]
        self._request = httpx2.Request("POST", "https://form.invalid/", files=parts)
        self.content_type: str = self._request.headers["content-type"]
        """With the boundary."""
        length = self._request.headers.get("content-length")
        self.length: int | None = None if length is None else int(length)
        """In bytes; `None` when a part cannot tell."""
        self.is_repeatable = self.length is not None
        """False when a part can be read once only."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for data in self._request.stream:
            yield data


def _part(field: str, stack: ExitStack) -> tuple[str, tuple[Any, ...]]:
    name, equals, value = field.partition("=")
    if not equals or not name:
        raise click.BadParameter(f"{field!r} is not of the form NAME=VALUE.", param_hint="--form")
    value, *parameters = value.split(";")
    known = dict(parameter.strip().partition("=")[::2] for parameter in parameters)
    if value[:1] not in {"@", "<"} and not set(known) & {"type", "filename"}:
        value, known = ";".join([value, *parameters]), {}
    if value.startswith("<"):
        return name, (known.get("filename"), _read(value[1:]), *_media_type(known, None))
    if not value.startswith("@"):
        return name, (known.get("filename"), os.fsencode(value), *_media_type(known, None))
    path = value[1:]
    guessed = mimetypes.guess_type(path)[0] or DEFAULT_TYPE
    return name, (known.get("filename", Path(path).name), _open(path, stack), *_media_type(known, guessed))


def _media_type(known: dict[str, str], default: str | None) -> list[str]:
    media_type = known.get("type", default)
    return [] if media_type is None else [media_type]


def _open(path: str, stack: ExitStack) -> Any:
    try:
        return stack.enter_context(Path(path).open("rb"))
    except OSError as error:
        raise file_failure(error, "read", path, ExitCode.READ_ERROR) from None


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise file_failure(error, "read", path, ExitCode.READ_ERROR) from None
