"""The transport of a connection, with what is written in one turn of the event loop sent as one.

Theory of operation. uvicorn writes each event of an application by itself: a response of a header section and some content is two
TLS records and two calls of the system, and over HTTP/2 so is each of those that are answered together. Here they wait for each
other until the turn ends, as they do over HTTP/3, or until uvicorn is through with all that it was asked (`flush`), or until
there are so many that nothing is gained by waiting. What is written never waits for the client: only the turn's end is awaited,
so back-pressure works as it did, by the transport beneath.
"""

import asyncio
from typing import Any

MOST_GATHERED = 65_536
"""Bytes that wait for the end of a turn. As many as asyncio buffers before it asks the writer to pause: four full TLS records."""


class Turns:
    """Tells the connections that have written in a turn of the event loop when it is over: all of them by one call."""

    __slots__ = ("_writing",)

    def __init__(self) -> None:
        self._writing: list[GatheringTransport] = []

    def add(self, transport: "GatheringTransport") -> None:
        """A connection has something that waits."""
        if not self._writing:
            asyncio.get_running_loop().call_soon(self._end)
        self._writing.append(transport)

    def _end(self) -> None:
        writing, self._writing = self._writing, []
        for transport in writing:
            transport.end_turn()


class GatheringTransport(asyncio.Transport):
    """Stands before a transport, and hands on in one piece what was written in one turn.

    Args:
        transport: of the connection.
        turns: tells when one is over.
    """

    def __init__(self, transport: asyncio.Transport, turns: Turns) -> None:
        super().__init__()
        self._transport = transport
        self._turns = turns
        self._waiting: list[bytes | bytearray | memoryview] = []
        self._size = 0
        self._is_scheduled = False
        self._tls: Any = transport.get_extra_info("ssl_object")  # each request asks for it

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send this with what else is written in this turn."""
        if not data:
            return
        self._size += len(data)
        if self._size > MOST_GATHERED:  # to join this much costs as much as to write twice
            self.flush()
            self._transport.write(data)
            return
        self._waiting.append(data)
        if not self._is_scheduled:
            self._is_scheduled = True
            self._turns.add(self)

    def end_turn(self) -> None:
        """Send what waits; a transport of asyncio raises nothing for a connection that is lost."""
        self._is_scheduled = False
        self.flush()

    def flush(self) -> None:
        """Send what waits, now."""
        self._size = 0
        if self._waiting:
            whole = b"".join(self._waiting)
            self._waiting.clear()
            self._transport.write(whole)

    def close(self) -> None:
        """Close once all that was written is sent."""
        self.flush()
        self._transport.close()
        self._tls = None  # a response may hold this transport beyond its connection

    def abort(self) -> None:
        """Close at once."""
        self._waiting.clear()
        self._transport.abort()

    def is_closing(self) -> bool:
        """True when it is closed, or about to be."""
        return self._transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """A fact that the transport beneath knows."""
        if name == "ssl_object" and self._tls is not None:
            return self._tls
        return self._transport.get_extra_info(name, default)

    def get_write_buffer_size(self) -> int:
        """Bytes that are not sent yet."""
        return self._size + self._transport.get_write_buffer_size()

    def pause_reading(self) -> None:
        """Have the client wait."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Go on reading."""
        self._transport.resume_reading()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand the connection to another protocol, such as that of a WebSocket."""
        self._transport.set_protocol(protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The protocol that has the connection."""
        return self._transport.get_protocol()
