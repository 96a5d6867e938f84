"""A directory over HTTP/3: files as they are, with validators, ranges and no surprises.

`answer` decides from method, target and header fields alone, so that whatever carries requests can use it: `Directory` as a
handler for `h3push.serve`, `asgi.directory` as an application for any ASGI server.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from html import escape
from http import HTTPStatus
from pathlib import Path

from h3push.aio.content import PIECE_BYTES, FileContent
from h3push.aio.headers import encode_headers
from h3push.aio.request import Request
from h3push.aio.response import Response
from h3push.fields import Fields
from h3push.server.conditional import Selection, select, validators_of
from h3push.server.content_types import HTML, content_type
from h3push.server.files import FoundFile, MovedTo, find_file
from h3push.server.precompressed import choose_variant, find_variants

ALLOWED_METHODS = "GET, HEAD"
"""What a file can be asked."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response, not yet sent."""

    status: int
    """The status."""
    headers: dict[str, str] = field(default_factory=dict)
    """Lower-case names; Content-Length always among them, but not with 304."""
    content: bytes | FileContent = b""
    """What follows; empty for HEAD."""
    file: FoundFile | None = None
    """The file that is served, whole, in part or (304) as known to the client."""

    @property
    def is_whole_page(self) -> bool:
        """True for a complete HTML page: something that needs further things."""
        return self.status == HTTPStatus.OK and self.headers.get("content-type") == HTML

    @property
    def fields(self) -> Fields:
        """The headers as they go on the wire."""
        return encode_headers(self.headers)

    def response(self) -> Response:
        """The same for the asyncio server."""
        return Response(self.status, self.headers, self.content)


def answer(root: Path, method: str, target: str, headers: Mapping[str, str]) -> Answer:
    """Answer one request for a file below `root` (absolute, links resolved). Never raises for what was asked."""
    if method not in {"GET", "HEAD"}:
        return _message(HTTPStatus.METHOD_NOT_ALLOWED, method, {"allow": ALLOWED_METHODS})
    found = find_file(root, target)
    if found is None:
        return _message(HTTPStatus.NOT_FOUND, method)
    if isinstance(found, MovedTo):
        return _message(HTTPStatus.MOVED_PERMANENTLY, method, {"location": found.location})
    return _file_answer(root, found, method, headers)


def _file_answer(root: Path, original: FoundFile, method: str, headers: Mapping[str, str]) -> Answer:
    variants = find_variants(original, root)
    chosen = choose_variant(variants, headers)
    found = original if chosen is None else chosen.file
    given = _selected_answer(found, method, headers, "" if chosen is None else chosen.coding)
    if variants and given.file is not None:
        given.headers["vary"] = "accept-encoding"
    return given


def _selected_answer(found: FoundFile, method: str, headers: Mapping[str, str], coding: str) -> Answer:
    """Answer with one representation of a file: the original, or the same in a content coding."""
    validators = validators_of(found.mtime_ns, found.size, coding)
    selection = select(method, headers, validators, found.size)
    if selection.status == HTTPStatus.PRECONDITION_FAILED:
        return _message(HTTPStatus.PRECONDITION_FAILED, method)
    if selection.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        unsatisfied = {"content-range": f"bytes */{found.size}", "accept-ranges": "bytes"}
        return _message(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, method, unsatisfied)
    if selection.status == HTTPStatus.NOT_MODIFIED:
        return Answer(selection.status, validators.fields, file=found)
    fields = {
        "content-type": content_type(found.name),
        "content-length": str(selection.length),
        "accept-ranges": "bytes",
        **validators.fields,
    }
    if coding:
        fields["content-encoding"] = coding
    if selection.status == HTTPStatus.PARTIAL_CONTENT:
        last = selection.offset + selection.length - 1
        fields["content-range"] = f"bytes {selection.offset}-{last}/{found.size}"
    return Answer(selection.status, fields, _content(found, method, selection), found)


def _content(found: FoundFile, method: str, selection: Selection) -> bytes | FileContent:
    if method == "HEAD" or not selection.length:
        return b""
    return FileContent(found.path, selection.offset, selection.length)


def _message(status: HTTPStatus, method: str, fields: Mapping[str, str] | None = None) -> Answer:
    """A short page that says what the status says."""
    sentence = escape(f"{status.value} {status.phrase}")
    page = f"<!doctype html>\n<html lang=en><meta charset=utf-8><title>{sentence}</title><h1>{sentence}</h1></html>\n"
    body = page.encode()
    headers = {"content-type": HTML, "content-length": str(len(body)), **(fields or {})}
    return Answer(status.value, headers, b"" if method == "HEAD" else body)


def _read(part: FileContent) -> bytes:
    try:
        with Path(part.path).open("rb") as opened:
            opened.seek(part.offset)
            return opened.read(part.size())
    except OSError:
        return b""


class Directory:
    """Handler for `h3push.serve` that answers every request with a file of a directory.

    Raises: NotADirectoryError, FileNotFoundError: `root` is no directory.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root).resolve(strict=True)
        """Absolute, links resolved."""
        if not self.root.is_dir():
            raise NotADirectoryError(f"{root} is not a directory")

    def __call__(self, request: Request) -> Response:
        """Answer one request."""
        return self.answer(request).response()

    def answer(self, request: Request) -> Answer:
        """Decide what to answer."""
        return self.decide(request.method, request.path, request.headers)

    def decide(self, method: str, target: str, headers: Mapping[str, str]) -> Answer:
        """Decide what to answer, `headers` by lower-case name. Small files are read at once."""
        decided = answer(self.root, method, target, headers)
        if not isinstance(decided.content, FileContent) or decided.content.size() > PIECE_BYTES:
            return decided
        data = _read(decided.content)
        if len(data) == decided.content.length:
            return replace(decided, content=data)
        # The file changed between the look and the read; the next request finds it as it is then.
        return _message(HTTPStatus.NOT_FOUND, method)

    def find(self, target: str) -> FoundFile | None:
        """The file that a GET of `target` would be answered with."""
        found = find_file(self.root, target)
        return found if isinstance(found, FoundFile) else None
