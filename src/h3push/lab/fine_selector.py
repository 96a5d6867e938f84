"""An event loop whose timers fire within some 0.1 ms.

epoll waits whole milliseconds, rounded up; so a timer of asyncio is up to a millisecond late, there and back a tenth of a link of
20 ms. `select` takes microseconds and can wait for an epoll: that is all there is to it. Other systems' selectors are fine.
"""

import asyncio
import select
import selectors

if hasattr(selectors, "EpollSelector"):

    class FineSelector(selectors.EpollSelector):
        """epoll with time-outs in microseconds."""

        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            """Wait until a file is ready, or `timeout` seconds have passed."""
            if timeout is not None and timeout > 0:
                select.select([self.fileno()], [], [], timeout)
                timeout = 0
            return super().select(timeout)

else:
    FineSelector = selectors.DefaultSelector  # type: ignore[misc,assignment]


def fine_loop() -> asyncio.AbstractEventLoop:
    """Make a loop with precise timers."""
    return asyncio.SelectorEventLoop(FineSelector())
