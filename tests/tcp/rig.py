"""One connection of uvicorn's protocols, on a transport that notes what is done with it."""

import asyncio
from typing import Any

import uvicorn
import zttp

from h3push.tcp.gathering import GatheringTransport, Turns
from h3push.tcp.zttp_protocols import Http2Protocol

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Wire(asyncio.Transport):
    """A transport that notes what is done with it."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[Any] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.done.append(bytes(data))

    def close(self) -> None:
        self.done.append("closed")

    def abort(self) -> None:
        self.done.append("aborted")

    def is_closing(self) -> bool:
        return bool(self.done) and not isinstance(self.done[-1], bytes)

    def get_write_buffer_size(self) -> int:
        return 1000


class Rig:
    """One connection of a protocol, and a client of zttp's over HTTP/2."""

    def __init__(self, protocol: type[Any], app: Any) -> None:
        config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False, interface="asgi3")
        config.load()
        self.wire = Wire()
        self.client: Any = None
        self.served = protocol(config=config, server_state=uvicorn.Server(config).server_state, app_state={})
        self.served.connection_made(GatheringTransport(self.wire, Turns()))
        if protocol is Http2Protocol:
            self.client = zttp.Connection(zttp.CLIENT, protocol=zttp.HTTP2)
            self.client.initiate_connection()
            self.served.data_received(self.client.data_to_send())
            self.served.transport.flush()
            self.heard()

    def ask(self, count: int = 1, path: bytes = b"/") -> None:
        if self.client is None:
            self.served.data_received(REQUEST * count)
            return
        for _ in range(count):
            self.client.send_request(b"GET", path, b"2", [(b"host", b"a")]).end_message()
        self.served.data_received(self.client.data_to_send())

    def heard(self) -> list[Any]:
        """The events of what the client was sent since it last looked."""
        for data in self.wire.done:
            if isinstance(data, bytes):
                self.client.receive_data(data)
        del self.wire.done[:]
        return list(iter(self.client.next_event, zttp.NEED_DATA))
