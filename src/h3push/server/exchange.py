"""One request and its response on the server: the mechanics below `Request`.

The same class serves requested and pushed responses. They differ in one thing: a pushed one has no stream until its response
begins (`ServerPushes.open`).

Everything here takes effect at once; the waiting (back-pressure, stream credit) is in `Request`. After the client has gone
(`disconnected`) everything that is sent is dropped quietly, so that no handler has to guard its sends.
"""

import asyncio
from typing import TYPE_CHECKING, Protocol

from h3push.errors import (
    ErrorCode,
    H3PushError,
    LocalProtocolError,
    NoStreamCredit,
    StreamFailed,
    StreamStateError,
    Timeout,
)
from h3push.http.content import Body, BytesPart, FileContent
from h3push.http.fields import Fields, RequestHead
from h3push.http.headers import expects_continue
from h3push.runtime.drain import Drain
from h3push.runtime.inbox import Incoming
from h3push.runtime.signal import Signal
from h3push.server.response import NO_CONTENT_STATUSES, RESET_CONTENT, Response

if TYPE_CHECKING:
    from h3push.server.connection import ServerConnection
    from h3push.server.push import Push
    from h3push.server.request import Request


class ResponseRow(Protocol):
    """A row of the access log, which is told how the response ends."""

    def ended(self) -> None:
        """The end of the response was handed to QUIC."""

    def given_up(self) -> None:
        """The response is about to be reset by us."""

    def unwanted(self, error: Exception) -> None:
        """Nobody takes the response any more."""


