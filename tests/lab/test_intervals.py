"""Intervals of medians, against closed forms."""

from random import Random

import pytest

from h3push.lab.intervals import coverage, interval_of


def test_coverage_is_the_binomial_probability():
    """Between the smallest and largest of n lies the median unless all fell on one side: 1 - 2^(1 - n)."""
    for count in range(1, 12):
        assert coverage(count, 1) == pytest.approx(1 - 2 ** (1 - count))
    assert coverage(10, 2) == pytest.approx(1 - 2 * 11 / 1024)


@pytest.mark.parametrize(("count", "rank"), [(2, 1), (5, 1), (6, 1), (9, 2), (12, 3), (20, 6)])
def test_the_narrowest_interval_with_95_per_cent_is_taken_or_the_widest_there_is(count, rank):
    found = interval_of(range(1, count + 1))
    assert (found.low, found.high, found.count) == (rank, count + 1 - rank, count)
    assert found.confidence == pytest.approx(coverage(count, rank))


def test_a_single_measurement_says_nothing_of_its_confidence():
    found = interval_of([3.0])
    assert (found.median, found.low, found.high, found.confidence) == (3.0, 3.0, 3.0, 0.0)
    with pytest.raises(ValueError, match="no measurement"):
        interval_of([])


def test_intervals_cover_the_truth_as_often_as_they_say():
    random = Random(5)
    found = [interval_of([random.expovariate(1.0) for _ in range(9)]) for _ in range(4_000)]
    covered = sum(one.low <= 0.6931 <= one.high for one in found) / len(found)
    assert covered == pytest.approx(found[0].confidence, abs=0.01)
