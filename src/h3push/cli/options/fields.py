"""The fields of a request, as `-H` and its kin mean them."""

import base64
import os
import re
from collections.abc import Iterable

import rich_click as click

from h3push.cli.options.arguments import Arguments

USER_AGENT = b"h3push"
"""The User-Agent field, when no option says."""
TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""A method or a field name (RFC 9110 section 5.6.2)."""
UNSENDABLE = re.compile(rb"[\0\r\n]")
"""Bytes that no field value may have (RFC 9110 section 5.5)."""
AUTO_REFERER = ";auto"
"""The end of `-e` that has each redirect name the URL that it came from."""

Field = tuple[bytes, bytes]
"""Name, in lower case, and value."""


def request_fields(arguments: Arguments, authorization: str | None, content_fields: Iterable[Field]) -> list[Field]:
    """Give the request's fields: curl's defaults, what the flags add, and what `-H` says in place of either.

    Args:
        arguments: the command line.
        authorization: the Authorization field that the URL means.
        content_fields: those that the content needs.
    """
    given = [_parse_field(line) for line in arguments.header]
    replaced = {name for name, _ in given}
    defaults = [*_default_fields(arguments, authorization), *content_fields]
    return [
        *((name, value) for name, value in defaults if name not in replaced),
        *((name, value) for name, value in given if value),
    ]


def request_method(method: str) -> str:
    """Check a method of the command line."""
    if not TOKEN.fullmatch(os.fsencode(method)):
        raise click.BadParameter(f"{method!r} is no request method.", param_hint="--request")
    return method


def _default_fields(arguments: Arguments, authorization: str | None) -> list[Field]:
    user_agent = USER_AGENT if arguments.user_agent is None else _value(arguments.user_agent, "--user-agent")
    fields = [(b"user-agent", user_agent)] if user_agent else []
    fields.append((b"accept", b"*/*"))
    if arguments.compressed:
        from h3push.cli.output.coding import accepted_codings

        fields.append((b"accept-encoding", accepted_codings().encode()))
    if arguments.range is not None:
        fields.append((b"range", b"bytes=" + _value(arguments.range, "--range")))
    referer = (arguments.referer or "").removesuffix(AUTO_REFERER)
    if referer:
        fields.append((b"referer", _value(referer, "--referer")))
    if arguments.user is not None:
        credentials = os.fsencode(_with_password(arguments.user))
        fields.append((b"authorization", b"Basic " + base64.b64encode(credentials)))
    elif authorization is not None:
        fields.append((b"authorization", authorization.encode("ascii")))
    return fields


def _parse_field(line: str) -> Field:
    """Split `NAME: VALUE`; `NAME;` is a field without a value, as curl writes it."""
    name, colon, value = os.fsencode(line).partition(b":")
    if not colon and name.endswith(b";"):
        return _field(line, name[:-1], b" ")
    if not colon:
        raise _no_field(line)
    return _field(line, name, value.strip())


def _field(line: str, name: bytes, value: bytes) -> Field:
    name = name.strip().lower()
    if not TOKEN.fullmatch(name) or UNSENDABLE.search(value):
        raise _no_field(line)
    return name, value


def _no_field(line: str) -> click.BadParameter:
    return click.BadParameter(f"{line!r} is not of the form 'NAME: VALUE'.", param_hint="--header")


def _value(text: str, flag: str) -> bytes:
    value = os.fsencode(text)
    if UNSENDABLE.search(value):
        raise click.BadParameter(f"{text!r} cannot be sent in a field.", param_hint=flag)
    return value


def _with_password(user: str) -> str:
    if ":" in user:
        return user
    return f"{user}:{click.prompt(f'Password of {user}', hide_input=True, err=True, default='', show_default=False)}"
