"""GOAWAY in both directions (RFC 9114 sections 5.2 and 7.2.6).

A server's GOAWAY carries a request stream ID, a client's a push ID. Either way it means: what is below I have handled or will
handle, what is at or above I have not touched and will not. It may be sent again with a smaller identifier, never a larger one.
"""

from h3push.errors import ErrorCode, H3ConnectionError, LocalProtocolError
from h3push.wire.registry import Role
from h3push.wire.varint import VARINT_MAX


class Shutdown:
    """The GOAWAY frames of both sides."""

    __slots__ = ("_role", "received", "sent")

    def __init__(self, role: Role) -> None:
        self._role = role
        self.sent: int | None = None
        """The identifier we sent last."""
        self.received: int | None = None
        """The identifier the peer sent last."""

    def receive(self, identifier: int) -> None:
        """Take the peer's GOAWAY; raises H3_ID_ERROR for an identifier that cannot be or that grew."""
        if self._role is Role.CLIENT and identifier % 4 != 0:
            raise H3ConnectionError(
                ErrorCode.H3_ID_ERROR, f"GOAWAY names stream {identifier}, which cannot carry a request"
            )
        if self.received is not None and identifier > self.received:
            raise H3ConnectionError(ErrorCode.H3_ID_ERROR, f"GOAWAY grew from {self.received} to {identifier}")
        self.received = identifier

    def send(self, identifier: int) -> None:
        """Note our own GOAWAY; raises `LocalProtocolError` for an identifier that cannot be or that grew."""
        if not 0 <= identifier <= VARINT_MAX:
            raise LocalProtocolError(f"a GOAWAY identifier is 0 to 2^62-1, not {identifier}")
        if self._role is Role.SERVER and identifier % 4 != 0:
            raise LocalProtocolError(f"a server's GOAWAY names a request stream, and {identifier} is none")
        if self.sent is not None and identifier > self.sent:
            raise LocalProtocolError(f"GOAWAY {self.sent} was sent; it cannot grow to {identifier}")
        self.sent = identifier

    def excludes(self, identifier: int) -> bool:
        """True when we said that we do not handle this request or push."""
        return self.sent is not None and identifier >= self.sent