class Exchange:
    """State of one exchange; `Request` is its face towards handlers."""

    # Class attributes are the defaults, so that a request that needs none of this pays for none of it.
    fulfils: "Push | None" = None
    """The push that this exchange fulfils, for a pushed request."""
    initiator: "Request | None" = None
    """The request whose handler pushed this one."""
    status: int | None = None
    """Status of the response; `None` before it began."""
    bytes_sent: int = 0
    """Content handed to QUIC so far, in bytes."""
    response_ended: bool = False
    """True when the end of the response was handed to QUIC."""
    taken: int = 0
    """Content that the client had taken when the drain guard last saw progress, in bytes."""
    taken_at: float | None = None
    """When that was, in loop time; `None` before the guard's first look."""
    disconnected: bool = False
    """True when nobody wants the response any more: the client cancelled it, or the connection is over."""
    failed: bool = False
    """True when the handler raised, and was not merely told of the client's failure."""
    row: ResponseRow | None = None
    """The response's row in the access log."""
    content: Incoming | None = None
    """The request's content; `None` when it has none."""
    content_failure: Exception | None = None
    """What the last attempt to read the request's content raised: the client's failure, not one of the handler's own."""
    _asked_for_content: bool = False
    task: "asyncio.Task[None] | None" = None
    """The handler's task, if it needed one."""
    task_began: bool = False
    """True when the task has taken its first step."""
    promises: int = 0
    """Promises that this request caused, those of its pushed requests included."""
    pushed_bytes: int = 0
    """Pushed content that this request caused, in bytes."""
    _bodyless: bool = False
    _drain: Drain | None = None
    _gone: Signal | None = None

    def __init__(self, connection: "ServerConnection", stream_id: int | None, head: RequestHead) -> None:
        self.connection = connection
        self.stream_id = stream_id
        """Request stream, or push stream once it is open."""
        self.head = head

    # what the connection tells

    def disconnect(self, error: H3PushError) -> None:
        """Nobody wants the response any more."""
        if self.disconnected:
            return
        self.disconnected = True
        if self.row is not None:
            self.row.unwanted(error)
        if self.stream_id is not None:
            self.connection.guard.responses.pop(self.stream_id, None)
        if self._gone is not None:
            self._gone.set()
        told = isinstance(error, Timeout) and self._drain is not None and self._drain.fail(error)
        if self._drain is not None:
            self._drain.drained()
        if self.content is not None:
            self.content.fail(error)
        if self.task is not None and not told and self.connection.settings.cancel_handlers:
            self.task.cancel()

    def stall(self) -> None:
        """Reset a response that the client does not take (`drain_timeout`). A handler that waits in `send` is told."""
        counters, seconds = self.connection.counters, self.connection.settings.drain_timeout
        counters.stalled += 1
        counters.failed += not self.response_ended
        error = Timeout(f"the client did not take what was sent within {seconds:g} s (drain_timeout)")
        self._break_off(error, ErrorCode.H3_REQUEST_CANCELLED)

    def file_failed(self, reason: str) -> None:
        """Reset a response whose file cannot be sent to its end."""
        self.connection.counters.failed += 1
        self.failed = True
        error = StreamFailed(f"the file was not sent to its end: {reason}", ErrorCode.H3_INTERNAL_ERROR)
        self._break_off(error, ErrorCode.H3_INTERNAL_ERROR)

    def _break_off(self, error: H3PushError, code: ErrorCode) -> None:
        connection, stream_id = self.connection, self.stream_id
        assert stream_id is not None
        if self.row is not None:
            self.row.given_up()
        if self.fulfils is not None:
            connection.pushes.cancel(self.fulfils, code)
        else:
            connection.reset_response(stream_id, code)
        connection.exchanges.pop(stream_id, None)
        self.disconnect(error)

    def drained(self) -> None:
        """What was queued is (nearly) gone."""
        if self._drain is not None:
            self._drain.drained()

    # sending; each returns how many bytes wait

    def begin(self, status: int, fields: Fields, end: bool) -> int:
        """Send the final response's header section. `NoStreamCredit` when a push finds no stream."""
        if self.disconnected:
            return 0
        if self.status is not None:
            raise StreamStateError("the response has begun already: start_response is called once")
        stream_id = self.stream_id
        if stream_id is None:
            stream_id = self.connection.pushes.open(self)
        bodyless = self._has_no_content(status)
        end = end or bodyless
        if status == RESET_CONTENT:  # RFC 9110 section 15.3.6: it has no content, and says so
            fields = [*(field for field in fields if field[0].lower() != b"content-length"), (b"content-length", b"0")]
        queued = self.connection.send_head(stream_id, status, fields, end)
        self.status = status
        self._bodyless = bodyless
        if end:
            self._end()
        else:
            self.connection.guard.responses[stream_id] = self
            self.connection.look_soon()
        return queued

    def write(self, data: bytes, end: bool) -> int:
        """Send content; dropped where the response has none by definition (HEAD, 204, 304)."""
        if self.disconnected or self._bodyless:
            return 0
        queued = self.connection.core.send_data(self._stream_for_content(), data, end)
        self._count(len(data))
        if end:
            self._end()
        self.connection.kick()
        return queued

    def write_part(self, part: BytesPart, end: bool) -> int:
        """Send a part of larger bytes; otherwise as `write`."""
        if self.disconnected or self._bodyless:
            return 0
        queued = self.connection.send_part(self._stream_for_content(), part, end)
        self._count(part.length)
        if end:
            self._end()
        return queued

    def write_file(self, file: FileContent, end: bool) -> None:
        """Send a part of a file; the transport reads it. `OSError` when it cannot be opened."""
        if self.disconnected or self._bodyless:
            return
        size = file.size()
        if size == 0:
            self.write(b"", end)
            return
        self.connection.send_file(self._stream_for_content(), file, size, end)
        self._count(size)
        if end and not self.response_ended:
            self._end()

    def _stream_for_content(self) -> int:
        if self.status is None or self.stream_id is None:
            raise StreamStateError("content before the response began: call start_response first")
        if self.response_ended:
            raise StreamStateError("content after the end of the response")
        return self.stream_id

    def write_trailers(self, fields: Fields) -> None:
        """Send the trailer section, which ends the response."""
        if self.disconnected or self._bodyless:
            return
        if self.status is None or self.stream_id is None or self.response_ended:
            raise StreamStateError("trailers come after the content and end the response")
        self.connection.core.send_trailers(self.stream_id, fields)
        self._end()
        self.connection.kick()

    def write_interim(self, status: int, fields: Fields) -> None:
        """Send an interim response, on a push stream too."""
        if self.disconnected:
            return
        if not 100 < status < 200:
            raise LocalProtocolError(f"{status} is no interim status that HTTP/3 has: 102 to 199")
        if self.status is not None:
            raise StreamStateError("an interim response after the final one")
        if self.stream_id is None:
            self.connection.pushes.open(self)
        assert self.stream_id is not None
        self.connection.core.send_informational_response(self.stream_id, status, fields)
        self.connection.kick()

    def ask_for_content(self) -> None:
        """Somebody is about to read the content: send 100 (Continue) to a client that waits for it (RFC 9110 section 10.1.1)."""
        if self._asked_for_content:
            return
        self._asked_for_content = True
        content, stream_id = self.content, self.stream_id
        if content is None or stream_id is None or content.received or content.ended:
            return
        if self.status is None and not self.disconnected and expects_continue(self.head.fields):
            self.connection.core.send_informational_response(stream_id, 100, [])
            self.connection.kick()

    def respond_now(self, response: Response) -> bool:
        """Send a whole response in this very wake-up. False when it has to be sent piece by piece, or must wait."""
        body: Body = response.body
        connection = self.connection
        if type(body) is not bytes or response.trailers is not None or len(body) > connection.piece:
            return False
        if self.disconnected:
            return True
        status = response.status
        if self.status is not None or self._has_no_content(status):
            return self._respond_carefully(response, body)
        try:
            self._send_whole(status, response.fields(connection.date()), body)
        except NoStreamCredit:
            return False
        return True

    def write_whole(self, status: int, fields: Fields, content: bytes) -> None:
        """Send the final response, its content and its end in one write. `NoStreamCredit` when a push finds no stream."""
        if self._has_no_content(status):
            self.begin(status, fields, True)
            return
        if self.disconnected:
            return
        if self.status is not None:
            raise StreamStateError("the response has begun already: a whole one is sent only once")
        self._send_whole(status, self.connection.dated(fields), content)

    def _has_no_content(self, status: int) -> bool:
        return status in NO_CONTENT_STATUSES or self.head.method == b"HEAD"

    def _send_whole(self, status: int, fields: Fields, content: bytes) -> None:
        if self.stream_id is None:
            self.connection.pushes.send_whole(self, status, fields, content)
        else:
            self.connection.core.send_whole_response(self.stream_id, status, fields, content)
        self.status = status
        self._count(len(content))
        self._end()

    def _respond_carefully(self, response: Response, body: bytes) -> bool:
        """Send a whole response that has no content by definition, or that cannot begin any more."""
        try:
            self.begin(response.status, response.fields(), not body)
        except NoStreamCredit:
            return False
        if body and not self.response_ended:
            self.write(body, True)
        return True

    def abort(self, code: ErrorCode) -> None:
        """Reset the response: it can not be completed."""
        if self.disconnected or self.response_ended:
            return
        self.response_ended = True
        if self.row is not None:
            self.row.given_up()
        if self.stream_id is not None:
            self.connection.guard.responses.pop(self.stream_id, None)
        if self.fulfils is not None:
            self.connection.pushes.cancel(self.fulfils, code)
        elif self.stream_id is not None:
            self.connection.core.reset_stream(self.stream_id, code)
            self.connection.kick()

    def _count(self, size: int) -> None:
        self.bytes_sent += size
        if self.fulfils is not None:
            self.fulfils.bytes_sent += size
            self.connection.pushes.count(self, size)

    def _end(self) -> None:
        self.response_ended = True
        connection = self.connection
        if self.stream_id is not None:
            connection.guard.responses[self.stream_id] = self
            if connection.next_look is None:
                connection.look_soon()
        if self.content is not None:
            # The core has stopped the request: its rest is not needed (RFC 9114 section 4.1).
            self.content.fail(
                StreamFailed("the response is complete, so no more of the request comes", ErrorCode.H3_NO_ERROR)
            )
        if self.fulfils is not None:
            self.connection.pushes.fulfilled(self.fulfils)
        if self.row is not None:
            self.row.ended()

    @property
    def root(self) -> "Exchange":
        """The request that the client really sent, at the beginning of a chain of pushes."""
        exchange: Exchange = self
        while exchange.initiator is not None:
            exchange = exchange.initiator
        return exchange
