"""The certainty of a probability that was counted: its 5 % lower bound. The quantiles are scipy's.

`lower_bound` is Clopper and Pearson's: with k of n seen, the largest p for which k or more of n would still be rarer than the
level. It needs no prior, and it never claims more certainty than its level, however small n is. Its closed forms say what
evidence costs: all of n seen gives level ** (1 / n), so 14 in a row make 0.8 certain, 29 make 0.9, and 59 make 0.95.

`credible_bound` begins with a prior: four views that went as such resources do elsewhere on the site (empirical Bayes). So what
is new needs fewer views, and counts may be fractions, as counts that fade are. Beta(a, 1) has the quantile level ** (1 / a).
"""

from functools import lru_cache

from scipy import special

LEVEL = 0.05
"""Chance that a bound promises too much."""
PRIOR_VIEWS = 4.0
"""Page views that a prior is worth."""
SUREST_PRIOR = 0.875
"""Largest mean of a prior, and 1 less the smallest: of its four views half a one at least went the other way, as in Jeffreys'
prior."""


@lru_cache(maxsize=100_000)
def lower_bound(uses: int, trials: int, level: float = LEVEL) -> float:
    """The probability that `uses` of `trials` show at least, wrong with the chance `level`; 0 when nothing was tried.

    Raises: ValueError: more uses than trials, or fewer than none.
    """
    if not 0 <= uses <= trials:
        raise ValueError(f"{uses} uses of {trials} trials")
    if uses == 0:
        return 0.0
    return float(special.betaincinv(uses, trials - uses + 1, level))  # the quantile of Beta(k, n - k + 1)


def credible_bound(uses: float, trials: float, expected: float, level: float = LEVEL) -> float:
    """The same from a prior worth `PRIOR_VIEWS` with the mean `expected`; the counts may be fractions.

    Raises: ValueError: more uses than trials, or fewer than none.
    """
    if not 0 <= uses <= trials:
        raise ValueError(f"{uses} uses of {trials} trials")
    mean = min(SUREST_PRIOR, max(1 - SUREST_PRIOR, expected))
    used, unused = uses + PRIOR_VIEWS * mean, trials - uses + PRIOR_VIEWS * (1 - mean)
    return float(special.betaincinv(used, unused, level))
