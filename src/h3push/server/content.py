"""The content of a request, on its way to the handler."""

from collections.abc import Callable

from h3push.errors import ErrorCode, StreamFailed
from h3push.runtime.inbox import ContentTooLarge, Incoming, UnreadBudget
from h3push.server.channel import Channel


class RequestContent(Incoming):
    """The content of a request. It asks the client for it when somebody reads, and remembers why it could not be read.

    Args:
        channel: the connection.
        stream_id: the request's stream.
        ask: has the client send the content, if it waits for 100 (Continue); `None`: it does not wait.
        budget: the unread content of all requests.
    """

    __slots__ = ("_ask", "failure")

    def __init__(self, channel: Channel, stream_id: int, ask: Callable[[], None] | None, budget: UnreadBudget) -> None:
        mark, seconds = channel.settings.receive_high_water, channel.settings.read_timeout
        super().__init__(channel, stream_id, high_water=mark, timeout=seconds, budget=budget)
        self._ask = ask
        self.failure: Exception | None = None
        """The last error of a reader: the client's doing, not one of the handler's own."""

    async def next_chunk(self) -> bytes:
        """Take the next piece; before the first one, ask for it (RFC 9110 section 10.1.1)."""
        if self._ask is not None:
            ask, self._ask = self._ask, None
            if not self.received and not self.ended:
                ask()
        try:
            return await super().next_chunk()
        except Exception as error:
            self.failure = error
            raise

    async def read(self, limit: int | None = None) -> bytes:
        """All of it. `ContentTooLarge` for more than `limit` bytes, and what `next_chunk` raises."""
        try:
            return await super().read(limit)
        except ContentTooLarge as error:
            self.failure = error
            raise

    def end_with_response(self) -> None:
        """The response is complete; the core has stopped the request: its rest is not needed (RFC 9114 section 4.1)."""
        self.fail(StreamFailed("the response is complete, so no more of the request comes", ErrorCode.H3_NO_ERROR))
