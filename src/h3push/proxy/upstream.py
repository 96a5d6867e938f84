"""An upstream: a server of HTTP/1.1 or HTTP/2 that answers what the proxy is asked."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from h3push.http.fields import Fields

_PORTS = {"http": 80, "h2c": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where an upstream is."""

    scheme: str
    """"http" or "https"."""
    host: str
    """Name or address; "" for a UNIX socket."""
    port: int
    """TCP port."""
    socket: str | None = None
    """Path of a UNIX socket."""
    prefix: str = ""
    """Put before every path, without a final slash."""
    http2: bool = False
    """Speak HTTP/2 to it, not HTTP/1.1."""

    def __str__(self) -> str:
        return f"unix:{self.socket}" if self.socket is not None else f"{self.origin}{self.prefix}"

    @property
    def origin(self) -> str:
        """Scheme and authority."""
        return f"{self.scheme}://{self.authority}"

    @property
    def authority(self) -> str:
        """Its own Host."""
        if self.socket is not None:
            return "localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def parse_upstream(text: str, *, http2: bool = False) -> Upstream:
    """Read an upstream as people type it: a URL, HOST:PORT, :PORT or unix:PATH. `ValueError` with a sentence.

    `http2`: speak HTTP/2 to it; h2c:// says the same.
    """
    if text.startswith("unix:"):
        path = text.removeprefix("unix:").removeprefix("//")
        if not path.startswith("/"):
            raise ValueError(f"{text}: a UNIX socket is given by its whole path, as unix:/run/app.sock")
        return Upstream("http", "", 0, socket=path, http2=http2)
    if "://" not in text:
        text = f"http://localhost{text}" if text.startswith(":") else f"http://{text}"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{text} is no address of an upstream: {error}") from None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError(f"{text}: an upstream is http://HOST:PORT, https://HOST, h2c://HOST:PORT or unix:/PATH")
    if parts.query or parts.fragment or parts.username:
        raise ValueError(f"{text}: an upstream has neither a query, nor a fragment, nor a user")
    scheme = "http" if parts.scheme == "h2c" else parts.scheme
    prefix = parts.path.rstrip("/")
    return Upstream(scheme, parts.hostname, port or _PORTS[scheme], prefix=prefix, http2=http2 or parts.scheme == "h2c")


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """A request as it goes to an upstream."""

    method: bytes
    target: bytes
    """Path and query."""
    authority: bytes | None
    """Host; `None`: the upstream's own."""
    fields: Fields
    """The others, names in lower case, with Content-Length where it is known."""
    content: bytes | AsyncIterator[bytes] = b""

    @property
    def may_repeat(self) -> bool:
        """True when it may be sent again although an upstream may have seen it (RFC 9110 section 9.2.2)."""
        return isinstance(self.content, bytes) and self.method in _IDEMPOTENT


_IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})

OnInterim = Callable[[int, Fields], Awaitable[None]]
"""Called with each interim response."""


class UpstreamResponse(Protocol):
    """An answer under way."""

    status: int
    fields: Fields
    """Names in lower case."""
    version: str
    """Version of HTTP that it came by, as Via names it."""
    ended: bool
    """True when nothing comes after what was read."""

    @property
    def trailers(self) -> Fields:
        """The trailer section, after the end of the content."""

    async def read(self) -> bytes:
        """The next piece of the content; b"" at its end. `UpstreamFailed` when the rest does not come."""

    def close(self) -> None:
        """Give up what was not read."""


class Keeper(Protocol):
    """The keeper of a connection."""

    def over(self, connection: Any) -> None:
        """An exchange on it is over."""

    def lost(self, connection: Any) -> None:
        """It is closed."""


def make_context(cafile: str | None, verify: bool, http2: bool) -> ssl.SSLContext:
    """TLS for https upstreams. `ValueError` when the CA file cannot be used."""
    try:
        context = ssl.create_default_context(cafile=cafile)
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"{cafile} cannot be used: {error}") from None
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"] if http2 else ["http/1.1"])
    return context
