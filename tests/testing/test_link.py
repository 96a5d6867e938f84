"""The emulated link: exact arrival times, and the same result for the same seed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from h3push.testing.link import NANOSECONDS, Link, LinkSettings

MILLISECOND = 1_000_000


def test_the_default_link_takes_no_time_and_loses_nothing():
    """Without settings a packet arrives at the instant at which it was sent."""
    link = Link(LinkSettings())
    assert link.send(5, 1200) == (5,)
    assert link.backlog(5) == 0


def test_arrival_is_serialization_plus_delay():
    """1250 bytes at 10 Mbit/s take 1 ms on the serializer; then 50 ms on the wire."""
    link = Link(LinkSettings(delay=0.05, rate=10_000_000))
    assert link.send(0, 1250) == (51 * MILLISECOND,)


def test_a_second_packet_waits_for_the_serializer():
    """Packets sent at once arrive one serialization time apart, and after a pause none waits."""
    link = Link(LinkSettings(delay=0.05, rate=10_000_000))
    arrivals = [link.send(0, 1250)[0] for _ in range(3)]
    assert arrivals == [51 * MILLISECOND, 52 * MILLISECOND, 53 * MILLISECOND]
    assert link.send(10 * MILLISECOND, 1250) == (61 * MILLISECOND,)


def test_serialization_time_is_rounded_up_to_a_nanosecond():
    """1 byte at 3 bit/s takes 2.666.. s; the link never becomes faster than its rate."""
    assert Link(LinkSettings(rate=3)).send(0, 1) == (2_666_666_667,)


def test_backlog_counts_the_bytes_that_wait():
    """Half-way through the first of two packets one and a half wait."""
    link = Link(LinkSettings(rate=10_000_000))
    link.send(0, 1250)
    link.send(0, 1250)
    assert link.backlog(0) == 2500
    assert link.backlog(MILLISECOND // 2) == 1875
    assert link.backlog(2 * MILLISECOND) == 0


def test_a_full_queue_drops_at_the_tail():
    """A packet that does not fit whole is dropped, and takes no time on the serializer."""
    link = Link(LinkSettings(rate=10_000_000, queue=2500))
    assert link.send(0, 1250)
    assert link.send(0, 1250)
    assert link.send(0, 1) == ()
    assert link.send(MILLISECOND, 1250) == (3 * MILLISECOND,)
    assert link.counters.dropped == 1


def test_a_packet_above_the_mtu_is_dropped():
    """The MTU is the largest size that passes."""
    link = Link(LinkSettings(mtu=1280))
    assert link.send(0, 1280)
    assert link.send(0, 1281) == ()


def test_a_lost_packet_takes_its_time_on_the_serializer():
    """Loss happens on the wire, behind the serializer."""
    link = Link(LinkSettings(rate=10_000_000, loss=1.0))
    assert link.send(0, 1250) == ()
    assert link.free_at == MILLISECOND
    assert link.counters.lost == 1


def test_loss_hits_the_given_share():
    """5 % of 20,000 packets, within half a percentage point."""
    link = Link(LinkSettings(loss=0.05), seed=1)
    lost = sum(not link.send(i, 100) for i in range(20_000))
    assert lost == link.counters.lost
    assert abs(lost / 20_000 - 0.05) < 0.005


def test_jitter_keeps_the_order():
    """Jitter stands for other people's queues: what was sent first arrives first."""
    link = Link(LinkSettings(delay=0.01, jitter=0.02), seed=2)
    arrivals = [link.send(i * MILLISECOND, 100)[0] for i in range(500)]
    assert arrivals == sorted(arrivals)
    assert all(10 * MILLISECOND <= a - i * MILLISECOND <= 30 * MILLISECOND for i, a in enumerate(arrivals))


def test_a_reordered_packet_is_overtaken():
    """Held back for `reorder_delay`; those sent meanwhile are not."""
    link = Link(LinkSettings(delay=0.01, reorder=1.0, reorder_delay=0.005))
    held = link.send(0, 100)[0]
    link.settings = LinkSettings(delay=0.01)
    assert held == 15 * MILLISECOND
    assert link.send(MILLISECOND, 100) == (11 * MILLISECOND,)


def test_a_duplicate_arrives_twice():
    """Two arrivals at one instant."""
    assert Link(LinkSettings(delay=0.01, duplicate=1.0)).send(0, 9) == (10 * MILLISECOND, 10 * MILLISECOND)


NOISY = LinkSettings(
    delay=0.02, rate=1_000_000, queue=20_000, loss=0.1, jitter=0.01, reorder=0.1, duplicate=0.1, mtu=1500
)


@given(st.lists(st.tuples(st.integers(0, 10**8), st.integers(1, 1600)), max_size=60), st.integers())
def test_the_same_seed_and_packets_give_the_same_arrivals(packets, seed):
    """Determinism, and no arrival before serialization and delay have passed."""
    first, second = Link(NOISY, seed=seed), Link(NOISY, seed=seed)
    now = 0
    for gap, size in packets:
        now += gap
        arrivals = first.send(now, size)
        assert arrivals == second.send(now, size)
        assert all(at >= now + size * 8 * NANOSECONDS // 1_000_000 + 20 * MILLISECOND for at in arrivals)
    assert first.counters == second.counters


@given(st.lists(st.integers(1, 1500), min_size=1, max_size=50), st.integers(1, 10**10))
def test_no_more_leaves_than_the_rate_allows(sizes, rate):
    """Whatever is sent at once is through after at least its bits divided by the rate."""
    link = Link(LinkSettings(rate=rate))
    last = max(link.send(0, size)[0] for size in sizes)
    assert last * rate >= sum(sizes) * 8 * NANOSECONDS


@pytest.mark.parametrize(
    "settings",
    [
        {"delay": -1.0},
        {"loss": 1.5},
        {"loss": float("nan")},
        {"rate": 0},
        {"queue": 0},
        {"mtu": -5},
        {"jitter": -0.1},
    ],
)
def test_settings_that_mean_nothing_are_refused(settings):
    """A negative time, a probability above 1, a rate of nothing: `ValueError` that names the field."""
    with pytest.raises(ValueError, match=next(iter(settings))):
        LinkSettings(**settings)
