"""A directory over HTTP/3: files as they are, with validators, ranges and no surprises.

`Directory.decide` decides from method, target and header fields alone, so that whatever carries requests can use it:
`directory_handler` for `h3push.serve`, `asgi.directory` as an application for any ASGI server.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from http import HTTPStatus
from pathlib import Path

from h3push.files.compression import CompressedFiles
from h3push.files.conditional import DECIDING_FIELDS, select, validators_of
from h3push.files.known import MAX_KNOWN_FILES, KnownFiles, OpenedFile
from h3push.files.listing import make_listing
from h3push.files.media_types import check_charset, content_type
from h3push.files.paths import INDEX, FoundFile, MovedTo, place_of
from h3push.files.rules import SiteRules, looks_like_a_page
from h3push.http.content import PIECE_BYTES, FileContent
from h3push.http.fields import Field, Fields
from h3push.http.headers import Headers, encode_headers
from h3push.server.request import Request
from h3push.server.response import KnownHeaders, Response

logger = logging.getLogger("h3push.server")

ALLOWED_METHODS = ("GET", "HEAD")
"""The methods that a file answers."""

_LOOKED_AT = {name.encode("ascii"): name for name in (*DECIDING_FIELDS, "accept-encoding")}

_NOT_MODIFIED_FIELDS = frozenset({b"etag", b"last-modified", b"vary", b"cache-control"})
"""Fields of a whole response that 304 repeats (RFC 9110 section 15.4.5)."""


NOT_FOUND_PAGE = "/404.html"
"""The page of the root that says that something is not there."""

_NOT_OF_ERRORS = frozenset({b"etag", b"last-modified", b"accept-ranges", b"cache-control"})
"""Fields of a file that its content does not have as an error: neither the next request nor a part of it is meant."""


@dataclass(slots=True)  # not frozen, which would triple its price
class Answer:
    """A response, not yet sent. Not to be changed."""

    status: int
    """The status."""
    fields: Fields
    """Lower-case names; Content-Length always among them, but not with 304. Shared with other answers: not to be changed."""
    content: bytes | FileContent = b""
    """The content; empty for HEAD."""
    known: KnownHeaders | None = None
    """The fields as they are remembered, where they are those of a whole file."""

    @property
    def headers(self) -> dict[str, str]:
        """The fields by name, none of which occurs twice."""
        return {name.decode("latin-1"): value.decode("latin-1") for name, value in self.fields}

    def response(self) -> Response:
        """The same for the asyncio server."""
        return Response(self.status, Headers.wrap(self.fields), self.content)


class Directory:
    """Handler for `h3push.serve` that answers every request with a file of a directory.

    Arguments:
        root: what to serve.
        charset: added to the Content-Type of text; `None`: what a file says of itself counts.
        follow_symlinks: serve what links out of the root lead to.
        rules: what stands for a missing file, and how long each may be kept.
        compressed: compresses files that have no compressed one beside them; `None`: they go out as they are.

    Raises:
        NotADirectoryError, FileNotFoundError: `root` is no directory.
        ValueError: there is no such charset.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        charset: str | None = None,
        follow_symlinks: bool = False,
        rules: SiteRules = SiteRules(),  # noqa: B008 - frozen
        compressed: CompressedFiles | None = None,
    ) -> None:
        self.root = Path(root).resolve(strict=True)
        """Absolute, links resolved."""
        if not self.root.is_dir():
            raise NotADirectoryError(f"{root} is not a directory")
        self.rules = rules
        """The rules of the site: its page for a missing file, and how long clients may keep each file."""
        self._charset = None if charset is None else check_charset(charset)
        self._compressed = compressed
        self._files = KnownFiles(self.root, follow_symlinks=follow_symlinks)

    def __call__(self, request: Request) -> Response:
        """Answer one request."""
        return self.answer(request).response()

    def answer(self, request: Request) -> Answer:
        """Decide what to answer."""
        return self.answer_head(request.method, request.path, request.head.fields)

    def answer_head(self, method: str, target: str, fields: Iterable[Field]) -> Answer:
        """Decide what to answer to a request with these fields."""
        return self.decide(method, target, _looked_at(fields))

    def decide(self, method: str, target: str, headers: Mapping[str, str]) -> Answer:
        """Decide what to answer, `headers` by lower-case name. Small files are read at once. Never raises for what was asked."""
        answer = self._decide(method, target, headers)
        if self.rules.fields:
            return Answer(answer.status, self.rules.fields.added_to(answer.fields), answer.content)
        return answer

    def _decide(self, method: str, target: str, headers: Mapping[str, str]) -> Answer:
        if method not in ALLOWED_METHODS:
            return _message(HTTPStatus.METHOD_NOT_ALLOWED, method, {"allow": ", ".join(ALLOWED_METHODS)})
        try:
            opened = self._files.open(target, headers)
        except OSError as error:
            logger.warning("%s: answered with 503 until a descriptor is free", error)
            return _message(HTTPStatus.SERVICE_UNAVAILABLE, method, {"retry-after": "1"})
        if opened is None:
            return self._instead(method, target, headers)
        if isinstance(opened, MovedTo):
            return _message(HTTPStatus.MOVED_PERMANENTLY, method, {"location": opened.location})
        return self._opened_answer(opened, method, target, headers)

    def _opened_answer(self, opened: OpenedFile, method: str, target: str, headers: Mapping[str, str]) -> Answer:
        with opened:
            try:
                return self._file_answer(opened, method, target, headers)
            except OSError:
                return _message(HTTPStatus.NOT_FOUND, method)

    def _instead(self, method: str, target: str, headers: Mapping[str, str]) -> Answer:
        """Answer for a file that is not there (`files.rules`)."""
        path = target.partition("?")[0]
        for stand_in in self._stand_ins(path):
            opened = self._open(stand_in, headers)
            if opened is not None:
                return self._opened_answer(opened, method, stand_in, headers)
        if self.rules.browse and path.endswith("/"):
            page = self._listing(path)
            if page is not None:
                return _page(HTTPStatus.OK, method, page, {"cache-control": "no-cache"})
        opened = self._open(NOT_FOUND_PAGE, {})
        if opened is None:
            return _message(HTTPStatus.NOT_FOUND, method)
        answer = self._opened_answer(opened, method, NOT_FOUND_PAGE, {})
        fields = [field for field in answer.fields if field[0] not in _NOT_OF_ERRORS]
        return Answer(HTTPStatus.NOT_FOUND.value, fields, answer.content)

    def _stand_ins(self, path: str) -> Iterator[str]:
        if looks_like_a_page(path):
            if not path.endswith("/"):
                yield f"{path}.html"
            if self.rules.spa:
                yield f"/{INDEX}"

    def _open(self, target: str, headers: Mapping[str, str]) -> OpenedFile | None:
        """Open a file that stands for another. `None` when it is not there, or there is no descriptor for it."""
        try:
            opened = self._files.open(target, headers)
        except OSError:
            return None
        return None if isinstance(opened, MovedTo) else opened

    def _listing(self, path: str) -> bytes | None:
        place = place_of(path)
        is_root = path == "/"
        if place is None or not (is_root or isinstance(self._files.root.find(path.rstrip("/")), MovedTo)):
            return None
        directory = Path(self._files.root.prefix + place.removesuffix(INDEX))
        return make_listing(directory, path, lambda target: self._files.root.find(target.rstrip("/")) is not None)

    def find(self, target: str) -> FoundFile | None:
        """The file that a GET of `target` would be answered with: the one that it names, or the one with `.html` behind it."""
        found = self._files.find(target)
        if found is None and looks_like_a_page(target.partition("?")[0]) and not target.endswith("/"):
            found = self._files.find(f"{target.partition('?')[0]}.html")
        return found if isinstance(found, FoundFile) else None

    def find_afresh(self, target: str) -> FoundFile | None:
        """The same, from any thread: nothing is taken from memory, and nothing is remembered."""
        found = self._files.root.find(target)
        if found is None and looks_like_a_page(target.partition("?")[0]) and not target.endswith("/"):
            found = self._files.root.find(f"{target.partition('?')[0]}.html")
        return found if isinstance(found, FoundFile) else None

    def _file_answer(self, opened: OpenedFile, method: str, target: str, headers: Mapping[str, str]) -> Answer:
        compressible = self._compressed is not None and not opened.varies and self._compressed.concerns(opened.file)
        if compressible and "range" not in headers:
            answer = self._compressed_answer(opened, method, target, headers)
            if answer is not None:
                return answer
        fields, known = self._kept_fields(self._whole_headers(opened, opened.varies or compressible), target)
        if DECIDING_FIELDS.isdisjoint(headers):
            return Answer(200, fields, _content(opened, method, 0, opened.file.size), known)
        return self._selected_answer(opened, method, fields, headers)

    def _compressed_answer(
        self, opened: OpenedFile, method: str, target: str, headers: Mapping[str, str]
    ) -> Answer | None:
        """Answer with the compressed form of a file. `None` when the request takes none, or there is none yet."""
        assert self._compressed is not None
        coding = self._compressed.coding_for(headers)
        if coding is None:
            return None
        file = opened.file
        status = select(method, headers, validators_of(file.mtime_ns, file.size, _made(coding)), file.size).status
        # The original may meet conditions that this form does not.
        content = self._compressed.get(opened, coding) if status == HTTPStatus.OK else None
        if content is None and status != HTTPStatus.NOT_MODIFIED:
            return None
        length = 0 if content is None else len(content)
        made = _compressed_headers(file.name, self._charset, file.size, file.mtime_ns, coding, length)
        fields, known = self._kept_fields(made, target)
        if content is None:
            return Answer(304, [field for field in fields if field[0] in _NOT_MODIFIED_FIELDS])
        return Answer(200, fields, b"" if method == "HEAD" else content, known)

    def _kept_fields(self, headers: KnownHeaders, target: str) -> tuple[Fields, KnownHeaders | None]:
        """The fields with Cache-Control, if a rule gives one; what is remembered of them, if not."""
        value = self.rules.cache_control(target.partition("?")[0]) if self.rules.cache else None
        if value is None:
            return headers.fields, headers
        return [*headers.fields, (b"cache-control", value.encode("ascii"))], None

    def _selected_answer(
        self, opened: OpenedFile, method: str, whole_fields: Fields, headers: Mapping[str, str]
    ) -> Answer:
        """Answer a request with conditions, or for a part."""
        file = opened.file
        validators = validators_of(file.mtime_ns, file.size, opened.coding)
        selection = select(method, headers, validators, file.size)
        if selection.status == HTTPStatus.PRECONDITION_FAILED:
            return _message(HTTPStatus.PRECONDITION_FAILED, method)
        if selection.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            unsatisfied = {"content-range": f"bytes */{file.size}", "accept-ranges": "bytes"}
            return _message(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, method, unsatisfied)
        if selection.status == HTTPStatus.NOT_MODIFIED:
            return Answer(304, [field for field in whole_fields if field[0] in _NOT_MODIFIED_FIELDS])
        content = _content(opened, method, selection.offset, selection.length)
        fields = whole_fields
        if selection.status == HTTPStatus.PARTIAL_CONTENT:
            last = selection.offset + selection.length - 1
            own = {
                "content-length": str(selection.length),
                "content-range": f"bytes {selection.offset}-{last}/{file.size}",
            }
            fields = [field for field in fields if field[0] != b"content-length"] + encode_headers(own)
        return Answer(selection.status, fields, content)

    def _whole_headers(self, opened: OpenedFile, varies: bool) -> KnownHeaders:
        """The fields of a response with the whole file."""
        file = opened.file
        return _cached_headers(file.name, self._charset, file.size, file.mtime_ns, opened.coding, varies)


