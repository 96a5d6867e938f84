"""The statistics, against their closed forms."""

import math
from statistics import fmean, variance

import pytest
from scipy import stats

from h3push.control.bounds import lower_bound
from h3push.judge.bounds import difference, views_needed


@pytest.mark.parametrize("trials", [1, 5, 14, 29, 59, 1000])
def test_all_of_n_seen(trials: int) -> None:
    """With k = n the bound is 0.05 ** (1 / n): 14, 29 and 59 in a row make 0.8, 0.9 and 0.95 certain."""
    assert lower_bound(trials, trials) == pytest.approx(0.05 ** (1 / trials))


def test_one_of_n_seen() -> None:
    """With k = 1 the bound is 1 - 0.95 ** (1 / n)."""
    assert lower_bound(1, 20) == pytest.approx(1 - 0.95 ** (1 / 20))


@pytest.mark.parametrize(("uses", "trials"), [(3, 10), (9, 10), (50, 200), (199, 200)])
def test_at_the_bound_what_was_seen_is_as_rare_as_the_level(uses: int, trials: int) -> None:
    """If the probability were the bound, `uses` or more would be seen in 5 % of all cases: the sum of binomial terms."""
    p = lower_bound(uses, trials)
    tail = sum(math.comb(trials, k) * p**k * (1 - p) ** (trials - k) for k in range(uses, trials + 1))
    assert tail == pytest.approx(0.05)


def test_nothing_seen_promises_nothing() -> None:
    assert lower_bound(0, 0) == lower_bound(0, 100) == 0
    with pytest.raises(ValueError, match="3 uses of 2 trials"):
        lower_bound(3, 2)


def test_the_interval_of_a_difference_is_welch_s() -> None:
    """Mean difference, plus and minus Student's quantile with Welch and Satterthwaite's degrees of freedom."""
    first, second = [10.0, 12.0, 15.0, 11.0, 13.0], [7.0, 9.5, 8.0, 12.0]
    a, b = variance(first) / len(first), variance(second) / len(second)
    degrees = (a + b) ** 2 / (a**2 / (len(first) - 1) + b**2 / (len(second) - 1))
    half = stats.t.ppf(0.95, degrees) * math.sqrt(a + b)
    found = difference(first, second)
    assert found.estimate == pytest.approx(fmean(first) - fmean(second))
    assert (found.low, found.high) == pytest.approx((found.estimate - half, found.estimate + half))


def test_without_scatter_the_interval_is_a_point() -> None:
    found = difference([3.0, 3.0], [1.0, 1.0])
    assert (found.low, found.estimate, found.high) == (2.0, 2.0, 2.0)
    with pytest.raises(ValueError, match="two values"):
        difference([1.0], [1.0, 2.0])


def test_intervals_hold_the_truth_nine_times_in_ten() -> None:
    """Of 400 experiments whose truth is known, 85 to 95 % of the intervals hold it (seeded)."""
    import numpy as np

    random = np.random.default_rng(1)
    held = 0
    for _ in range(400):
        first, second = random.gamma(2, 60, 80) + 20, random.gamma(2, 50, 60)
        interval = difference(list(first), list(second))
        held += interval.low <= 40 <= interval.high
    assert 0.85 <= held / 400 <= 0.95


def test_what_is_missing_is_counted_by_the_scatter() -> None:
    """The number is n = (variance + variance) (z / effect)^2, z the 95 % quantile of the normal distribution."""
    first, second = [0.0, 10.0] * 20, [0.0, 20.0] * 20
    expected = math.ceil((variance(first) + variance(second)) * (1.6448536 / 2.0) ** 2)
    assert views_needed(first, second, 2.0) == expected
