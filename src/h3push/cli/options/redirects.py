"""Redirects, as `-L` follows them: curl's rules, within the origin that the connection leads to."""

from collections.abc import Callable
from dataclasses import replace

from h3push.cli.failures import CommandFailed, ExitCode
from h3push.cli.options.arguments import Arguments
from h3push.cli.options.fields import AUTO_REFERER
from h3push.cli.options.request import Request
from h3push.client.response import ClientResponse
from h3push.http.url import origin_of, resolve

REDIRECTS = frozenset({301, 302, 303, 307, 308})
"""Statuses whose Location names where to go on (RFC 9110 section 15.4)."""
KEEPS_METHOD = frozenset({307, 308})
"""Those that have the same request sent again, whatever it is."""
SEE_OTHER = 303
"""The one that turns every method into GET; 301 and 302 turn POST alone."""
CONTENT_FIELDS = frozenset({b"content-type", b"content-length"})
"""Fields that go with content, and are not sent without it."""


def location_of(request: Request, response: ClientResponse) -> str | None:
    """Give the absolute https URL that a redirect leads to; `None` for any other response."""
    if response.status not in REDIRECTS or not response.headers.get("location"):
        return None
    return resolve(request.url, response.headers["location"])


def followed(arguments: Arguments) -> Callable[[Request, ClientResponse], Request | None]:
    """Make what tells the next request; each call of it counts against `--max-redirs`."""
    left = arguments.max_redirs

    def follow(request: Request, response: ClientResponse) -> Request | None:
        nonlocal left
        if not arguments.location or response.status not in REDIRECTS:
            return None
        written = response.headers.get("location")
        if not written:  # it leads nowhere, and is the response
            return None
        url = location_of(request, response)
        if url is None or origin_of(url) != origin_of(request.url):
            raise CommandFailed(f"the redirect leads to {written}, which is another origin: ask for that URL")
        if left == 0:
            sentence = f"more than {arguments.max_redirs} redirects (--max-redirs)"
            raise CommandFailed(sentence, ExitCode.TOO_MANY_REDIRECTS)
        left -= 1
        return _next(arguments, request, response.status, url)

    return follow


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
