"""One request over any version of HTTP, to a server on this machine; what came back, told in the same words."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.settings
import h11

import h3push

VERSIONS = ("3", "2", "1.1")
Pairs = list[tuple[bytes, bytes]]


@dataclass
class Answer:
    status: int = 0
    headers: Pairs = field(default_factory=list)
    content: bytes = b""
    hints: list[str] = field(default_factory=list)
    """Link values of 103 responses."""
    pushed: list[str] = field(default_factory=list)
    """Paths that were promised."""

    def all(self, name: bytes) -> list[str]:
        return [value.decode() for key, value in self.headers if key.lower() == name]

    @property
    def links(self) -> list[str]:
        """Link values of the final response."""
        return self.all(b"link")


async def fetch(
    version: str,
    port: int,
    cafile: Any,
    path: str = "/",
    *,
    method: str = "GET",
    headers: Pairs | None = None,
    content: bytes = b"",
    pushes: bool = False,
    on_hint: Callable[[], None] = lambda: None,
) -> Answer:
    """Send one request over one version, on a connection of its own."""
    own = list(headers or [])
    if content:
        own.append((b"content-length", str(len(content)).encode()))
    async with asyncio.timeout(20):
        if version == "3":
            return await _http3(port, cafile, path, method, own, content, pushes)
        context = ssl.create_default_context(cafile=cafile)
        context.set_alpn_protocols(["h2" if version == "2" else "http/1.1"])
        reader, writer = await asyncio.open_connection("localhost", port, ssl=context)
        try:
            spoken = writer.get_extra_info("ssl_object").selected_alpn_protocol()
            assert spoken == ("h2" if version == "2" else "http/1.1")
            if version == "2":
                return await _http2(reader, writer, port, path, method, own, content, pushes, on_hint)
            return await _http1(reader, writer, port, path, method, own, content)
        finally:
            writer.close()


async def _http3(port, cafile, path, method, headers, content, pushes) -> Answer:
    options = {"max_pushes": 10} if pushes else {}
    async with h3push.connect(f"https://localhost:{port}/", cafile=cafile, **options) as client:
        response = await client.request(method, path, headers=headers, content=content or None)
        answer = Answer(response.status, list(response.headers.raw), await response.read())
        answer.hints = [v for s, fields in response.informational if s == 103 for v in fields.get_all("link")]
        if pushes:
            async for push in response.pushes():
                answer.pushed.append(push.request.path)
                await (await push.response()).read()
        return answer


async def _http2(reader, writer, port, path, method, headers, content, pushes, on_hint) -> Answer:  # noqa: C901 - a table of events
    connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
    enable_push = h2.settings.SettingCodes.ENABLE_PUSH
    connection.local_settings = h2.settings.Settings(client=True, initial_values={enable_push: int(pushes)})
    connection.initiate_connection()
    head = [(b":method", method.encode()), (b":scheme", b"https"), (b":authority", b"localhost:%d" % port)]
    stream = connection.get_next_available_stream_id()
    connection.send_headers(stream, [*head, (b":path", path.encode()), *headers], end_stream=not content)
    if content:
        connection.send_data(stream, content, end_stream=True)
    answer, open_streams = Answer(), {stream}
    while open_streams:
        writer.write(connection.data_to_send())
        data = await reader.read(65_536)
        if not data:
            raise ConnectionResetError("the server closed the connection")
        for event in connection.receive_data(data):
            if isinstance(event, h2.events.InformationalResponseReceived):
                answer.hints += [value.decode() for name, value in event.headers if name == b"link"]
                on_hint()
            elif isinstance(event, h2.events.PushedStreamReceived):
                answer.pushed.append(dict(event.headers)[b":path"].decode())
                open_streams.add(event.pushed_stream_id)
            elif isinstance(event, h2.events.ResponseReceived) and event.stream_id == stream:
                answer.status = int(dict(event.headers)[b":status"])
                answer.headers = [pair for pair in event.headers if not pair[0].startswith(b":")]
            elif isinstance(event, h2.events.DataReceived):
                if event.stream_id == stream:
                    answer.content += event.data
                connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                open_streams.discard(event.stream_id)
            elif isinstance(event, h2.events.StreamReset):
                raise ConnectionResetError(f"stream {event.stream_id}: {event.error_code}")
    return answer


async def _http1(reader, writer, port, path, method, headers, content) -> Answer:
    connection = h11.Connection(h11.CLIENT)
    head = [(b"host", b"localhost:%d" % port), (b"connection", b"close"), *headers]
    writer.write(connection.send(h11.Request(method=method, target=path, headers=head)) or b"")
    if content:
        writer.write(connection.send(h11.Data(content)) or b"")
    writer.write(connection.send(h11.EndOfMessage()) or b"")
    answer = Answer()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(65_536))
        elif isinstance(event, h11.InformationalResponse):
            answer.hints += [value.decode() for name, value in event.headers if name == b"link"]
        elif isinstance(event, h11.Response):
            answer.status, answer.headers = event.status_code, list(event.headers)
        elif isinstance(event, h11.Data):
            answer.content += event.data
        elif isinstance(event, h11.EndOfMessage):
            return answer
        else:
            raise ConnectionResetError(repr(event))
