"""uvicorn's protocol for HTTP/1.1 by httptools."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from h3push.tcp.admission import ReleasedWhenLost
from h3push.tcp.gathering import GatheringTransport


class HttptoolsProtocol(ReleasedWhenLost, HttpToolsProtocol):
    """HTTP/1.1, with an upgrade that nobody takes answered by the response and the end of the connection.

    httptools stops behind a request with Upgrade, and uvicorn 0.54 drops the bytes that came with it: a request behind it would
    get no answer, or would be read from its middle on. A client may have put anything there, as if the upgrade had been taken, so
    nothing after such a request is read as HTTP/1.1 (RFC 9110 section 7.8 lets a server ignore the field, and any server close).
    """

    transport: GatheringTransport
    _is_last = False

    def data_received(self, data: bytes) -> None:
        """Take what came, unless the connection ends with the request before."""
        if not self._is_last:
            super().data_received(data)

    def on_headers_complete(self) -> None:
        """Begin a request."""
        super().on_headers_complete()
        if self.parser.should_upgrade() and not self._should_upgrade():
            self.cycle.keep_alive = False

    def _unsupported_upgrade_warning(self) -> None:
        """A request is whole that asked for an upgrade; the rest of what came with it is dropped."""
        super()._unsupported_upgrade_warning()
        self._is_last = True

    def on_response_complete(self) -> None:
        """Send what waits: nothing more comes with it, and a handler may have work to do that does not wait."""
        self.transport.flush()
        super().on_response_complete()
