"""Cookies, as `-b` and `-c` mean them: the rules are those of `http.cookiejar`, the file is Netscape's."""

import os
import re
from email.message import Message
from http.cookiejar import LoadError, MozillaCookieJar
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, cast
from urllib.request import Request

import rich_click as click

from h3push.cli.failures import CommandFailed, ExitCode, file_failure
from h3push.http.headers import Headers

STANDARD_OUTPUT = "-"
"""The file name that means standard output."""
HTTP_ONLY = re.compile(r";\s*HttpOnly(?=\s*(;|$))", re.IGNORECASE)
"""The attribute, which the jar knows in one spelling alone when it writes its file."""
LOCAL = ".local"
"""The jar's ending for hosts without a dot; in a file, which curl may read, they stand as they are."""


class Cookies:
    """The cookies of one command.

    Arguments:
        given: what `-b` says: `NAME=VALUE; ...` where it has a `=`, else the name of a file.
        target: the file of `-c`.
    """

    def __init__(self, given: tuple[str, ...], target: str | None) -> None:
        self._fixed = "; ".join(cookies.strip("; ") for cookies in given if "=" in cookies)
        files = [name for name in given if "=" not in name]
        self._target = target
        self._dotless: set[str] = set()
        self._jar = MozillaCookieJar() if files or target is not None else None
        for name in files:
            if name:  # an empty name only turns the jar on, as in curl
                self._load(name)

    def header(self, url: str, *, with_given: bool = True) -> bytes | None:
        """Give the Cookie field of a request: of the jar, and of the command line where the URL may have it."""
        stored = None
        if self._jar is not None:
            request = Request(url)  # noqa: S310 - never opened: it is what the jar asks about URL and fields
            self._jar.add_cookie_header(request)
            stored = request.get_header("Cookie")
        given = os.fsencode(self._fixed) if with_given else b""
        return b"; ".join(filter(None, [_field_bytes(stored or ""), given])) or None

    def extract(self, url: str, headers: Headers) -> None:
        """Take the cookies that a response sets."""
        if self._jar is None:
            return
        message = Message()
        for value in headers.get_all("set-cookie"):
            message["Set-Cookie"] = HTTP_ONLY.sub("; HTTPOnly", value)
        response = cast("Any", _Response(message))
        request = Request(url)  # noqa: S310 - as above
        if "." not in request.host:
            self._dotless.add(request.host.partition(":")[0])
        self._jar.extract_cookies(response, request)

    def save(self) -> None:
        """Write the file of `-c`; `-` is standard output."""
        if self._target is None or self._jar is None:
            return
        self._jar.clear_expired_cookies()
        for cookie in self._jar:
            host = cookie.domain.removesuffix(LOCAL)
            cookie.domain = host if host in self._dotless else cookie.domain
            cookie.expires = cookie.expires or 0
        try:
            if self._target == STANDARD_OUTPUT:
                self._print()
            else:
                self._jar.save(self._target, ignore_discard=True, ignore_expires=True)
        except OSError as error:
            raise file_failure(error, "write", self._target, ExitCode.WRITE_ERROR) from None

    def _print(self) -> None:
        """The jar writes only files that it opens itself; an opened /dev/stdout would begin at its first byte again."""
        assert self._jar is not None
        with NamedTemporaryFile("r", encoding="utf-8") as file:
            self._jar.save(file.name, ignore_discard=True, ignore_expires=True)
            click.echo(file.read(), nl=False)

    def _load(self, name: str) -> None:
        assert self._jar is not None
        if not Path(name).exists():
            return  # as in curl: the first run has none yet
        try:
            self._jar.load(name, ignore_discard=True, ignore_expires=True)
        except (LoadError, UnicodeDecodeError):
            sentence = f"{name} is no file of cookies in Netscape's format"
            raise CommandFailed(sentence, ExitCode.READ_ERROR) from None
        except OSError as error:
            raise file_failure(error, "read", name, ExitCode.READ_ERROR) from None
        loaded, self._jar = self._jar, MozillaCookieJar()
        for cookie in loaded:
            if "." not in cookie.domain:
                self._dotless.add(cookie.domain)
                cookie.domain += LOCAL
            cookie.expires = cookie.expires or None
            self._jar.set_cookie(cookie)
        self._jar.clear_expired_cookies()


def _field_bytes(cookies: str) -> bytes:
    """A cookie as it came: fields are latin-1 to us, a file of cookies is UTF-8."""
    try:
        return cookies.encode("latin-1")
    except UnicodeEncodeError:
        return cookies.encode("utf-8", "surrogateescape")


class _Response:
    """The one method that the jar asks of a response."""

    def __init__(self, message: Message) -> None:
        self._message = message

    def info(self) -> Message:
        return self._message
