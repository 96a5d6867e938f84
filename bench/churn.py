"""Clients that come and go, for `soak.py`: every version of HTTP, pushes, WebSockets, and those that leave in the middle."""

import asyncio
import random
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing

import httpx
from websockets.asyncio.client import connect as connect_websocket
from websockets.exceptions import WebSocketException
from websockets.protocol import Protocol, Side

import h3push
from h3push.client.limits import Limits
from h3push.http.fields import RequestHead
from h3push.server.certificates import DevelopmentCertificates

MESSAGES = 5
"""Messages of a WebSocket."""
MESSAGE = bytes(3000)
"""Each of them."""
PATIENCE = 20.0
"""Seconds after which a visit has failed."""
MAX_PUSHES = 10
"""Pushes that a client allows at once."""


class Churn:
    """Clients of one server. Each visit is one connection, or a few; what it does is drawn by lot.

    Args:
        port: the server's port, on this machine.
        certificates: the server's.
        seed: of the lots.
        only: names of visits; none: all of them.
    """

    def __init__(self, port: int, certificates: DevelopmentCertificates, seed: int, only: Sequence[str] = ()) -> None:
        self._url = f"https://localhost:{port}"
        self._cafile = certificates.cafile
        self._context = ssl.create_default_context(cafile=certificates.cafile)  # httpx changes its ALPN
        self._websocket_context = ssl.create_default_context(cafile=certificates.cafile)
        self._tls = h3push.ClientTls(trust=certificates.cafile.read_bytes())
        self._random = random.Random(seed)
        visits: dict[str, Callable[[], Awaitable[None]]] = {
            "pushes": self._take_pushes,
            "left": self._leave_a_download,
            "stopped": self._change_its_mind,
            "vanished": self._vanish,
            "chat": self._chat,
            "chat-left": self._chat_and_vanish,
            "chat-tcp": self._chat_over_tcp,
            "http2": lambda: self._browse_over_tcp(http2=True),
            "http1": lambda: self._browse_over_tcp(http2=False),
            "left-http2": lambda: self._leave_over_tcp(http2=True),
            "left-http1": lambda: self._leave_over_tcp(http2=False),
        }
        self._visits = [(name, visit) for name, visit in visits.items() if not only or name in only]
        self.done: Counter[str] = Counter()
        """What clients did and got, by a word for it."""
        self.reloading = False
        """True while workers give way to others: they close connections over TCP that are idle, and WebSockets (1012)."""
        self.crossed: Counter[str] = Counter()
        """Requests over TCP under which a worker that gave way closed the connection, by the sentence why. In HTTP/1.1 nothing
        says whether such a request was taken, so no server can help it wholly: an idle connection is closed as one comes."""
        self.failures: Counter[str] = Counter()
        """Visits that failed, by the sentence why. A request that was not processed, because of a reload, is none."""

    async def come_and_go(self, seconds: float, pause: float) -> None:
        """Visit, one visit after the other with a `pause` between, for so many seconds."""
        clock = asyncio.get_running_loop()
        end = clock.time() + seconds
        while clock.time() < end:
            name, visit = self._random.choice(self._visits)
            try:
                async with asyncio.timeout(PATIENCE):
                    await visit()
            except h3push.RequestNotProcessed:
                self.done["asked during a reload"] += 1
            except (h3push.H3PushError, httpx.HTTPError, WebSocketException, OSError, AssertionError) as error:
                self._note_failure(name, error)
            self.done["visits"] += 1
            await asyncio.sleep(pause * self._random.uniform(0.5, 1.5))

    def _note_failure(self, name: str, error: Exception) -> None:
        if self.reloading and name == "chat-tcp" and isinstance(error, WebSocketException | OSError):
            self.done["WebSockets closed by a reload"] += 1
        elif self.reloading and isinstance(error, httpx.TransportError):
            self.crossed[f"{name}: {type(error).__name__}: {error}"] += 1
        else:
            self.failures[f"{name}: {type(error).__name__}: {error}"] += 1

    def _connect(self) -> h3push.ClientConnection:
        lot = self._random.random()
        options = {"tls": self._tls} if lot < 0.5 else {"cafile": self._cafile}  # half of them resume a session
        return h3push.connect(self._url, max_pushes=MAX_PUSHES, **options)  # type: ignore[arg-type]

    # over HTTP/3

    async def _take_pushes(self) -> None:
        """Two pages; of the pushes some are read, some cancelled, some left alone."""
        async with self._connect() as client:
            for number in range(2):
                page = await client.get(f"/page/{number}")
                assert await page.read()
                async for push in page.pushes():
                    self.done["pushes"] += 1
                    lot = self._random.random()
                    if lot < 0.3:
                        push.cancel()
                        self.done["pushes cancelled"] += 1
                    elif lot < 0.8:
                        assert await (await push.response()).read()
                answer = await client.post("/content", content=MESSAGE * 20)
                assert await answer.read() == MESSAGE * 20

    async def _leave_a_download(self) -> None:
        """Take the beginning, and close the connection."""
        async with self._connect() as client:
            await anext((await client.get("/download")).stream())
            self.done["downloads left"] += 1

    async def _change_its_mind(self) -> None:
        """Stop one download after the other, on one connection that goes on."""
        async with self._connect() as client:
            for _ in range(4):
                async with client.stream("GET", "/download") as response:
                    await anext(response.stream())
                self.done["downloads left"] += 1
            assert await (await client.get("/page/last")).read()

    async def _vanish(self) -> None:
        """Ask for a page with pushes, and close before anything has come."""
        async with self._connect() as client:
            asking = asyncio.ensure_future(client.get("/page/0"))
            await asyncio.sleep(0)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    async def _chat(self, *, close: bool = True) -> None:
        """A WebSocket by extended CONNECT (RFC 9220)."""
        async with self._connect() as client:
            await (await client.get("/")).read()  # the server's SETTINGS are here
            session, frames = client.session, Protocol(Side.CLIENT)
            fields = [(b"sec-websocket-version", b"13")]
            authority = self._url.removeprefix("https://").encode()
            head = RequestHead(b"CONNECT", b"https", authority, b"/chat", fields, None, b"websocket")
            exchange = session.open(head, Limits(None, None, None, None), end_stream=False, priority=None)
            await exchange.wait_answer()
            for _ in range(MESSAGES):
                frames.send_binary(MESSAGE)
                session.core.send_data(exchange.stream_id, b"".join(frames.data_to_send()), False)
                session.schedule_flush()
                while not frames.events_received():
                    frames.receive_data(await exchange.content.next_chunk())
                self.done["messages"] += 1
            if close:
                frames.send_close(1000)
                session.core.send_data(exchange.stream_id, b"".join(frames.data_to_send()), True)
                session.schedule_flush()
                while await exchange.content.next_chunk():
                    pass

    async def _chat_and_vanish(self) -> None:
        """The same, and the connection closes with the WebSocket open."""
        await self._chat(close=False)

    # over TCP

    async def _chat_over_tcp(self) -> None:
        """A WebSocket over HTTP/1.1."""
        url = self._url.replace("https", "wss") + "/chat"
        async with connect_websocket(url, ssl=self._websocket_context, proxy=None) as socket:
            for _ in range(MESSAGES):
                await socket.send(MESSAGE)
                assert await socket.recv() == MESSAGE
                self.done["messages"] += 1
            if self._random.random() < 0.5:
                socket.transport.abort()

    def _browser(self, http2: bool) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            http1=not http2, http2=http2, verify=self._context, base_url=self._url, trust_env=False
        )

    async def _browse_over_tcp(self, *, http2: bool) -> None:
        """A page and what it needs."""
        async with self._browser(http2) as browser:
            answers = [await browser.get("/page/0")]
            answers += await asyncio.gather(*(browser.get(f"/{number}") for number in range(3)))
            answers.append(await browser.post("/content", content=MESSAGE * 20))
            assert all(answer.status_code == 200 and answer.content for answer in answers)
            self.done["requests over TCP"] += len(answers)

    async def _leave_over_tcp(self, *, http2: bool) -> None:
        """Take the beginning of a download, and close the connection."""
        async with self._browser(http2) as browser, browser.stream("GET", "/download") as response:
            async with aclosing(response.aiter_raw()) as pieces:
                await anext(pieces)
            self.done["downloads left"] += 1
