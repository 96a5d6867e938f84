"""The proxy's own cache: answers for everybody, kept while they are fresh (RFC 9111, as a shared cache).

The rules are hishel's, and `client.stored`'s for who may have whose answer. Only what says itself how long it is fresh is kept:
a guess is for a person's own cache. Whoever asks whether a version is still good is answered from here too.
"""

from collections.abc import AsyncIterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

from h3push.client.answer import Answer, Source
from h3push.client.revalidation import names_version, not_modified, without_conditions
from h3push.http.fields import Fields, RequestHead, ResponseHead
from h3push.http.headers import has_field
from h3push.http.semantics import SAFE_METHODS, freshness_lifetime
from h3push.proxy.forwarding import end_to_end
from h3push.proxy.settings import ProxySettings
from h3push.proxy.upstream import UpstreamRequest, UpstreamResponse
from h3push.runtime.settings import PushCacheSettings

if TYPE_CHECKING:
    from h3push.client.stored import ResponseStore

_READ = frozenset({b"GET", b"HEAD"})
_OF_THIS_HOP = frozenset(b"via forwarded x-forwarded-for x-forwarded-proto x-forwarded-host te".split())
"""Fields that we added, which differ for each client and make no other answer."""


class SharedCache:
    """The answers that are kept.

    Args:
        store: where they lie.
    """

    def __init__(self, store: "ResponseStore") -> None:
        self._store = store
        self.answered = 0
        """Requests that no upstream saw."""

    async def known(self, request: UpstreamRequest, authority: str) -> UpstreamResponse | None:
        """The answer that is kept for a request; `None` when an upstream has to be asked."""
        if (
            self._store.is_empty
            or request.method not in _READ
            or request.content != b""
            or has_field(request.fields, b"range")
        ):
            return None
        head = _head(request, authority)
        found = await self._store.get(head)
        plain = None if found is not None else without_conditions(head)
        answer = None if found is None else Answer(found.status, found.fields, Source.STORE, None, found.content)
        if plain is not None and (found := await self._store.get(plain)) is not None:
            answer = Answer(found.status, found.fields, Source.STORE, None, found.content)
            if names_version(list(head.fields), found.fields):
                await answer.close()
                answer = not_modified(answer)
        if answer is None:
            return None
        self.answered += 1
        return _Streamed(answer.status, list(answer.fields), "1.1", answer.stream(), None)

    async def kept(self, request: UpstreamRequest, authority: str, response: UpstreamResponse) -> UpstreamResponse:
        """An upstream's answer, which is kept as it passes when that is allowed."""
        if request.method not in SAFE_METHODS and response.status < 400:
            await self._store.forget(_head(request, authority))  # RFC 9111 section 4.4
        if request.method != b"GET" or response.status != 200 or not _says_how_long(response.fields):
            return response
        head = _head(request, authority)
        fields = end_to_end(response.fields)
        content = await self._store.store(head, ResponseHead(response.status, fields, None), _pieces(response))
        return _Streamed(response.status, response.fields, response.version, content, response)


class _Streamed:
    """An answer whose content comes from an iterator."""

    def __init__(
        self,
        status: int,
        fields: Fields,
        version: str,
        content: AsyncIterator[bytes],
        below: UpstreamResponse | None,
    ) -> None:
        self.status = status
        self.fields = fields
        self.version = version
        self.ended = False
        self._content = content
        self._below = below

    @property
    def trailers(self) -> Fields:
        """Those of the upstream's answer."""
        return [] if self._below is None else self._below.trailers

    async def read(self) -> bytes:
        """The next piece; b"" at the end."""
        piece = await anext(self._content, b"")
        self.ended = not piece
        return piece

    def close(self) -> None:
        """Give up what was not read."""
        if self._below is not None:
            self._below.close()


def make_cache(settings: ProxySettings) -> SharedCache | None:
    """The cache that the settings ask for; `None` when it is none, or hishel is not installed."""
    if not settings.cached or find_spec("hishel") is None:
        return None
    from h3push.client.stored import ResponseStore

    bounds = PushCacheSettings(stored=settings.cached, stored_bytes=settings.cached_bytes)
    return SharedCache(ResponseStore(bounds, shared=True))


def _head(request: UpstreamRequest, authority: str) -> RequestHead:
    fields = [field for field in request.fields if field[0] not in _OF_THIS_HOP]
    return RequestHead(request.method, b"https", authority.encode("latin-1"), request.target, fields, None)


def _says_how_long(fields: Fields) -> bool:
    """True for what says itself how long it is fresh; all else is hishel's to judge."""
    control = [value for name, value in fields if name == b"cache-control"]
    return bool(freshness_lifetime(fields)) or any(b"s-maxage" in value.lower() for value in control)


async def _pieces(response: UpstreamResponse) -> AsyncIterator[bytes]:
    while piece := await response.read():
        yield piece
