"""Which connections over TCP share their page views.

Theory of operation. Over HTTP/2 a client has one connection, as over HTTP/3, and its page views are those of the connection. A
browser that speaks HTTP/1.1 opens up to six and takes one page over all of them, so that five of them begin with something that
is no page. Therefore the connections of one address and one User-Agent share their page views, for as long as one of them is
open; clients that cannot be told apart by these two are one visitor. Several workers share nothing, and the connections of one
browser come to any of them: there its rows over HTTP/1.1 say nothing of page views. Programs name no destination
(`Sec-Fetch-Dest`), and each connection of theirs stands for itself.
"""

from weakref import WeakValueDictionary

from h3push.server.access_log import AccessLog
from h3push.server.views import Views
from h3push.tcp.request import TcpRequest


class ClientViews:
    """The page views of one connection, or of several."""

    __slots__ = ("__weakref__", "name", "views")

    def __init__(self, name: str) -> None:
        self.name = name
        """The connection's name in the log."""
        self.views = Views()
        """Its page views."""


class Visits:
    """The visits of one listener."""

    def __init__(self) -> None:
        self.is_split = False
        """True when other processes accept connections of the same clients."""
        self._of_browsers: WeakValueDictionary[tuple[str, str], ClientViews] = WeakValueDictionary()

    def of(self, request: TcpRequest, log: AccessLog) -> ClientViews | None:
        """The visit of a connection, by its first request; `None` when nobody knows what came over the others."""
        headers = request.headers
        if request.http_version == "2" or "sec-fetch-dest" not in headers:
            return ClientViews(log.name_connection())
        if self.is_split:
            return None
        key = request.client[0], headers.get("user-agent") or ""
        visit = self._of_browsers.get(key)
        if visit is None:
            visit = self._of_browsers[key] = ClientViews(log.name_connection())
        return visit
