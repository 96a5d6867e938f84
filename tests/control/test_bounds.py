"""The bounds of a probability, against closed forms."""

import numpy as np
import pytest

from h3push.control.bounds import LEVEL, PRIOR_VIEWS, SUREST_PRIOR, credible_bound


@pytest.mark.parametrize("views", [0, 5, 14, 59, 1000])
def test_all_used_has_the_quantile_of_a_power(views: int) -> None:
    """Beta(a, 1) has the quantile level ** (1 / a); a prior of 3 uses in 4 views makes it that."""
    assert credible_bound(views, views, 0.75) == pytest.approx(LEVEL ** (1 / (views + 3)))


def test_none_used_has_the_mirrored_quantile() -> None:
    """Beta(1, b) has the quantile 1 - (1 - level) ** (1 / b)."""
    assert credible_bound(0, 20, 0.25) == pytest.approx(1 - (1 - LEVEL) ** (1 / 23))


def test_counts_may_be_fractions() -> None:
    assert credible_bound(9.4, 10.2, 0.5) < credible_bound(9.9, 10.2, 0.5) < credible_bound(10.2, 10.2, 0.5)


def test_no_prior_makes_certain() -> None:
    """Even where all such things were used always, half a view of the prior says otherwise."""
    assert credible_bound(0, 0, 1.0) == credible_bound(0, 0, SUREST_PRIOR) < 0.7
    assert PRIOR_VIEWS * (1 - SUREST_PRIOR) == 0.5


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="3 uses of 2 trials"):
        credible_bound(3, 2, 0.5)


def test_the_bound_holds_as_often_as_it_says() -> None:
    """Over things whose probabilities are spread as the prior says, 95 of 100 lie above their bound."""
    random = np.random.default_rng(1)
    truth = random.beta(PRIOR_VIEWS * 0.75, PRIOR_VIEWS * 0.25, 4_000)
    uses = random.binomial(20, truth)
    held = [p >= credible_bound(int(k), 20, 0.75) for p, k in zip(truth, uses, strict=True)]
    assert 0.94 <= sum(held) / len(held) <= 0.96
