"""aioquic, or its fork qh3: `quic_python.py LIBRARY HOW PORT CERTIFICATE KEY`.

Both come without an HTTP server. `asgi` is the approach of aioquic's own example server: a `QuicConnectionProtocol` with an
`H3Connection`, and for each request a task that runs an ASGI application and sends what it says at once. `direct` answers from
within the event, without task or application: the fastest that these libraries allow, and like for like with a handler of h3push
that is a plain function.
"""

import asyncio
import importlib
import sys

from application import app
from contents import BODIES, ONE_K, PUSHED, PUSHES

library, how = sys.argv[1:3]
aio = importlib.import_module(f"{library}.asyncio")
protocols = importlib.import_module(f"{library}.asyncio.protocol")
h3_connection = importlib.import_module(f"{library}.h3.connection")
h3_events = importlib.import_module(f"{library}.h3.events")
configuration = importlib.import_module(f"{library}.quic.configuration")
quic_events = importlib.import_module(f"{library}.quic.events")


class DirectProtocol(protocols.QuicConnectionProtocol):
    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self._http = None
        self._paths: dict[int, str] = {}
        self._uploaded: dict[int, int] = {}

    def quic_event_received(self, event) -> None:
        if isinstance(event, quic_events.ProtocolNegotiated):
            self._http = h3_connection.H3Connection(self._quic)
        if self._http is not None:
            for happened in self._http.handle_event(event):
                self.http_event_received(happened)

    def http_event_received(self, event) -> None:
        stream_id = event.stream_id
        if isinstance(event, h3_events.HeadersReceived):
            headers = dict(event.headers)
            self._paths[stream_id] = headers[b":path"].partition(b"?")[0].decode()
        elif isinstance(event, h3_events.DataReceived):
            self._uploaded[stream_id] = self._uploaded.get(stream_id, 0) + len(event.data)
        if event.stream_ended:
            self.answer(stream_id, self._paths.pop(stream_id), self._uploaded.pop(stream_id, 0))

    def answer(self, stream_id: int, path: str, uploaded: int) -> None:
        if path in PUSHED:
            pushed = PUSHED[path]
            promised = [
                (b":method", b"GET"),
                (b":scheme", b"https"),
                (b":authority", b"localhost"),
                (b":path", pushed.encode()),
            ]
            streams = [self._http.send_push_promise(stream_id, promised) for _ in range(PUSHES)]
            self.respond(stream_id, ONE_K)
            for stream in streams:
                self.respond(stream, BODIES[pushed])
        else:
            self.respond(stream_id, b"%d" % uploaded if path == "/upload" else BODIES[path])

    def respond(self, stream_id: int, body: bytes) -> None:
        headers = [
            (b":status", b"200"),
            (b"content-type", b"text/plain"),
            (b"content-length", b"%d" % len(body)),
        ]
        self._http.send_headers(stream_id, headers)
        self._http.send_data(stream_id, body, end_stream=True)


class ASGIRequest:
    """One request of the `asgi` way."""

    def __init__(self, protocol: "ASGIProtocol", stream_id: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.messages: asyncio.Queue[dict[str, object]] = asyncio.Queue()
        self._protocol = protocol
        self._stream_id = stream_id
        path, _, query = dict(headers)[b":path"].partition(b"?")
        self.scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "3",
            "method": dict(headers)[b":method"].decode(),
            "scheme": "https",
            "path": path.decode(),
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": [(name, value) for name, value in headers if not name.startswith(b":")],
        }

    async def send(self, message: dict) -> None:
        if message["type"] == "http.response.start":
            headers = [(b":status", str(message["status"]).encode()), *message["headers"]]
            self._protocol.http.send_headers(self._stream_id, headers)
        else:
            end = not message.get("more_body", False)
            self._protocol.http.send_data(self._stream_id, message.get("body", b""), end_stream=end)
        self._protocol.transmit()


class ASGIProtocol(protocols.QuicConnectionProtocol):
    """As in aioquic's `examples/http3_server.py`."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.http = None
        self._requests: dict[int, ASGIRequest] = {}

    def quic_event_received(self, event) -> None:
        if isinstance(event, quic_events.ProtocolNegotiated):
            self.http = h3_connection.H3Connection(self._quic)
        if self.http is not None:
            for happened in self.http.handle_event(event):
                self.http_event_received(happened)

    def http_event_received(self, event) -> None:
        if isinstance(event, h3_events.HeadersReceived):
            request = self._requests[event.stream_id] = ASGIRequest(self, event.stream_id, event.headers)
            task = asyncio.ensure_future(app(request.scope, request.messages.get, request.send))
            task.add_done_callback(lambda _: self._requests.pop(event.stream_id))
            body = b""
        else:
            request, body = self._requests[event.stream_id], event.data
        more = not event.stream_ended
        request.messages.put_nowait({"type": "http.request", "body": body, "more_body": more})


async def main() -> None:
    _, _, port, certificate, key = sys.argv[1:]
    quic = configuration.QuicConfiguration(alpn_protocols=["h3"], is_client=False, idle_timeout=300.0)
    quic.load_cert_chain(certificate, key)
    protocol = ASGIProtocol if how == "asgi" else DirectProtocol
    await aio.serve("127.0.0.1", int(port), configuration=quic, create_protocol=protocol)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
