"""One response on its way out: what may be sent when, and what became of it.

Theory of operation. A response is requested or pushed; a pushed one has no stream before it begins, and its bytes are charged
to the budget of the request that caused it. What is sent takes effect at once, and each method returns how many bytes wait;
waiting for them is its caller's business (`Request`). Nothing is sent any more once the client does not want it: it is dropped
without an error, so that no handler has to guard its sends::

    WAITING ──▶ STARTED ──▶ ENDED         reset by us: RESET
       └─▶ HELD ──┘                       cancelled by the client, or the connection is over: UNWANTED, from anywhere

A start can be *held*: it is checked at once, so that its mistakes are its caller's, and sent together with the content that
follows in the same turn of the loop, or alone when none does. Written together they cost half.
"""

import logging
from collections.abc import Callable
from typing import Final

from h3push.errors import H3PushError, LocalProtocolError, NoStreamCredit, StreamStateError
from h3push.h3.known import KnownSection
from h3push.http.content import Body, BytesPart, FileContent
from h3push.http.fields import Fields, RequestHead
from h3push.http.semantics import NO_CONTENT_STATUSES, RESET_CONTENT
from h3push.runtime.drain import Drain
from h3push.server.budget import PushBudget
from h3push.server.channel import Channel
from h3push.server.drain_guard import ResponseRow, ResponseState
from h3push.server.push import Push
from h3push.server.response import Response

logger = logging.getLogger("h3push.server")

_WAITING: Final = ResponseState.WAITING
_HELD: Final = ResponseState.HELD
_STARTED: Final = ResponseState.STARTED
_ENDED: Final = ResponseState.ENDED
_RESET: Final = ResponseState.RESET
_UNWANTED: Final = ResponseState.UNWANTED

_SENT_WITHOUT: Final = NO_CONTENT_STATUSES | {RESET_CONTENT}
"""Statuses that are sent without content, whatever the method."""


