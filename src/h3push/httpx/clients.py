"""httpx2's clients with our transport: redirects, cookies, auth, multipart and decompression are httpx2's."""

from typing import Any, cast

try:
    import httpx2

    from h3push.httpx.transport import AsyncTransport, Transport
except ImportError as error:
    raise ImportError(
        f"h3push.AsyncClient, h3push.Client and h3push.get need {error.name}: pip install 'h3push[client]'"
    ) from None

from h3push.client.pool import TakePushes
from h3push.client.push_stats import PushStats
from h3push.httpx.sender import Verify


class _PushStatistics:
    """The statistics of a client's transport."""

    _pushing: Any

    @property
    def push_stats(self) -> PushStats:
        """The fate of all pushes so far."""
        stats: PushStats = self._pushing.push_stats
        return stats


class AsyncClient(_PushStatistics, httpx2.AsyncClient):
    """`httpx2.AsyncClient` over HTTP/3, with pushes that answer its requests.

    Args:
        push: "cache": a pushed response answers the next request that it matches. "off": the server may not push. A function,
            sync or async, is asked about each promise and refuses it with False.
        verify: True: the authorities of the system. False: no check, for tests on your own machine. Or a PEM file, or an
            `ssl.SSLContext` with authorities.
        fallback: True: httpx2's own transport takes what HTTP/3 cannot: where nothing answers, and http URLs.
        transport: instead of all these.
        options: all others are httpx2's.
    """

    def __init__(
        self,
        *,
        push: TakePushes = "cache",
        verify: Verify = True,
        fallback: bool = True,
        transport: Any = None,
        **options: Any,
    ) -> None:
        self._pushing = cast("Any", transport or AsyncTransport(push=push, verify=verify, fallback=fallback))
        super().__init__(transport=self._pushing, **options)


class Client(_PushStatistics, httpx2.Client):
    """`httpx2.Client` over HTTP/3, with pushes that answer its requests. Arguments as of `AsyncClient`."""

    def __init__(
        self,
        *,
        push: TakePushes = "cache",
        verify: Verify = True,
        fallback: bool = True,
        transport: Any = None,
        **options: Any,
    ) -> None:
        self._pushing = cast("Any", transport or Transport(push=push, verify=verify, fallback=fallback))
        super().__init__(transport=self._pushing, **options)


def get(
    url: str, *, verify: Verify = True, fallback: bool = True, timeout: Any = 5.0, **options: Any
) -> httpx2.Response:
    """One GET over HTTP/3, read to its end. The server may not push: nothing would use it.

    Args:
        url: an https URL.
        verify: as of `AsyncClient`.
        fallback: as of `AsyncClient`.
        timeout: httpx2's: seconds, or an `httpx2.Timeout`.
        options: of `httpx2.Client.get`: `params`, `headers`, `cookies`, `auth`, `follow_redirects`.

    Raises: httpx2.HTTPError: it failed; the sentence says why.
    """
    with Client(push="off", verify=verify, fallback=fallback, timeout=timeout) as client:
        return client.get(url, **options)
