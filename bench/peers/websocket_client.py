"""A WebSocket over HTTP/3 that sends messages and reads them back: `websocket_client.py PORT CAFILE MESSAGES`.

Prints the seconds that it took. Fifty messages of 100 bytes are under way at once.
"""

import asyncio
import sys
import time

from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side

import h3push
from h3push.client.limits import Limits
from h3push.http.fields import RequestHead

AT_ONCE = 50


async def main() -> None:
    port, cafile, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    async with h3push.connect(f"https://localhost:{port}/", cafile=cafile) as client:
        session = client.session
        fields = [(b"sec-websocket-version", b"13")]
        authority = b"localhost:" + port.encode()
        head = RequestHead(b"CONNECT", b"https", authority, b"/", fields, None, protocol=b"websocket")
        while session.core.peer_settings is None:  # noqa: ASYNC110 - the server has to allow extended CONNECT first
            await asyncio.sleep(0.01)
        exchange = session.open(head, Limits(None, None, None, None), end_stream=False, priority=None)
        await exchange.wait_answer()
        if exchange.head.status != 200:
            raise SystemExit(f"no WebSocket: {exchange.head.status}")
        frames = Protocol(Side.CLIENT, max_size=None)
        began = time.perf_counter()
        sent = received = 0
        while received < count:
            while sent < count and sent - received < AT_ONCE:
                frames.send_binary(b"x" * 100)
                sent += 1
            session.core.send_data(exchange.stream_id, b"".join(frames.data_to_send()), False)
            session.schedule_flush()
            frames.receive_data(await exchange.content.next_chunk())
            received += sum(isinstance(one, Frame) and one.opcode is Opcode.BINARY for one in frames.events_received())
        print(time.perf_counter() - began)


if __name__ == "__main__":
    asyncio.run(main())
