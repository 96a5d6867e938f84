"""A request as people read it, over the head that is on the wire."""

from mypy_extensions import mypyc_attr

from h3push.http.fields import RequestHead
from h3push.http.headers import Headers


@mypyc_attr(allow_interpreted_subclasses=True)
class RequestView:
    """A request, requested or promised, received or sent."""

    __slots__ = ()

    head: RequestHead
    """As it is on the wire."""

    @property
    def method(self) -> str:
        """The method, such as "GET"."""
        return self.head.method.decode("latin-1")

    @property
    def scheme(self) -> str:
        """The scheme; "https" nearly always."""
        return (self.head.scheme or b"").decode("latin-1")

    @property
    def authority(self) -> str:
        """Host, and port where it is not 443 (`:authority`, or Host)."""
        return (self.head.authority or b"").decode("latin-1")

    @property
    def path(self) -> str:
        """The path with its query, percent-encoded as it stands there; "" for CONNECT."""
        return (self.head.path or b"").decode("latin-1")

    @property
    def url(self) -> str:
        """The whole URL."""
        return f"{self.scheme}://{self.authority}{self.path}"

    @property
    def headers(self) -> Headers:
        """The header fields."""
        return Headers.wrap(self.head.fields)
