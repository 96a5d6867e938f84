"""The one timer that stands for all of a connection's."""

import asyncio

from h3push.tcp.idle_timer import IdleTimer
from h3push.testing.virtual import run_virtual


def test_only_the_last_timer_fires_and_at_its_time() -> None:
    """As if each were one of the loop's that was cancelled before the next; the loop has one for all of them."""
    fired: list[tuple[str, float]] = []

    async def scenario() -> int:
        loop = asyncio.get_running_loop()
        timer = IdleTimer(loop)
        for number in range(5):
            timer.call_later(10, lambda number=number: fired.append((str(number), loop.time()))).cancel()
            await asyncio.sleep(1)
        scheduled = len(loop._scheduled)  # type: ignore[attr-defined]
        start = loop.time()
        timer.call_later(10, lambda: fired.append(("last", loop.time() - start)))
        await asyncio.sleep(30)
        timer.call_later(10, lambda: fired.append(("long", 0)))
        timer.call_later(2, lambda: fired.append(("short", loop.time() - start)))
        await asyncio.sleep(30)
        timer.call_later(1, lambda: fired.append(("cancelled", 0))).cancel()
        await asyncio.sleep(30)
        return scheduled

    assert run_virtual(scenario) == 1
    assert [(name, round(when, 3)) for name, when in fired] == [("last", 10), ("short", 32)]
