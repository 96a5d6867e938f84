"""One connection of HTTP/1.1 to an upstream, in virtual time: an upstream that is a list of bytes."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from h3push.proxy.failures import UpstreamFailed, UpstreamFailure
from h3push.proxy.http1 import Http1Connection
from h3push.proxy.leaving import PATIENCE, LeavingWatch
from h3push.proxy.settings import UpstreamSettings
from h3push.proxy.upstream import UpstreamRequest, parse_upstream
from h3push.testing.virtual import run_virtual

GET = UpstreamRequest(b"GET", b"/", b"a", [])


class Wire(asyncio.Transport):
    """A transport that takes everything."""

    def write(self, data: Any) -> None:
        pass

    def is_closing(self) -> bool:
        return False

    def abort(self) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class Owner:
    """Whom the connection tells; nobody asks."""

    def over(self, connection: Any) -> None:
        pass

    def lost(self, connection: Any) -> None:
        pass


def connected(**settings: Any) -> Http1Connection:
    made = Http1Connection(parse_upstream("127.0.0.1:1"), UpstreamSettings(**settings), Owner())
    made.connection_made(Wire())
    return made


async def no_interim(_status: int, _fields: Any) -> None:
    pass


def asked(connection: Http1Connection) -> Any:
    return asyncio.ensure_future(connection.exchange(GET, no_interim))


def now() -> float:
    return asyncio.get_running_loop().time()


def test_each_wait_has_its_whole_time() -> None:
    """The one timer of a connection serves waits that begin later: the second answer has as long as the first."""

    async def main() -> None:
        one = connected(response_timeout=10.0)
        first = asked(one)
        await asyncio.sleep(7)
        one.data_received(b"HTTP/1.1 204 No Content\r\n\r\n")
        assert await (await first).read() == b""
        begun = now()
        with pytest.raises(UpstreamFailed) as caught:
            await asked(one)
        assert caught.value.failure is UpstreamFailure.READ_TIMEOUT
        assert now() - begun == pytest.approx(10)

    run_virtual(main)


def test_a_shorter_wait_is_not_held_up_by_the_timer_of_a_longer_one() -> None:
    """Content that stops fails after `read_timeout`, though the timer was set for the longer `response_timeout`."""

    async def main() -> None:
        one = connected(response_timeout=60.0, read_timeout=2.0)
        asking = asked(one)
        await asyncio.sleep(1)
        one.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome")
        response = await asking
        assert await response.read() == b"some"
        with pytest.raises(UpstreamFailed):
            await response.read()
        assert now() == pytest.approx(3)

    run_virtual(main)


def test_a_connection_that_is_lost_leaves_no_timer() -> None:
    """Nothing of a connection stays in the loop once it has ended."""

    async def main() -> None:
        one = connected(response_timeout=60.0)
        asking = asked(one)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        one.connection_lost(None)
        with pytest.raises(UpstreamFailed):
            await asking
        assert one._timer is not None
        assert one._timer.cancelled()

    run_virtual(main)


def test_chunks_that_came_together_are_one_piece_and_the_last_is_known() -> None:
    """Whoever reads has no further wait to learn that an answer has ended, and small chunks cost no event each."""

    async def main() -> None:
        one = connected()
        asking = asked(one)
        await asyncio.sleep(0)
        one.data_received(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\nx-sum: 1\r\n\r\n"
        )
        response = await asking
        assert await response.read() == b"abc"
        assert response.ended
        assert response.trailers == [(b"x-sum", b"1")]
        assert one.is_usable

    run_virtual(main)


def test_what_came_before_nonsense_is_handed_on() -> None:
    """A broken chunk behind a good one does not take the good one along; the next read says that the answer is broken."""

    async def main() -> None:
        one = connected()
        asking = asked(one)
        await asyncio.sleep(0)
        one.data_received(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\nzz\r\n")
        response = await asking
        assert await response.read() == b"a"
        assert not response.ended
        with pytest.raises(UpstreamFailed):
            await response.read()

    run_virtual(main)


def test_a_request_is_watched_when_its_time_has_come_and_only_while_it_is_under_way() -> None:
    """One timer for all requests: each begins to be watched at its own time, those that are over never."""

    class Request:
        at: float | None = None

        def begin_to_watch(self) -> None:
            self.at = now()

    async def main() -> None:
        watch, early, late, over = LeavingWatch(), Request(), Request(), Request()
        watch.add(early)
        watch.add(over)
        await asyncio.sleep(PATIENCE / 2)
        watch.add(late)
        watch.remove(over)
        await asyncio.sleep(1)
        assert early.at == pytest.approx(PATIENCE)
        assert late.at == pytest.approx(1.5 * PATIENCE)
        assert over.at is None

    run_virtual(main)


class Upload:
    """Content whose second piece is taken while the upstream acts: it has answered, and then `closes` with content unread."""

    def __init__(self, peer: socket.socket, answer: bytes, *, closes: bool) -> None:
        self.peer, self.answer, self.closes = peer, answer, closes
        self.taken = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        self.taken += 1
        if self.taken == 2:
            self.peer.recv(10)
            self.peer.sendall(self.answer)
            if self.closes:
                self.peer.close()
        elif self.taken > 2:
            await asyncio.sleep(0)
        if self.taken > 100:
            raise StopAsyncIteration
        return b"x" * 1000


def uploaded(answer: bytes, *, closes: bool) -> tuple[int, bytes, Upload]:
    """Upload over TCP of this machine: the status, the content and the upload."""

    async def main() -> tuple[int, bytes, Upload]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            one = Http1Connection(parse_upstream("127.0.0.1:1"), UpstreamSettings(), Owner())
            await asyncio.get_running_loop().create_connection(lambda: one, *listener.getsockname())
            peer, _ = listener.accept()
        with peer:
            upload = Upload(peer, answer, closes=closes)
            response = await one.exchange(UpstreamRequest(b"POST", b"/", b"a", [], upload), no_interim)
            for _ in range(300):  # the time that the rest of the content takes
                await asyncio.sleep(0)
            content = b""
            while piece := await response.read():
                content += piece
            one.close()
            await asyncio.sleep(0)
            return response.status, content, upload

    return asyncio.run(main())


def test_an_answer_that_came_before_the_reset_is_read() -> None:
    """A server that refuses an upload answers and closes; the write that fails on that does not take the answer along."""
    answer = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 9\r\n\r\ntoo large"
    assert uploaded(answer, closes=True)[:2] == (413, b"too large")


def test_an_upload_that_was_refused_is_not_sent_to_its_end() -> None:
    """A final answer that is an error and closes stops the content (RFC 9112 section 9.6)."""
    answer = b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 9\r\n\r\ntoo large"
    status, content, upload = uploaded(answer, closes=False)
    assert (status, content) == (413, b"too large")
    assert upload.taken < 100


def test_a_reset_does_not_end_an_answer_that_says_no_length() -> None:
    """Only a close in order ends such an answer (RFC 9112 section 8): what a reset cut off does not pass for whole."""
    with pytest.raises(UpstreamFailed) as caught:
        uploaded(b"HTTP/1.1 413 Content Too Large\r\n\r\ntoo lar", closes=True)
    assert caught.value.failure is UpstreamFailure.RESPONSE_INCOMPLETE
