"""Redirects, as `-L` follows them: curl's rules.

Authorization, Cookie and Host that were given go to the first origin alone, unless `--location-trusted` says otherwise: another
one has no claim on them.
"""

from collections.abc import Callable
from dataclasses import replace

from h3push.cli.failures import CommandFailed, ExitCode
from h3push.cli.options.arguments import Arguments
from h3push.cli.options.fields import AUTO_REFERER
from h3push.cli.options.request import Request
from h3push.cli.outcome import Reply
from h3push.http.url import origin_of, resolve

REDIRECTS = frozenset({301, 302, 303, 307, 308})
"""Statuses whose Location names where to go on (RFC 9110 section 15.4)."""
KEEPS_METHOD = frozenset({307, 308})
"""Those that have the same request sent again, whatever it is."""
SEE_OTHER = 303
"""The one that turns every method into GET; 301 and 302 turn POST alone."""
CONTENT_FIELDS = frozenset({b"content-type", b"content-length"})
"""Fields that go with content, and are not sent without it."""


CREDENTIALS = frozenset({b"authorization", b"cookie"})
"""Fields that go to the first origin alone."""


def location_of(request: Request, reply: Reply) -> str | None:
    """Give the absolute https URL that a redirect leads to; `None` for any other response."""
    if reply.status not in REDIRECTS or not reply.headers.get("location"):
        return None
    return resolve(request.url, reply.headers["location"])


def followed(arguments: Arguments, first: Request) -> Callable[[Request, Reply], Request | None]:
    """Make what tells the next request after `first`; each call of it counts against `--max-redirs`."""
    left = arguments.max_redirs

    def follow(request: Request, reply: Reply) -> Request | None:
        nonlocal left
        if reply.status not in REDIRECTS:
            return None
        written = reply.headers.get("location")
        if not written:  # it leads nowhere, and is the response
            return None
        url = location_of(request, reply)
        if url is None:
            raise CommandFailed(
                f"the redirect leads to {written}, which is no https URL: fetch it with another program"
            )
        if left == 0:
            sentence = f"more than {arguments.max_redirs} redirects (--max-redirs)"
            raise CommandFailed(sentence, ExitCode.TOO_MANY_REDIRECTS)
        left -= 1
        return request_for(arguments, first, _next(arguments, request, reply.status, url))

    return follow


def is_trusted(arguments: Arguments, first: str, url: str) -> bool:
    """Tell whether a URL may have the credentials that were given for the first one."""
    return arguments.location_trusted or origin_of(url) == origin_of(first)


def request_for(arguments: Arguments, first: Request, request: Request) -> Request:
    """Give a request as its origin may have it: no other than the first gets credentials, and a Host, that were given."""
    fields = tuple(field for field in request.fields if field[0] not in CREDENTIALS)
    if not is_trusted(arguments, first.url, request.url):
        return replace(request, fields=fields, authority=None)
    given = tuple(field for field in first.fields if field[0] in CREDENTIALS)
    return replace(request, fields=(*fields, *given), authority=first.authority)


def _next(arguments: Arguments, request: Request, status: int, url: str) -> Request:
    fields = request.fields
    if (arguments.referer or "").endswith(AUTO_REFERER):
        fields = (*(field for field in fields if field[0] != b"referer"), (b"referer", request.url.encode("ascii")))
    if _is_kept(request.method, status):
        if not request.is_repeatable:
            raise CommandFailed("the redirect asks for the content again, and it can be read only once: send a file")
        return replace(request, url=url, fields=fields)
    fields = tuple(field for field in fields if field[0] not in CONTENT_FIELDS)
    method = "GET" if arguments.request is None else request.method
    return replace(request, url=url, method=method, fields=fields, content=None, is_repeatable=True)


def _is_kept(method: str, status: int) -> bool:
    """Tell whether the same request is sent again; otherwise it becomes a GET (RFC 9110 section 15.4)."""
    if method in {"GET", "HEAD"} or status in KEEPS_METHOD:
        return True
    return status != SEE_OTHER and method != "POST"
