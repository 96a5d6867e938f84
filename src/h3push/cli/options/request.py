"""From arguments to the request, and to the connection that it goes out on."""

import asyncio
import os
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from urllib.parse import quote, urlsplit

import rich_click as click

from h3push.cli.failures import CommandFailed, ExitCode
from h3push.cli.options.arguments import Arguments
from h3push.cli.options.content import STANDARD_INPUT, FilePart, Part, PartsContent, binary_part, data_part
from h3push.cli.options.fields import Field, request_fields, request_method
from h3push.cli.options.form import FormContent
from h3push.cli.options.url import typed_url
from h3push.http.content import Content, FileContent
from h3push.http.priority import Priority

FORM_TYPE = b"application/x-www-form-urlencoded"
"""Media type of what `-d` sends, when no `-H` says."""
HOST = b"host"
"""The field whose place :authority takes (RFC 9114 section 4.3.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request."""

    url: str
    """Absolute https URL, percent-encoded."""
    method: str = "GET"
    """Request method."""
    authority: str | None = None
    """Another authority than the URL's, as `-H 'Host: NAME'` says."""
    fields: tuple[Field, ...] = ()
    """Header fields."""
    content: Content = None
    """Its content."""
    is_repeatable: bool = True
    """False when the content can be read once only."""
    priority: Priority | None = None
    """Its priority; `None` leaves that to the server."""


@dataclass(frozen=True, slots=True)
class _Body:
    """Content, and what goes with it."""

    content: Content
    method: str
    fields: tuple[Field, ...] = ()
    is_repeatable: bool = True


def make_requests(arguments: Arguments, stack: ExitStack) -> list[Request]:
    """Make the request of each URL. Raises `click.UsageError` for arguments that contradict each other."""
    _check(arguments)
    uploads = [*arguments.upload_file, *[None] * len(arguments.urls)]
    requests = [_request(arguments, url, uploads.pop(0), stack) for url in arguments.urls]
    if len(requests) > 1 and not arguments.upload_file and not requests[0].is_repeatable:
        raise click.UsageError("what comes from a pipe can be sent to one URL only: send a file.")
    return requests


def _request(arguments: Arguments, written: str, upload: str | None, stack: ExitStack) -> Request:
    typed = typed_url(written)
    url = typed.url
    if arguments.get:
        url = _with_query(url, _data_parts(arguments))
    elif upload is not None and url.endswith("/"):
        url += quote(Path(upload).name) if upload != STANDARD_INPUT else ""
    body = _body(arguments, upload, stack)
    fields = request_fields(arguments, typed.authorization, body.fields)
    return Request(
        url=url,
        method=body.method if arguments.request is None else request_method(arguments.request),
        authority=_authority(fields),
        fields=tuple(field for field in fields if field[0] != HOST),
        content=body.content,
        is_repeatable=body.is_repeatable,
    )


def _authority(fields: list[Field]) -> str | None:
    """The authority that a Host field names."""
    value = next((value for name, value in fields if name == HOST), None)
    if value is not None and not value.isascii():
        raise click.BadParameter(f"{os.fsdecode(value)!r} is no host name.", param_hint="--header")
    return None if value is None else value.decode("ascii")


def _check(arguments: Arguments) -> None:
    data = bool(arguments.data or arguments.data_binary)
    contents = {"-d": data and not arguments.get, "-F": bool(arguments.form), "-T": bool(arguments.upload_file)}
    given = [flag for flag, is_given in contents.items() if is_given]
    if len(given) > 1:
        raise click.UsageError(f"{' and '.join(given)} each say what to send: give one of them.")
    if given and arguments.head:
        raise click.UsageError(f"-I asks for no content and {given[0]} sends some: give one of them.")
    if arguments.get and not data:
        raise click.UsageError("-G needs -d.")
    if len(arguments.upload_file) > len(arguments.urls):
        raise click.UsageError("there are more -T than URLs: give one for each URL.")


def _body(arguments: Arguments, upload: str | None, stack: ExitStack) -> _Body:
    if arguments.form:
        form = FormContent(arguments.form, stack)
        fields = ((b"content-type", form.content_type.encode()), *_length_field(form.length))
        return _Body(form, "POST", fields, form.is_repeatable)
    if upload is not None:
        return _upload(upload)
    if arguments.get or not (arguments.data or arguments.data_binary):
        return _Body(None, "HEAD" if arguments.head else "GET")
    parts = PartsContent(_data_parts(arguments))
    return _Body(parts, "POST", ((b"content-type", FORM_TYPE), *_length_field(parts.length)), parts.is_repeatable)


def _upload(name: str) -> _Body:
    part = FilePart(name)
    if not part.is_repeatable:
        return _Body(PartsContent([part]), "PUT", (), False)
    if not os.access(name, os.R_OK):
        raise CommandFailed(f"cannot read {name}: permission denied", ExitCode.READ_ERROR)
    return _Body(FileContent(name), "PUT")


def _length_field(length: int | None) -> tuple[Field, ...]:
    return () if length is None else ((b"content-length", b"%d" % length),)


def _data_parts(arguments: Arguments) -> list[Part]:
    """The parts of `-d` and `--data-binary` in the order in which they were typed."""
    plain, binary = map(data_part, arguments.data), map(binary_part, arguments.data_binary)
    typed = [name for name in arguments.order if name in {"data", "data_binary"}]
    order = [next(plain if name == "data" else binary) for name in typed]
    return [*order, *chain(plain, binary)]


def _with_query(url: str, parts: list[Part]) -> str:
    """Put the data behind the question mark, as `-G` does."""
    data = asyncio.run(_join(PartsContent(parts)))
    return typed_url(f"{url}{'&' if urlsplit(url).query else '?'}{os.fsdecode(data)}").url


async def _join(content: PartsContent) -> bytes:
    return b"".join([data async for data in content])
