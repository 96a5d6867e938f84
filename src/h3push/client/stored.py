"""Claimed pushes, kept while they are fresh: the rules of RFC 9111 by hishel, and one of our own.

Only pushes that were claimed come here. Nobody who asked for a client of HTTP asked for a cache of everything. (A relay stores
what was requested too, and has `shared` set.)

Our own rule stands beside hishel's: an answer that was stored for one request is given to another only if `client.claims` would
let it answer as a push. hishel's private cache takes one Authorization for another, because it has one user; a program may have
many.

The index of what is stored is held here, and synchronous, because a promise has to be judged in the moment that it comes.
"""

import time
import uuid
from abc import abstractmethod
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

try:
    from hishel import (
        AsyncBaseStorage,
        CacheMiss,
        CacheOptions,
        Entry,
        FromCache,
        Headers,
        IdleClient,
        Request,
        Response,
        StoreAndUse,
    )
except ImportError:
    sentence = "to store pushes as RFC 9111 says needs hishel: pip install 'h3push[client]'"
    raise ImportError(sentence, name="hishel") from None

from h3push.client.claims import Key, credentials_of, key_of, why_not_another, why_not_promised, why_not_response
from h3push.http.fields import Field, Fields, RequestHead, ResponseHead
from h3push.http.headers import has_field
from h3push.http.semantics import parse_date
from h3push.runtime.settings import PushCacheSettings


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """An answer from the store."""

    status: int
    fields: Fields
    content: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class _Kept:
    """Index of one entry: hishel's view without the content, and ours."""

    entry: Entry
    request: RequestHead
    response: ResponseHead


