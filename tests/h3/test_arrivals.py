"""Which requests are still to come, whatever order they come in."""

import random

from h3push.h3.arrivals import RequestArrivals


def test_what_was_skipped_is_awaited_and_what_came_is_not() -> None:
    """Against a plain set, with streams in random order and some noted twice."""
    order = [4 * number for number in range(200)]
    random.Random(1).shuffle(order)
    arrivals, came = RequestArrivals(8), set()
    for stream_id in order:
        arrivals.note(stream_id)
        arrivals.note(stream_id)
        came.add(stream_id)
        assert arrivals.next_request == max(came) + 4
        assert {one for one in range(0, 900, 4) if arrivals.awaits(one)} == set(range(0, 900, 4)) - came
    assert arrivals.gaps == 0


def test_the_highest_stream_first_costs_one_range() -> None:
    """A peer that begins with stream 2^62 - 4 makes us remember a pair of numbers, not the streams below."""
    arrivals = RequestArrivals(8)
    arrivals.note((1 << 62) - 4)
    assert arrivals.gaps == 1
    assert arrivals.awaits(0)