def _looked_at(fields: Iterable[Field]) -> dict[str, str]:
    """Those of a request's fields that an answer can depend on, lines of one name joined (RFC 9110 section 5.3)."""
    found: dict[str, str] = {}
    for name, value in fields:
        if name in _LOOKED_AT:
            key, text = _LOOKED_AT[name], value.decode("latin-1")
            found[key] = f"{found[key]}, {text}" if key in found else text
    return found


@lru_cache(MAX_KNOWN_FILES)
def _cached_headers(
    name: str, charset: str | None, size: int, mtime_ns: int, coding: str, varies: bool
) -> KnownHeaders:
    fields = {
        "content-type": content_type(name, charset),
        "content-length": str(size),
        "accept-ranges": "bytes",
        **validators_of(mtime_ns, size, coding).fields,
    }
    if coding:
        fields["content-encoding"] = coding
    if varies:
        fields["vary"] = "accept-encoding"
    return KnownHeaders(encode_headers(fields))


@lru_cache(MAX_KNOWN_FILES)
def _compressed_headers(
    name: str, charset: str | None, size: int, mtime_ns: int, coding: str, length: int
) -> KnownHeaders:
    """The fields of a response with the compressed form of a file, which has `length` bytes."""
    fields = {
        "content-type": content_type(name, charset),
        "content-length": str(length),
        **validators_of(mtime_ns, size, _made(coding)).fields,
        "content-encoding": coding,
        "vary": "accept-encoding",
    }
    return KnownHeaders(encode_headers(fields))


def _made(coding: str) -> str:
    """The coding in entity tags of what is compressed here: a file that lies beside the original has other bytes."""
    return f"{coding}-made"


def _content(opened: OpenedFile, method: str, offset: int, length: int) -> bytes | FileContent:
    """The content to send. A small file is read at once, from the file that was looked at; `OSError` when that fails."""
    if method == "HEAD" or not length:
        return b""
    return opened.read(offset, length) if length <= PIECE_BYTES else FileContent(opened.file.path, offset, length)


def _message(status: HTTPStatus, method: str, fields: Mapping[str, str] | None = None) -> Answer:
    """A short page that says what the status says."""
    sentence = escape(f"{status.value} {status.phrase}")
    page = f"<!doctype html>\n<html lang=en><meta charset=utf-8><title>{sentence}</title><h1>{sentence}</h1></html>\n"
    return _page(status, method, page.encode(), fields)


def _page(status: HTTPStatus, method: str, body: bytes, fields: Mapping[str, str] | None = None) -> Answer:
    """A page that is made here."""
    headers = {
        "content-type": content_type("message.html", "utf-8"),
        "content-length": str(len(body)),
        **(fields or {}),
    }
    return Answer(status.value, encode_headers(headers), b"" if method == "HEAD" else body)