class ResponseWriter:
    """Sends one response.

    Args:
        channel: the connection.
        stream_id: the request's stream; `None` for a pushed response, which opens its own.
        head: the request that is answered.
    """

    # Class attributes are the defaults, so that a response that needs none of this pays for none of it.
    status: int | None = None
    """Its final status; `None` before it began."""
    bytes_sent: int = 0
    """Content handed to QUIC so far, in bytes."""
    push: Push | None = None
    """The push that it fulfils, if any."""
    budget: PushBudget | None = None
    """Pays for it, if it is pushed."""
    failed: bool = False
    """True when our side could not make it whole: the handler raised, or a file was cut short."""
    on_end: Callable[[], None] | None = None
    """Called when the end has been handed to QUIC."""
    on_acknowledged: Callable[[], None] | None = None
    """Called when the client has all of it."""
    taken: int = 0
    """Content that the client had taken when the drain guard last saw progress, in bytes."""
    taken_at: float | None = None
    """When that was, in loop time; `None` before the guard's first look."""
    drops_content: bool = False
    """True when content is dropped: the response has none by definition, or nobody wants it any more."""
    _held: Fields
    _held_section: KnownSection
    _drain: Drain | None = None

    def __init__(self, channel: Channel, stream_id: int | None, head: RequestHead) -> None:
        self.stream_id = stream_id
        """Request stream, or push stream once it is open."""
        self.state = _WAITING
        """How far it has come."""
        self.row: ResponseRow | None = None  # here, since mypyc leaves out a class attribute whose type is a protocol
        """Its row in the access log."""
        self._channel = channel
        self._head = head

    def __repr__(self) -> str:
        path = (self._head.path or b"").decode("latin-1")
        return f"<ResponseWriter {self._head.method.decode('latin-1')} {path} {self.state.name}>"

    @property
    def ended(self) -> bool:
        """True when nothing more will be sent: its end was, or it was reset, or nobody wants it."""
        return self.state >= _ENDED

    # the start

    def begin(self, status: int, fields: Fields, end: bool) -> int:
        """Send the final header section, with Date where it is missing. `NoStreamCredit` when a push finds no stream."""
        if self.state is not _WAITING:
            if self.state is _UNWANTED:
                return 0
            raise StreamStateError("the response has begun already: start_response is called once")
        return self._begin(status, self._channel.dated(fields), end)

    def _begin(self, status: int, fields: Fields, end: bool) -> int:
        channel, stream_id = self._channel, self.stream_id
        if stream_id is None:
            stream_id = self._open()
        no_content = self._has_no_content(status)
        end = end or no_content
        if status == RESET_CONTENT:  # RFC 9110 section 15.3.6: it has no content, and says so
            fields = [*(field for field in fields if field[0].lower() != b"content-length"), (b"content-length", b"0")]
        queued = channel.core.send_response(stream_id, status, fields, end)
        if self.row is not None and self.state is _WAITING:
            self.row.began()
        self.status, self.state, self.drops_content = status, _STARTED, no_content
        if end:
            self._end()
        else:
            channel.guard.responses[stream_id] = self
            channel.look_soon()
        channel.schedule_flush()
        return queued

    def hold(self, status: int, fields: Fields) -> None:
        """Have the final header section sent with the content that follows in this turn of the loop, or at the end of the turn.

        Raises: LocalProtocolError: what is wrong with the fields; nothing is held then.
        """
        if self.state is not _WAITING:
            if self.state is _UNWANTED:
                return
            raise StreamStateError("the response has begun already: start_response is called once")
        fields = self._channel.dated(fields)
        self._held_section = self._channel.core.check_response(status, fields)
        self.status, self.state, self._held = status, _HELD, fields
        if self.row is not None:
            self.row.began()
        self._channel.hold(self)

    def send_held(self) -> None:
        """Send the start that waits, if one does. What goes wrong now is left for the next send to raise."""
        if self.state is not _HELD:
            return
        assert self.status is not None
        try:
            self._begin(self.status, self._held, False)
        except H3PushError as error:
            logger.debug("%r: %s", self, error)

    def _open(self) -> int:
        """Open the push stream. `NoStreamCredit` when it has to wait."""
        push = self.push
        assert push is not None
        assert push.push_id is not None
        stream_id = self.stream_id = self._channel.core.open_push_stream(push.push_id, push.priority)
        return stream_id

    def send_interim(self, status: int, fields: Fields) -> None:
        """Send an interim response, on a push stream too. `NoStreamCredit` when a push finds no stream."""
        if self.state is not _WAITING:
            if self.state is _UNWANTED:
                return
            raise StreamStateError("an interim response after the final one")
        if not 100 <= status < 200:
            raise LocalProtocolError(f"{status} is no interim status that HTTP/3 has: 102 to 199")
        stream_id = self.stream_id
        if stream_id is None:
            stream_id = self._open()
        self._channel.core.send_informational_response(stream_id, status, fields)
        self._channel.schedule_flush()

    def send_continue(self) -> None:
        """Send 100 (Continue), unless the final response has begun."""
        if self.state is _WAITING:
            self.send_interim(100, [])

    # content and end

    def write(self, data: bytes, end: bool) -> int:
        """Send content; dropped where the response has none by definition (HEAD, 204, 304)."""
        if self.state is _HELD and end:
            assert self.status is not None
            if self._has_no_content(self.status):
                return self._begin(self.status, self._held, True)
            if not data or not self._send_section(self.status, self._held_section, data):
                self._send_whole(self.status, self._held, data)
            return 0
        if not self._takes_content():
            return 0
        assert self.stream_id is not None
        queued = self._channel.core.send_data(self.stream_id, data, end)
        self._sent(len(data), end)
        self._channel.schedule_flush()
        return queued

    def write_part(self, part: BytesPart, end: bool) -> int:
        """Send a part of larger bytes; otherwise as `write`."""
        if not self._takes_content():
            return 0
        assert self.stream_id is not None
        queued = self._channel.send_part(self.stream_id, part, end)
        self._sent(part.length, end)
        return queued

    def write_file(self, file: FileContent, end: bool) -> None:
        """Send a part of a file; the transport reads it. `OSError` when it cannot be opened."""
        if not self._takes_content():
            return
        size = file.size()
        if size == 0:
            self.write(b"", end)
            return
        assert self.stream_id is not None
        self._channel.send_file(self.stream_id, file, size, end)
        self._sent(size, end)

    def write_trailers(self, fields: Fields) -> None:
        """Send the trailer section, which ends the response."""
        if not self._takes_content():
            return
        assert self.stream_id is not None
        self._channel.core.send_trailers(self.stream_id, fields)
        self._end()
        self._channel.schedule_flush()

    def _takes_content(self) -> bool:
        """False when what is sent is dropped. `StreamStateError` when nothing may be sent now."""
        state = self.state
        if state is _HELD:
            assert self.status is not None
            self._begin(self.status, self._held, False)
            state = self.state
        if self.drops_content:
            return False
        if state is _WAITING:
            raise StreamStateError("content before the response began: call start_response first")
        if state is not _STARTED:
            raise StreamStateError("content or trailers after the end of the response")
        return True

    # all of it at once

    def respond_now(self, response: Response) -> bool:
        """Send a whole response in this very wake-up. False when it has to be sent piece by piece, or must wait."""
        body: Body = response.body
        channel, state = self._channel, self.state
        if type(body) is not bytes or response.trailers is not None or len(body) > channel.piece:
            return False
        if state is _UNWANTED:
            return True
        try:
            if state is not _WAITING or not self._send_at_hand(response, body):
                self._respond_in_steps(response, body)
        except NoStreamCredit:
            return False
        return True

    def _respond_in_steps(self, response: Response, body: bytes) -> None:
        status = response.status
        if self.state is not _WAITING or self._has_no_content(status):
            self.begin(status, response.fields(), not body)
            if body and self.state is _STARTED:
                self.write(body, True)
        else:
            self._send_whole(status, response.fields(self._channel.date()), body)

    def _send_at_hand(self, response: Response, body: bytes) -> bool:
        """Send a response as the core remembers it, in one write. False, and nothing done, when it is not plain."""
        if not body:
            return False
        return self._send_section(response.status, response.section(self._channel.date(), len(body)), body)

    def _send_section(self, status: int, section: KnownSection, body: bytes) -> bool:
        """The same for a header section that was checked."""
        channel, stream_id, push, size = self._channel, self.stream_id, self.push, len(body)
        if push is not None:
            if stream_id is not None or push.push_id is None:
                return False
            self.stream_id = channel.core.send_push_at_hand(
                channel.core.push(push.push_id), status, section, body, push.priority
            )
            if self.stream_id is None:
                return False
        elif stream_id is None or channel.core.send_response_at_hand(stream_id, status, section, body) is None:
            return False
        if self.row is not None and self.state is _WAITING:
            self.row.began()
        self.status = status
        if push is None:
            self.bytes_sent = size
            self._end()
        else:
            self.state = _STARTED
            self._sent(size, True)
        return True

    def _has_no_content(self, status: int) -> bool:
        return status in _SENT_WITHOUT or self._head.method == b"HEAD"

    def _send_whole(self, status: int, fields: Fields, content: bytes) -> None:
        """Send everything in one write; a push opens its stream with it. `NoStreamCredit` when a push finds no stream."""
        channel = self._channel
        if self.stream_id is None:
            push = self.push
            assert push is not None
            push_id = push.push_id
            assert push_id is not None
            self.stream_id = channel.core.send_whole_push(push_id, status, fields, content, push.priority)
        else:
            channel.core.send_whole_response(self.stream_id, status, fields, content)
        if self.row is not None and self.state is _WAITING:
            self.row.began()
        self.status = status
        if self.push is None:
            self.bytes_sent = len(content)
            self._end()
        else:
            self.state = _STARTED
            self._sent(len(content), True)

    # the end

    def _sent(self, size: int, end: bool) -> None:
        """Content was handed to QUIC. A push that costs more than its budget has is called off."""
        self.bytes_sent += size
        push, budget = self.push, self.budget
        if push is not None and budget is not None:
            push.bytes_sent += size
            if not budget.charge(size):
                logger.warning("%r: cancelled, max_push_bytes (%d) is used up", self, budget.max_bytes)
                push.cancel()
                return
        if end:
            self._end()

    def _end(self) -> None:
        self.state = _ENDED
        channel = self._channel
        if self.stream_id is not None:
            channel.guard.responses[self.stream_id] = self
        if channel.next_look is None:
            channel.look_soon()
        if self.on_end is not None:
            on_end, self.on_end = self.on_end, None
            on_end()
        if self.row is not None:
            self.row.ended()

    def reset(self, code: int) -> None:
        """Reset the response: it can not be completed. Harmless when it is over."""
        if self.state >= _ENDED:
            return
        self.state = _RESET
        if self.row is not None:
            self.row.given_up()
        if self.stream_id is not None:
            self._channel.guard.responses.pop(self.stream_id, None)
        if self.push is not None:
            self.push.cancel(code)
        elif self.stream_id is not None:
            self._channel.core.reset_stream(self.stream_id, code)
            self._channel.schedule_flush()

    def give_up(self, error: H3PushError) -> bool:
        """The client does not take the response, which is about to be reset, though its end may have been sent.

        True when a sender waits for the client, and has been told by `error`.
        """
        if self.row is not None:
            self.row.given_up()
        return self._drain is not None and self._drain.fail(error)

    def disconnect(self, error: H3PushError) -> bool:
        """Nobody wants the response any more. False when that was known."""
        if self.state is _UNWANTED:
            return False
        self.state, self.drops_content = _UNWANTED, True
        if self.row is not None:
            self.row.unwanted(error)
        if self.stream_id is not None:
            self._channel.guard.responses.pop(self.stream_id, None)
        self.drained()
        return True

    # back-pressure

    def drained(self) -> None:
        """The transport has taken (nearly) all that was queued."""
        if self._drain is not None:
            self._drain.drained()

    async def wait_until_drained(self) -> None:
        """Wait until the transport has taken nearly all. `Timeout` when the client takes too little (`drain_timeout`)."""
        if self.state is _UNWANTED:
            return
        if self._drain is None:
            self._drain = Drain()
        await self._drain.wait_guarded()
