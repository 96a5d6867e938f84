"""Streams of which no data is taken for now, and why."""

from h3push.h3.transport import Transport


class Pauses(dict[int, set[str]]):
    """By stream ID, the reasons for which a stream is paused: it goes on when the last one is gone.

    Args:
        transport: the QUIC connection.
    """

    def __init__(self, transport: Transport) -> None:
        super().__init__()
        self._transport = transport

    def add(self, stream_id: int, reason: str) -> None:
        """Stop taking data of a stream for one more reason."""
        reasons = self.setdefault(stream_id, set())
        if not reasons:
            self._transport.pause(stream_id)
        reasons.add(reason)

    def discard(self, stream_id: int, reason: str) -> None:
        """Take data again if no other reason is left."""
        reasons = self.get(stream_id)
        if reasons is None or reason not in reasons:
            return
        reasons.discard(reason)
        if not reasons:
            del self[stream_id]
            self._transport.resume(stream_id)
