"""Equivalence: against scipy, the published summaries, simulation, and its own limits."""

import numpy as np
import pytest
from scipy import stats

from diffenc.statistics import tost, welch


@pytest.mark.parametrize("shift", [0.0, 0.3, -2.0])
def test_it_is_two_of_scipys_tests(shift):
    rng = np.random.default_rng(0)
    a, b = rng.normal(shift, 1, 7), rng.normal(0, 2, 9)
    found = tost(a, b, 1.5)
    above = stats.ttest_ind(a, b - 1.5, equal_var=False, alternative="greater").pvalue
    below = stats.ttest_ind(a, b + 1.5, equal_var=False, alternative="less").pvalue
    assert (found.p_lower, found.p_upper, found.p) == pytest.approx((above, below, max(above, below)), rel=1e-9)
    interval = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.9)
    assert found.ci90 == pytest.approx((interval.low, interval.high))
    assert (found.p < 0.05) == (found.ci90[0] > -1.5 and found.ci90[1] < 1.5)
    assert found.difference == welch(a, b).difference
    total = found.probability_better + found.probability_within + found.probability_worse
    assert total == pytest.approx(1, abs=1e-12)
    other = tost(b, a, 1.5)
    assert (other.probability_better, other.p_lower) == pytest.approx((found.probability_worse, found.p_upper))


def test_the_papers_summaries():
    a, b = (2.620, 0.006, 3), (2.641, 0.003, 3)
    assert tost(a, b, 0.01).probability_better == pytest.approx(0.90, abs=0.005)
    assert tost(a, b, 0.02).probability_better == pytest.approx(0.55, abs=0.005)


def test_probabilities_by_drawing():
    """Under a flat prior the difference less what was measured, over its standard error, is Student's t."""
    a, b = (1.0, 0.2, 4), (1.3, 0.1, 6)
    se = np.hypot(0.2, 0.1)
    df = welch(a, b).df
    drawn = -0.3 + se * stats.t(df).rvs(400_000, random_state=0)
    found = tost(a, b, 0.2)
    for probability, share in (
        (found.probability_better, (drawn < -0.2).mean()),
        (found.probability_within, (np.abs(drawn) < 0.2).mean()),
        (found.probability_worse, (drawn > 0.2).mean()),
    ):
        assert probability == pytest.approx(share, abs=0.004)


@pytest.mark.parametrize("sizes", [(3, 3), (5, 8)])
def test_it_claims_too_much_in_at_most_one_of_twenty(sizes):
    """At the margin itself, where claiming equivalence is wrong: 10,000 simulated studies."""
    rng, wrong = np.random.default_rng(1), 0
    for _ in range(10_000):
        a, b = rng.normal(1.0, 0.2, sizes[0]), rng.normal(0, 0.3, sizes[1])
        wrong += tost(a, b, 1.0).p < 0.05
    assert wrong / 10_000 < 0.05 + 4 * (0.05 * 0.95 / 10_000) ** 0.5


def test_limits():
    same = tost([1.0, 1.0], [1.0, 1.0], 0.1)
    assert (same.p, same.probability_within, same.ci90) == (0.0, 1.0, (0.0, 0.0))
    apart = tost([1.0, 1.0], [2.0, 2.0], 0.1)
    assert (apart.p, apart.p_lower, apart.p_upper, apart.probability_better) == (1.0, 1.0, 0.0, 1.0)
    for margin in (0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="margin: is above 0 and finite"):
            tost([1.0, 2.0], [1.0, 2.0], margin)
