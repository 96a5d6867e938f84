"""An event loop in a thread of its own, for those who do not await."""

import asyncio
import os
import threading
import weakref
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """Runs coroutines in a loop of its own. The thread begins with the first and ends with `close`, or with the object."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._is_closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: Any = None

    @property
    def is_running(self) -> bool:
        """True once something was run, until `close`; never in a forked copy."""
        return self._loop is not None and self._process == os.getpid()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` and wait for its result. An exception in the waiting thread, such as Ctrl-C, cancels it.

        `RuntimeError` after `close`, and in a process that was forked after the thread began.
        """
        try:
            loop = self._started()
        except RuntimeError:
            work.close()
            raise
        future = asyncio.run_coroutine_threadsafe(work, loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """End the thread. Harmless when it is over."""
        with self._lock:
            self._loop, end, self._is_closed = None, self._end, True
        if end is not None and self._process == os.getpid():
            end()

    def _started(self) -> asyncio.AbstractEventLoop:
        if self._process != os.getpid():
            raise RuntimeError("the transport belongs to the process that made it: make one after the fork")
        with self._lock:
            if self._is_closed:
                raise RuntimeError("the transport is closed")
            if self._loop is None:
                loop = asyncio.new_event_loop()
                thread = threading.Thread(target=_serve, args=(loop,), name="h3push", daemon=True)
                thread.start()
                self._loop, self._end = loop, weakref.finalize(self, _stop, loop, thread)
            return self._loop


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def _stop(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    loop.call_soon_threadsafe(loop.stop)
    if thread is not threading.current_thread():
        thread.join(5)
