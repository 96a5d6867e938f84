"""The access log of `h3push serve`: a line for each response when it is over, pushed ones marked.

    127.0.0.1:50412 "GET /guide/ HTTP/3" 200 6575
    127.0.0.1:50412 "GET /guide/a.css HTTP/3" 200 832 push 0 for /guide/
    127.0.0.1:50412 "GET /guide/b.png HTTP/3" 200 1024 push 1 for /guide/ (cut off)

Address, request, status, bytes of content, and for a push its ID and the page that it goes with. Paths stay percent-encoded,
so nothing a client sends can break a line or drive a terminal.
"""

import inspect
from collections.abc import Awaitable
from typing import TextIO

from h3push.aio.connection import Handler
from h3push.aio.request import Request
from h3push.aio.response import Response


class AccessLog:
    """A handler that has another one answer, and writes down what became of it.

    Arguments:
        handler: what answers.
        stream: where the lines go; when nobody reads it any more, logging ends and serving goes on.
    """

    def __init__(self, handler: Handler, stream: TextIO) -> None:
        self._handler = handler
        self._stream: TextIO | None = stream

    def __call__(self, request: Request) -> Response | Awaitable[Response | None] | None:
        """Answer one request."""
        answer = self._handler(request)
        if isinstance(answer, Response) and isinstance(answer.body, bytes):
            self._write(request, answer.status, 0 if request.method == "HEAD" else len(answer.body))
            return answer
        return self._finish(request, answer)

    async def _finish(self, request: Request, answer: Response | Awaitable[Response | None] | None) -> None:
        """Wait for the end of a response that takes longer."""
        try:
            if inspect.isawaitable(answer):
                answer = await answer
            if answer is not None:
                await request.respond(answer)
        finally:
            self._write(request, request.status, request.bytes_sent, cut_off=not request.response_ended)

    def _write(self, request: Request, status: int | None, size: int, *, cut_off: bool = False) -> None:
        if self._stream is None:
            return
        host, port = request.client[:2]
        line = f'{host}:{port} "{printable(request.method)} {printable(request.path)} HTTP/3" {status or "-"} {size}'
        if request.push_id is not None:
            line += f" push {request.push_id}"
            line += f" for {printable(request.initiator.path)}" if request.initiator is not None else ""
        try:
            self._stream.write(line + (" (cut off)\n" if cut_off else "\n"))
            self._stream.flush()
        except (BrokenPipeError, ValueError):
            self._stream = None


def printable(text: str) -> str:
    """Text from a peer, with everything but printable ASCII escaped."""
    return text.encode("unicode_escape").decode("ascii").replace('"', "%22")
