"""The part of a connection that its requests see: the clock, the way out, flow control, keep-alive."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from h3push.client.limits import Limits
from h3push.errors import ConnectionClosed
from h3push.h3.client import H3ClientConnection
from h3push.http.content import BytesPart, FileContent
from h3push.quic.driver import bytes_waiting, send_file, send_part
from h3push.runtime.endpoint import Endpoint
from h3push.runtime.settings import ClientSettings
from h3push.runtime.signal import Signal


class Channel(ABC):
    """One connection, as its requests and responses see it.

    Args:
        endpoint: where it is one of the connections.
        handle: the transport's number for it.
        make_core: makes its protocol core; called again when the server refuses early data, which voids all streams.
        settings: time-outs and bounds.
    """

    def __init__(
        self, endpoint: Endpoint, handle: int, make_core: Callable[[], H3ClientConnection], settings: ClientSettings
    ) -> None:
        self.endpoint = endpoint
        self.handle = handle
        """The transport's number for this connection."""
        self.make_core = make_core
        self.core = make_core()
        """The protocol core."""
        self.may_be_promised = bool(self.core.config.max_concurrent_pushes)
        """True when the server may push, so that a response may be kept open for promises."""
        self.settings = settings
        self.limits = Limits(
            settings.request_timeout, settings.response_timeout, settings.read_timeout, settings.drain_timeout
        )
        """The time-outs of a request that has none of its own."""
        self.handshake = Signal()
        """Set when the handshake is done, or has failed."""
        self.server_settings = Signal()
        """Set when the server's SETTINGS are there, or will not be."""
        self.over: ConnectionClosed | None = None
        """Why the connection is over; `None` while it is not."""
        self.is_kept_alive = False
        """True while PINGs are sent, because something is waited for."""

    @abstractmethod
    def schedule_flush(self) -> None:
        """See that what was written is sent at the end of this turn."""

    def now(self) -> float:
        """The loop's clock, in seconds."""
        return self.endpoint.loop.time()

    def run_later(self, action: Callable[[], None]) -> None:
        """Call `action` in a later turn of the loop; from any thread, as the garbage collector runs in any."""
        loop = self.endpoint.loop
        if not loop.is_closed():
            loop.call_soon_threadsafe(action)

    def pause(self, stream_id: int) -> None:
        """Take no more content of this stream."""
        self.core.pause(stream_id)

    def resume(self, stream_id: int) -> None:
        """Go on taking content."""
        self.core.resume(stream_id)
        self.schedule_flush()

    # content on its way out

    def send_data(self, stream_id: int, data: bytes, end: bool) -> int:
        """Send content; how many bytes wait."""
        waiting = self.core.send_data(stream_id, data, end)
        self.schedule_flush()
        return waiting

    def send_part(self, stream_id: int, part: BytesPart, end: bool) -> int:
        """Send a part of larger bytes as one DATA frame; how many bytes wait."""
        waiting = send_part(self.core, self.endpoint.driver, self.handle, stream_id, part, end)
        self.schedule_flush()
        return waiting

    def send_file(self, stream_id: int, file: FileContent, size: int, end: bool) -> None:
        """Send a part of a file as one DATA frame."""
        send_file(self.core, self.endpoint.driver, self.handle, stream_id, file, size, end)
        self.schedule_flush()

    def waiting(self, stream_id: int) -> int:
        """How many bytes of a stream wait for the server to take them."""
        return bytes_waiting(self.endpoint.driver, self.handle, stream_id)

    def keep_alive(self, wanted: bool) -> None:
        """RFC 9114 section 5.1: a client keeps the connection open while it waits for something."""
        if self.over is None:
            self.is_kept_alive = wanted
            idle = self.settings.idle_timeout
            interval = None if not wanted or idle is None else idle / 3
            self.endpoint.driver.set_keep_alive(self.handle, interval)
