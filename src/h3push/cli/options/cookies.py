"""Cookies, as `-b` and `-c` mean them: the rules are those of `http.cookiejar`, the file is Netscape's."""

import os
from email.message import Message
from http.cookiejar import LoadError, MozillaCookieJar
from pathlib import Path
from typing import Any, cast
from urllib.request import Request

from h3push.cli.failures import CommandFailed, ExitCode, file_failure
from h3push.http.headers import Headers


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
        self._jar = MozillaCookieJar() if files or target is not None else None
        for name in files:
            if name:  # an empty name only turns the jar on, as in curl
                self._load(name)

    def header(self, url: str) -> bytes | None:
        """Give the Cookie field of a request."""
        stored = None
        if self._jar is not None:
            request = Request(url)  # noqa: S310 - never opened: it is what the jar asks about URL and fields
            self._jar.add_cookie_header(request)
            stored = request.get_header("Cookie")
        return b"; ".join(filter(None, [_field_bytes(stored or ""), os.fsencode(self._fixed)])) or None

    def extract(self, url: str, headers: Headers) -> None:
        """Take the cookies that a response sets."""
        if self._jar is None:
            return
        message = Message()
        for value in headers.get_all("set-cookie"):
            message["Set-Cookie"] = value
        response = cast("Any", _Response(message))
        self._jar.extract_cookies(response, Request(url))  # noqa: S310 - as above

    def save(self) -> None:
        """Write the file of `-c`."""
        if self._target is None or self._jar is None:
            return
        self._jar.clear_expired_cookies()
        for cookie in self._jar:
            if cookie.expires is None:
                cookie.expires = 0  # a session's cookie, as curl writes it
        try:
            self._jar.save("/dev/stdout" if self._target == "-" else self._target, True, True)
        except OSError as error:
            raise file_failure(error, "write", self._target, ExitCode.WRITE_ERROR) from None

    def _load(self, name: str) -> None:
        assert self._jar is not None
        if not Path(name).exists():
            return  # as in curl: the first run has none yet
        try:
            self._jar.load(name, ignore_discard=True, ignore_expires=True)
        except OSError as error:
            sentence = f"{name} is no file of cookies in Netscape's format"
            if isinstance(error, LoadError):
                raise CommandFailed(sentence, ExitCode.READ_ERROR) from None
            raise file_failure(error, "read", name, ExitCode.READ_ERROR) from None
        for cookie in self._jar:
            if cookie.expires == 0:
                cookie.expires = None
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
