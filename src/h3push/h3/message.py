"""The shape of an HTTP message, in either direction of a stream, and the sending half, which is held to it.

Theory of operation
===================

A request stream carries a request one way and a response the other; a push stream carries a response one way only. RFC 9114
section 4.1 gives every message the same shape::

    message  = *interim header-section [content] [trailer-section] END
    frames   =  HEADERS*    HEADERS     *DATA       [HEADERS]       FIN

(`interim` is for responses only; unknown frames may stand anywhere and mean nothing; PUSH_PROMISE may stand anywhere on a
response and is no part of it.) `MESSAGE` is that shape as a table, and both directions obey it: what is not in the table, the
peer is told as H3_FRAME_UNEXPECTED (`h3.message_receiver`) and our caller as `StreamStateError` (`MessageSender`).
"""

from enum import IntEnum

from h3push.errors import StreamStateError


class MessageState(IntEnum):
    """How far a message has come."""

    START = 0
    """No final header section yet; interim responses may have passed."""
    CONTENT = 1
    """The final header section is through; content, trailers or the end may follow."""
    TUNNEL = 2
    """CONNECT was answered with 2xx: only DATA follows (RFC 9114 section 4.4)."""
    TRAILERS = 3
    """The trailer section is through; only the end may follow."""
    COMPLETE = 4
    """The end is through."""
    ABORTED = 5
    """Reset, stopped or malformed: nothing further counts."""


class MessageInput(IntEnum):
    """A step of a message."""

    INTERIM = 0
    """A 1xx header section."""
    HEADERS = 1
    """The request's header section, or the final response's."""
    CONNECT = 2
    """The header section that turns the stream into a tunnel."""
    DATA = 3
    """A piece of content."""
    TRAILERS = 4
    """A trailer section."""
    END = 5
    """FIN."""


MESSAGE: dict[tuple[int, int], MessageState] = {
    (MessageState.START, MessageInput.INTERIM): MessageState.START,
    (MessageState.START, MessageInput.HEADERS): MessageState.CONTENT,
    (MessageState.START, MessageInput.CONNECT): MessageState.TUNNEL,
    (MessageState.CONTENT, MessageInput.CONNECT): MessageState.TUNNEL,
    (MessageState.CONTENT, MessageInput.DATA): MessageState.CONTENT,
    (MessageState.CONTENT, MessageInput.TRAILERS): MessageState.TRAILERS,
    (MessageState.CONTENT, MessageInput.END): MessageState.COMPLETE,
    (MessageState.TUNNEL, MessageInput.DATA): MessageState.TUNNEL,
    (MessageState.TUNNEL, MessageInput.END): MessageState.COMPLETE,
    (MessageState.TRAILERS, MessageInput.END): MessageState.COMPLETE,
}
"""RFC 9114 section 4.1 (and 4.4 for tunnels): (state, input) to the next state; absence is an error."""

ENDED = (MessageState.COMPLETE, MessageState.ABORTED)
"""States in which a direction of a stream needs nothing more."""


class MessageSender:
    """The sending half of a stream: holds our own caller to `MESSAGE` and to the announced length.

    Args:
        content_length: Content-Length, in bytes; `None`: not announced.
    """

    __slots__ = ("content_length", "content_sent", "no_content", "state")

    def __init__(self, content_length: int | None = None) -> None:
        self.state = MessageState.START
        """How far the message has come."""
        self.content_length = content_length
        """Content-Length, in bytes; `None`: not announced."""
        self.content_sent = 0
        """Content so far, in bytes."""
        self.no_content = False
        """The message never has content: HEAD, 204, 304 (RFC 9110 section 6.4.1)."""

    def advance(self, *happened: MessageInput, size: int = 0) -> None:
        """Account for what is about to be sent: moves along `MESSAGE`, with `size` bytes of content among them.

        Raises:
            StreamStateError: it cannot be sent now, or is more or less than announced. The message stays where it was.
        """
        state = self.state
        for step in happened:
            following = MESSAGE.get((state, step))
            if following is None:
                raise StreamStateError(f"cannot send {step.name} now: the message is in state {self.state.name}")
            state = following
        announced = self.content_length
        sent = self.content_sent + size
        if announced is not None and not self.no_content:
            if sent > announced:
                raise StreamStateError(f"more content than the Content-Length of {announced} that was sent")
            if state is MessageState.COMPLETE and sent < announced:
                raise StreamStateError(
                    f"the content ends after {sent} bytes, but a Content-Length of {announced} was sent"
                )
        self.state = state
        self.content_sent = sent

    @property
    def ended(self) -> bool:
        """True when nothing more can be sent."""
        return self.state in ENDED
