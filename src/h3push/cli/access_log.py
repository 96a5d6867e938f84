"""A handler that keeps the access log (`server.access_log`) of another one, for `h3push serve`."""

import inspect
from collections.abc import Awaitable

from h3push.aio.connection import Handler
from h3push.aio.request import Request
from h3push.aio.response import Response
from h3push.server.access_log import AccessLog, OpenRow


class LoggedHandler:
    """Has another handler answer, and writes down what became of each response when it is over.

    Arguments:
        handler: what answers.
        log: where the rows go.
    """

    def __init__(self, handler: Handler, log: AccessLog) -> None:
        self._handler = handler
        self._log = log

    def __call__(self, request: Request) -> Awaitable[None] | None:
        """Answer one request; what can be answered at once still costs no task."""
        row = self._log.begin(request)
        try:
            answer = self._handler(request)
            if isinstance(answer, Response) and request.respond_now(answer):
                row.end(failed=False)
                return None
        except BaseException:
            row.end(failed=True)
            raise
        return self._finish(request, answer, row)

    @staticmethod
    async def _finish(request: Request, answer: Response | Awaitable[Response | None] | None, row: OpenRow) -> None:
        """Wait for the end of a response that takes longer."""
        failed = True
        try:
            response = await answer if inspect.isawaitable(answer) else answer
            if response is not None:
                await request.respond(response)
            failed = False
        finally:
            row.end(failed=failed)
