"""The virtual-time event loop: instant, ordered, exact, and loud when nothing can happen any more."""

import asyncio
import time
from socket import AF_INET6, gaierror

import pytest
from hypothesis import given
from hypothesis import strategies as st

from h3push.testing.virtual import Deadlock, VirtualLoop, run_virtual


def test_an_hour_takes_no_time():
    """`sleep(3600)` moves the clock by 3600 s at once."""

    async def main():
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time()

    began = time.monotonic()
    assert run_virtual(main) == 3600.0
    assert time.monotonic() - began < 1.0


def test_sleeps_longer_than_a_day_arrive_exactly():
    """The loop sleeps a day at most at a time; the clock still ends where it should."""

    async def main():
        await asyncio.sleep(10 * 86_400)
        return asyncio.get_running_loop().time_ns()

    assert run_virtual(main) == 10 * 86_400 * 10**9


@given(st.lists(st.integers(0, 10**13), min_size=1, max_size=30))
def test_calls_run_in_order_at_their_very_nanosecond(instants):
    """`call_at(n / 1e9)` runs when `time_ns()` is n, and equal instants keep the order of their making."""

    async def main():
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        ran = []
        for number, instant in enumerate(instants):
            loop.call_at(instant / 1e9, lambda pair: ran.append((*pair, loop.time_ns())), (instant, number))
        loop.call_at(max(instants) / 1e9, done.set_result, None)
        await done
        return ran

    ran = run_virtual(main)
    assert [(instant, at) for instant, _, at in ran] == [(i, i) for i in sorted(instants)]


def test_a_time_between_two_nanoseconds_is_rounded_up():
    """Nothing runs too early, and the loop does not spin."""

    async def main():
        await asyncio.sleep(1e-9 / 3)
        return asyncio.get_running_loop().time_ns()

    assert run_virtual(main) == 1


def test_ready_callbacks_run_before_the_clock_moves():
    """Time stands still while anything can run."""

    async def main():
        loop = asyncio.get_running_loop()
        for _ in range(1000):
            await asyncio.sleep(0)
        return loop.time_ns()

    assert run_virtual(main) == 0


def test_time_outs_work_in_virtual_time():
    """`asyncio.timeout` fires at its instant."""

    async def main():
        try:
            async with asyncio.timeout(5):
                await asyncio.Event().wait()
        except TimeoutError:
            return asyncio.get_running_loop().time()

    assert run_virtual(main) == 5.0


def test_a_deadlock_names_who_waits():
    """Nothing scheduled and the main task not done: an error, with the task and the line it waits at."""

    async def main():
        await asyncio.Event().wait()

    with pytest.raises(Deadlock, match=r"at 0\.0+ s nothing is scheduled.*main.*test_virtual\.py"):
        run_virtual(main)


def test_a_cancelled_timer_does_not_hide_a_deadlock():
    """A handle that was cancelled wakes nobody."""

    async def main():
        asyncio.get_running_loop().call_later(100, print).cancel()
        await asyncio.Event().wait()

    with pytest.raises(Deadlock):
        run_virtual(main)


def test_exceptions_of_main_come_through_and_tasks_are_cancelled():
    """As with `asyncio.run`."""
    seen = []

    async def background():
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            seen.append(asyncio.get_running_loop().time())
            raise

    async def main():
        task = asyncio.create_task(background())
        await asyncio.sleep(1)
        raise LookupError(task.get_name())

    with pytest.raises(LookupError):
        run_virtual(main)
    assert seen == [1.0]


def test_executor_work_takes_no_virtual_time():
    """`to_thread` runs at once, result or exception."""

    async def main():
        assert await asyncio.to_thread(sum, [1, 2]) == 3
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(divmod, 1, 0)
        return asyncio.get_running_loop().time_ns()

    assert run_virtual(main) == 0


def test_names_are_resolved_from_the_loops_own_table():
    """No resolver of the machine is asked."""

    async def main():
        loop = asyncio.get_running_loop()
        loop.hosts["origin.example"] = "192.0.2.1"
        assert [found[4] for found in await loop.getaddrinfo("origin.example", 443)] == [("192.0.2.1", 443)]
        assert [found[4] for found in await loop.getaddrinfo("2001:db8::1", 443)] == [("2001:db8::1", 443, 0, 0)]
        with pytest.raises(gaierror, match="family"):
            await loop.getaddrinfo("192.0.2.1", 443, family=AF_INET6)
        with pytest.raises(gaierror, match="hosts"):
            await loop.getaddrinfo("elsewhere.example", 443)

    run_virtual(main)


def test_a_loop_can_be_closed_unused():
    """Nothing is left open."""
    VirtualLoop().close()