class ResponseStore:
    """Claimed pushes while they are fresh.

    Args:
        settings: the bounds.
        storage: where the content lies, one of hishel's; in memory when `None`. Closed with the store.
        shared: the cache of several people: RFC 9111's rules of shared caches, and `client.claims.why_not_another`.
        silent_seconds: how long a response is fresh that says nothing about that, at least (RFC 9111 section 4.2.2). Servers
            that remember what they pushed do not push such a response again.
    """

    def __init__(
        self,
        settings: PushCacheSettings,
        storage: AsyncBaseStorage | None = None,
        *,
        shared: bool = False,
        silent_seconds: float = 0,
    ) -> None:
        self._storage = storage or MemoryStorage(settings.stored, settings.stored_bytes)
        self._has = getattr(self._storage, "has", None)
        self._most = settings.stored
        self._shared = shared
        self._silent_seconds = silent_seconds
        self._options = CacheOptions(shared=shared)
        self._index: OrderedDict[Key, list[_Kept]] = OrderedDict()

    def is_fresh(self, promised: RequestHead, initiator: RequestHead) -> bool:
        """True when a request like the promised one, by whoever sent `initiator`, would be answered from here.

        The fields of that request are not known yet: those of the request that was answered before stand for them.
        """
        for kept in self._index.get(key_of(promised), ()):
            if self._has is not None and not self._has(kept.entry.id):
                continue
            if self._shared and why_not_another(initiator, kept.request, kept.response) is not None:
                continue
            if why_not_promised(kept.request, promised, initiator) is None and why_not_response(
                _completed(promised, kept.request), kept.request, kept.response
            ) is None and (
                isinstance(self._idle.next(kept.entry.request, [kept.entry]), FromCache) or self._is_young(kept)
            ):  # fmt: skip
                return True
        return False

    def _is_young(self, kept: _Kept) -> bool:
        """True for a response that says nothing about its freshness, as long as it may be used all the same."""
        fields = dict(kept.response.fields)
        made = parse_date(fields.get(b"date", b"").decode("latin-1"))
        is_silent = _ON_FRESHNESS.isdisjoint(fields) and kept.response.status == 200
        return is_silent and made is not None and 0 <= time.time() - made < self._silent_seconds

    def adopt(self, key: str, entry: Entry) -> None:
        """Take an entry that the storage has kept from an earlier run."""
        request, response = _request_head(entry.request), ResponseHead(
            entry.response.status_code, _fields(entry.response.headers), None
        )  # fmt: skip
        if _name(key_of(request)) == key:
            bare = replace(entry, response=replace(entry.response, stream=None))
            self._index.setdefault(key_of(request), []).append(_Kept(bare, request, response))

    @property
    def octets(self) -> int:
        """Bytes of content that are stored, where the storage counts them."""
        return getattr(self._storage, "octets", 0)

    @property
    def is_empty(self) -> bool:
        """True when nothing is stored."""
        return not self._index

    def __len__(self) -> int:
        return sum(self._has is None or self._has(one.entry.id) for kept in self._index.values() for one in kept)

    async def get(self, request: RequestHead) -> StoredResponse | None:
        """A fresh answer to a request; `None` when there is none."""
        if not self._index:
            return None
        key = key_of(request)
        ours = {kept.entry.id: kept for kept in self._index.get(key, ()) if self._answers(request, kept)}
        if not ours:
            return None
        entries = [entry for entry in await self._storage.get_entries(_name(key)) if entry.id in ours]
        state = self._idle.next(_request(request), entries)
        if isinstance(state, FromCache):
            response = state.entry.response
        else:
            young = [entry for entry in entries if self._is_young(ours[entry.id])]
            if not young:
                return None
            response = young[-1].response
        self._index.move_to_end(key)
        assert isinstance(response.stream, AsyncIterator)
        return StoredResponse(response.status_code, _fields(response.headers), response.stream)

    def _answers(self, request: RequestHead, kept: _Kept) -> bool:
        owner = kept.request
        if self._shared:
            if why_not_another(request, owner, kept.response) is not None:
                return False
            owner = owner._replace(fields=[field for field in owner.fields if field[0] != b"cookie"])
        return (
            why_not_promised(request, owner, kept.request) is None
            and why_not_response(request, kept.request, kept.response) is None
        )

    async def store(
        self, request: RequestHead, response: ResponseHead, content: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        """The content of a response, which is stored when it was read to its end, if RFC 9111 section 3 lets it."""
        theirs = _request(request)
        answer = Response(response.status, _headers(response.fields), content)
        state = CacheMiss(options=self._options, request=theirs).next(answer)
        if not isinstance(state, StoreAndUse) or (self._shared and has_field(list(response.fields), b"set-cookie")):
            return content
        key = key_of(request)
        entry = await self._storage.create_entry(theirs, state.response, _name(key))
        assert isinstance(entry.response.stream, AsyncIterator)
        bare = replace(entry, response=replace(entry.response, stream=None))
        return self._recorded(key, _Kept(bare, request, response), entry.response.stream)

    async def _recorded(self, key: Key, kept: _Kept, content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for piece in content:
            yield piece
        before = self._index.pop(key, [])
        same = [one for one in before if credentials_of(one.request) == credentials_of(kept.request)]
        self._index[key] = [*(one for one in before if one not in same), kept][-_MOST_OF_ONE:]
        for one in same:
            await self._storage.remove_entry(one.entry.id)
        while len(self._index) > self._most:
            self._index.popitem(last=False)

    async def forget(self, request: RequestHead) -> None:
        """Something newer is known of a URL, or it was changed (RFC 9111 section 4.4): its answers are good no more."""
        if not self._index:
            return
        _, scheme, authority, path = key_of(request)
        for method in (b"GET", b"HEAD"):
            for kept in self._index.pop((method, scheme, authority, path), ()):
                await self._storage.remove_entry(kept.entry.id)

    async def close(self) -> None:
        """Let go of the storage."""
        await self._storage.close()

    @property
    def _idle(self) -> IdleClient:
        return IdleClient(options=self._options)


_ON_FRESHNESS = frozenset({b"cache-control", b"expires", b"pragma"})
"""Fields that say how long a response is fresh."""
_MOST_OF_ONE = 16
"""Answers to one URL, for different credentials."""


class WholeStorage(AsyncBaseStorage):
    """A storage that keeps an entry when all of its content has been read, and it is not too long."""

    async def create_entry(
        self, request: Request, response: Response, key: str, *, ttl: float | None = None, tti: float | None = None
    ) -> Entry:
        """An entry whose content is kept as it is read; it can be found when all of it was."""
        entry = Entry(uuid.uuid4(), request, response)
        assert isinstance(response.stream, AsyncIterator)
        return replace(entry, response=replace(response, stream=self._record(key, entry, response.stream)))

    async def _record(self, key: str, entry: Entry, content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        assert self.max_stream_size is not None
        pieces: list[bytes] = []
        size = 0
        async for piece in content:
            size += len(piece)
            if size <= self.max_stream_size:
                pieces.append(piece)
            else:
                pieces.clear()
            yield piece
        if size <= self.max_stream_size:
            await self._keep(key, entry, b"".join(pieces))

    @abstractmethod
    async def _keep(self, key: str, entry: Entry, content: bytes) -> None:
        """Keep an entry that is whole."""


class MemoryStorage(WholeStorage):
    """Entries in a dictionary, bounded by number and bytes; the one that was used longest ago goes first."""

    def __init__(self, most: int, most_bytes: int) -> None:
        super().__init__(max_stream_size=most_bytes // 8)
        self._most = most
        self._most_bytes = most_bytes
        self.octets = 0
        """Bytes of content that are stored."""
        self._entries: OrderedDict[uuid.UUID, tuple[str, Entry, bytes]] = OrderedDict()
        self._of_key: dict[str, list[uuid.UUID]] = {}

    async def _keep(self, key: str, entry: Entry, content: bytes) -> None:
        bare = replace(entry, response=replace(entry.response, stream=None))
        self._entries[entry.id] = key, bare, content
        self._of_key.setdefault(key, []).append(entry.id)
        self.octets += len(content)
        while self.octets > self._most_bytes or len(self._entries) > self._most:
            self._remove(next(iter(self._entries)))

    async def get_entries(self, key: str) -> list[Entry]:
        """The entries of a key that are complete."""
        found = []
        for number in self._of_key.get(key, ()):
            self._entries.move_to_end(number)
            _, entry, content = self._entries[number]
            found.append(replace(entry, response=replace(entry.response, stream=streamed(content))))
        return found

    def has(self, number: uuid.UUID) -> bool:
        """True while an entry is here."""
        return number in self._entries

    async def update_headers(self, id: uuid.UUID, headers: Headers) -> None:  # noqa: A002 - hishel's name
        """Replace the fields of an entry."""
        if id in self._entries:
            key, entry, content = self._entries[id]
            self._entries[id] = key, replace(entry, response=replace(entry.response, headers=headers)), content

    async def remove_entry(self, id: uuid.UUID) -> None:  # noqa: A002 - hishel's name
        """Forget an entry."""
        self._remove(id)

    def _remove(self, number: uuid.UUID) -> None:
        found = self._entries.pop(number, None)
        if found is not None:
            key, _, content = found
            self.octets -= len(content)
            self._of_key[key].remove(number)
            if not self._of_key[key]:
                del self._of_key[key]


async def streamed(content: bytes) -> AsyncIterator[bytes]:
    """Stored content as a stream: in one piece, or none."""
    if content:
        yield content


def _completed(promised: RequestHead, usual: RequestHead) -> RequestHead:
    """The promised request with the fields that it leaves out as `usual` has them."""
    left_out = [field for field in usual.fields if not has_field(list(promised.fields), field[0])]
    return promised._replace(fields=[*promised.fields, *left_out])


def _name(key: Key) -> str:
    return b" ".join(key).decode("latin-1")


def _request(head: RequestHead) -> Request:
    method, scheme, authority, path = key_of(head)
    url = (scheme + b"://" + authority + path).decode("latin-1")
    return Request(method.decode("latin-1"), url, _headers(head.fields))


def _request_head(request: Request) -> RequestHead:
    parts = urlsplit(request.url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    words = (request.method, parts.scheme, parts.netloc, target)
    method, scheme, authority, path = (word.encode("latin-1") for word in words)
    return RequestHead(method, scheme, authority, path, _fields(request.headers), None)


def _headers(fields: Sequence[Field]) -> Headers:
    grouped: dict[str, list[str]] = {}
    for name, value in fields:
        grouped.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
    named: Mapping[str, Any] = grouped
    return Headers(named)


def _fields(headers: Headers) -> list[Field]:
    return [
        (name.encode("latin-1"), value.encode("latin-1")) for name in headers for value in headers.get_list(name) or ()
    ]
