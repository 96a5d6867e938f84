"""The confidence sequence, against its closed form and by how often it is ever wrong."""

import math

import numpy as np
import pytest

from h3push.control.effect import MIN_ARM, TRIAL_AGAIN, Effect, Standing
from h3push.control.kinds import Arm
from h3push.control.sequence import LEVEL, TUNED_FOR, ConfidenceSequence, mixture_boundary


def test_the_boundary_is_the_normal_mixture() -> None:
    """Under a mixture of N(0, g) means, the likelihood ratio of the sum S reaches 1 / level just at this boundary (Robbins)."""
    for count, g, level in ((10, 0.1, 0.1), (500, 0.002, 0.05), (20_000, 0.01, 0.2)):
        total = count * mixture_boundary(count, level, g)
        ratio = math.exp(total**2 / (2 * (count + 1 / g))) / math.sqrt(count * g + 1)
        assert ratio == pytest.approx(1 / level)


def test_it_is_narrowest_where_it_is_tuned_for() -> None:
    """No other g gives a narrower interval there by more than two per cent."""
    tuned = mixture_boundary(TUNED_FOR)
    assert all(mixture_boundary(TUNED_FOR, g=g) > tuned * 0.98 for g in np.geomspace(1e-5, 1, 200))


def sequence(values: "np.ndarray") -> tuple[float, float]:
    """The share of moments ... at which a sequence, and an interval for a fixed number, leave out the mean 1: ever, or never."""
    ever, ever_fixed = False, False
    one = ConfidenceSequence()
    for value in values:
        one.add(float(value))
        if one.count >= 2 * MIN_ARM:
            ever |= not one.low <= 1 <= one.high
            fixed = 1.645 * math.sqrt(one.squares / (one.count - 1) / one.count)
            ever_fixed |= not abs(one.mean - 1) <= fixed
    return ever, ever_fixed


def test_it_is_wrong_at_any_time_no_more_often_than_its_level() -> None:
    """Of 300 sequences of skewed values looked at after each value, few ever leave out the truth; fixed intervals, most do."""
    random = np.random.default_rng(7)
    results = [sequence(random.exponential(1.0, 1_500)) for _ in range(300)]
    assert sum(ever for ever, _ in results) / 300 <= LEVEL
    assert sum(fixed for _, fixed in results) / 300 > 0.4


def views(effect: Effect, count: int, *, hint: float, push: float, seed: int = 3, share: float = 0.3) -> Effect:
    random = np.random.default_rng(seed)
    for _ in range(count):
        arm = Arm(random.choice(["none", "hint", "push"], p=[share / 2, share / 2, 1 - share]))
        took = {Arm.HINT: hint, Arm.PUSH: push, Arm.NONE: hint * 2}[arm]
        effect.add(arm, took + random.normal(0, 20), share, "new 7")
        effect.pass_view()
    return effect


def test_an_effect_is_the_difference_of_the_arms() -> None:
    effect = views(Effect(), 4_000, hint=300, push=200)
    assert effect.saved.mean == pytest.approx(100, abs=8)
    assert effect.saved.low < 100 < effect.saved.high


def test_pushes_that_save_are_certified_and_others_demoted() -> None:
    """The whole interval above 0 certifies, the whole interval below it demotes; little was seen: neither."""
    assert views(Effect(), 20, hint=300, push=200).standing is Standing.UNDECIDED
    assert views(Effect(), 3_000, hint=300, push=200).standing is Standing.CERTIFIED
    assert views(Effect(), 3_000, hint=300, push=360).standing is Standing.DEMOTED
    assert views(Effect(), 3_000, hint=300, push=300).standing is Standing.UNDECIDED


def test_a_demotion_ends() -> None:
    """After a while the route is tried once more, and measured anew."""
    effect = views(Effect(), 1_000, hint=300, push=400)
    while effect.standing is Standing.DEMOTED and effect.since_demoted < 2 * TRIAL_AGAIN:
        effect.pass_view()
    assert effect.standing is Standing.UNDECIDED
    assert effect.saved.count == 0


def test_a_kind_of_client_is_no_scatter() -> None:
    """A slow and a fast kind of link beside each other do not hide what pushes save in both."""
    random = np.random.default_rng(5)
    effect = Effect()
    for _ in range(1_500):
        arm = Arm(random.choice(["hint", "push"], p=[0.2, 0.8]))
        stratum, base = ("new 9", 2_000) if random.random() < 0.5 else ("new 5", 50)
        effect.add(arm, base - (20 if arm is Arm.PUSH else 0), 0.4, stratum)
    assert effect.standing is Standing.CERTIFIED
