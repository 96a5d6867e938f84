"""The directory server as an ASGI application, for this server or any other.

What to answer is decided in `files.directory`; here it becomes events. A large file goes out by `http.response.pathsend`, a
part of one by `http.response.zerocopysend`, so that Python touches none of it; where a server offers neither, it is read in
pieces.
"""

from collections.abc import Iterable

from h3push.asgi.types import PATHSEND, ZEROCOPYSEND, Message, Receive, Scope, Send
from h3push.files.directory import Answer, Directory
from h3push.http.content import PIECE_BYTES, FileContent


class DirectoryApp:
    """An application that answers every request with a file of a directory."""

    def __init__(self, directory: Directory) -> None:
        self.directory = directory
        """The directory that is served."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. It has no lifespan, and says so as ASGI wants: by raising."""
        if scope["type"] != "http":
            raise NotImplementedError(f"a directory has no {scope['type']!r}")
        answer = self.directory.decide(scope["method"], target_of(scope), joined_headers(scope["headers"]))
        await send(start_of(answer))
        if isinstance(answer.content, bytes):
            await send({"type": "http.response.body", "body": answer.content})
        else:
            await send_file(
                send, answer.content, scope.get("extensions") or {}, whole="content-range" not in answer.headers
            )


def start_of(answer: Answer) -> Message:
    """The header section as an event."""
    headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in answer.headers.items()]
    return {"type": "http.response.start", "status": answer.status, "headers": headers}


async def send_file(send: Send, part: FileContent, extensions: Iterable[str], *, whole: bool) -> None:
    """Send a file or a part of it the cheapest way that the server offers."""
    if whole and PATHSEND in extensions:
        await send({"type": PATHSEND, "path": str(part.path)})
        return
    length = part.size()
    with open(part.path, "rb") as file:  # noqa: PTH123, ASYNC230 - opening a local file does not wait for anybody
        if ZEROCOPYSEND in extensions:
            await send({"type": ZEROCOPYSEND, "file": file, "offset": part.offset, "count": length})
            return
        file.seek(part.offset)
        while length > 0 and (piece := file.read(min(PIECE_BYTES, length))):
            length -= len(piece)
            await send({"type": "http.response.body", "body": piece, "more_body": length > 0})


def target_of(scope: Scope) -> str:
    """The request's `:path`: path as it came, and query."""
    path: str = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
    query: str = scope.get("query_string", b"").decode("latin-1")
    return f"{path}?{query}" if query else path


def joined_headers(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Fields by name; those that occur several times are joined (RFC 9110 section 5.3)."""
    joined: dict[str, str] = {}
    for name, value in headers:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        joined[key] = f"{joined[key]}, {text}" if key in joined else text
    return joined
