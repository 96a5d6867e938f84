"""httpx2's clients with our transport: redirects, cookies, auth, multipart and decompression are httpx2's."""

from typing import Any, cast

try:
    import httpx2

    from h3push.httpx.transport import AsyncTransport, Transport, TransportOptions
except ImportError as error:
    raise ImportError(
        f"h3push.AsyncClient, h3push.Client and h3push.get need {error.name}: pip install 'h3push[client]'"
    ) from None

from h3push.client.pool import TakePushes
from h3push.client.push_stats import PushStats
from h3push.client.tls import Certificate
from h3push.httpx.library import library_of
from h3push.httpx.sender import Verify


class _Pushing:
    """The additions of our clients to those of httpx2."""

    _pushing: Any

    @property
    def push_stats(self) -> PushStats:
        """The fate of all pushes so far."""
        stats: PushStats = self._pushing.push_stats
        return stats

    def _options(self, options: dict[str, Any]) -> dict[str, Any]:
        """The arguments of httpx2's client: a proxy's transport, which is httpx2's own, trusts and shows the same as ours."""
        if options.get("proxy") is not None and isinstance(self._pushing, AsyncTransport | Transport):
            options["verify"] = self._pushing.context(library_of(httpx2.Request))
        return {"transport": self._pushing, **options}


class AsyncClient(_Pushing, httpx2.AsyncClient):
    """`httpx2.AsyncClient` over HTTP/3, with pushes that answer its requests.

    Args:
        push: "cache": a pushed response answers the next request that it matches. "off": the server may not push. A function,
            sync or async, is asked about each promise and refuses it with False.
        verify: True: the authorities of the system. False: no check, for tests on your own machine. Or a PEM file, a directory of
            them, or an `ssl.SSLContext` with authorities.
        cert: the client's certificate: a PEM file with chain and key, a tuple of a file for each, or these and the password.
        trust_env: False: SSL_CERT_FILE and SSL_CERT_DIR do not say where the authorities of the system are.
        fallback: True: httpx2's own transport takes what HTTP/3 cannot: where nothing answers, and http URLs.
        transport: instead of all these.
        options: all others are httpx2's. A `proxy` takes every request, as HTTP/3 goes through no HTTP proxy; those of the
            environment are not used, as with any `transport`.
    """

    def __init__(
        self,
        *,
        push: TakePushes = "cache",
        verify: Verify = True,
        cert: Certificate | None = None,
        trust_env: bool = True,
        fallback: bool = True,
        transport: Any = None,
        **options: Any,
    ) -> None:
        ours = TransportOptions(push=push, verify=verify, cert=cert, trust_env=trust_env, fallback=fallback)
        self._pushing = cast("Any", transport or AsyncTransport(**ours))
        super().__init__(trust_env=trust_env, **self._options(options))


class Client(_Pushing, httpx2.Client):
    """`httpx2.Client` over HTTP/3, with pushes that answer its requests. Arguments as of `AsyncClient`."""

    def __init__(
        self,
        *,
        push: TakePushes = "cache",
        verify: Verify = True,
        cert: Certificate | None = None,
        trust_env: bool = True,
        fallback: bool = True,
        transport: Any = None,
        **options: Any,
    ) -> None:
        ours = TransportOptions(push=push, verify=verify, cert=cert, trust_env=trust_env, fallback=fallback)
        self._pushing = cast("Any", transport or Transport(**ours))
        super().__init__(trust_env=trust_env, **self._options(options))


def get(
    url: str,
    *,
    verify: Verify = True,
    cert: Certificate | None = None,
    trust_env: bool = True,
    fallback: bool = True,
    timeout: Any = 5.0,
    **options: Any,
) -> httpx2.Response:
    """One GET over HTTP/3, read to its end. The server may not push: nothing would use it.

    Args:
        url: an https URL.
        verify: as of `AsyncClient`.
        cert: as of `AsyncClient`.
        trust_env: as of `AsyncClient`.
        fallback: as of `AsyncClient`.
        timeout: httpx2's: seconds, or an `httpx2.Timeout`.
        options: of `httpx2.Client.get`: `params`, `headers`, `cookies`, `auth`, `follow_redirects`.

    Raises: httpx2.HTTPError: it failed; the sentence says why.
    """
    tls: dict[str, Any] = {"verify": verify, "cert": cert, "trust_env": trust_env}
    with Client(push="off", fallback=fallback, timeout=timeout, **tls) as client:
        return client.get(url, **options)
