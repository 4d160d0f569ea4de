import itertools
import math
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

from diffenc.results.tests import add_holm
from diffenc.statistics.power import power, sd_interval, seeds_needed
from diffenc.statistics.resampling import bootstrap_ci, permutation_p
from diffenc.statistics.welch import holm

A = [2.61, 2.63, 2.624, 2.615, 2.622]
B = [2.64, 2.638, 2.645, 2.619]


def difference_of_means(x, y, axis):
    return x.mean(axis) - y.mean(axis)


def closed_testing(p):
    """Holm's procedure is the closed test by Bonferroni: a claim is as sure as the least sure family that has it."""
    families = [s for k in range(1, len(p) + 1) for s in itertools.combinations(range(len(p)), k)]
    return [min(1, max(len(s) * min(p[j] for j in s) for s in families if i in s)) for i in range(len(p))]


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_holm_is_closed_testing(count):
    rng = np.random.default_rng(count)
    for _ in range(20):
        p = np.round(rng.uniform(0, 0.5, count) ** 2, 2)  # rounded: with ties and zeros
        assert holm(p) == pytest.approx(closed_testing(p.tolist()), abs=1e-15)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert len(holm([])) == 0


@pytest.mark.parametrize("wrong", [[0.1, math.nan], [-0.1], [1.1]])
def test_holm_refuses_what_is_no_p_value(wrong):
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm(wrong)


def test_the_family_is_the_totals():
    terms = ["total", "latent", "total", "diffusion", "total"]
    tests = pd.DataFrame({"term": terms, "p_less": [0.04, 0.001, 0.01, 0.002, 0.03]}, index=[3, 1, 4, 7, 5])
    before = tests.copy()
    adjusted = add_holm(tests)
    assert adjusted["p_holm"].tolist() == pytest.approx([0.06, math.nan, 0.03, math.nan, 0.06], nan_ok=True)
    assert adjusted["holm_tests"].tolist() == pytest.approx([3, math.nan, 3, math.nan, 3], nan_ok=True)
    pd.testing.assert_frame_equal(tests, before)
    pd.testing.assert_frame_equal(adjusted[["term", "p_less"]], tests)


def relabelled(a, b):
    """The permutation test in exact arithmetic."""
    pool = [*a, *b]
    mean = lambda x: sum(x) / len(x)  # noqa: E731
    found = [
        mean([pool[i] for i in s]) - mean([v for i, v in enumerate(pool) if i not in s])
        for s in itertools.combinations(range(len(pool)), len(a))
    ]
    return Fraction(sum(d <= mean(a) - mean(b) for d in found), len(found))


@pytest.mark.parametrize(("n_a", "n_b"), [(3, 3), (5, 3), (2, 4)])
def test_permutation_in_exact_arithmetic_with_ties(n_a, n_b):
    rng = np.random.default_rng(n_a)
    missed = 0
    for _ in range(40):
        # hundredths, few of them: sums are often equal, and not so in floating point
        a, b = ([Fraction(int(v), 100) for v in rng.integers(255, 262, n)] for n in (n_a, n_b))
        ours = permutation_p([float(v) for v in a], [float(v) for v in b])
        assert ours.p == float(relabelled(a, b))
        missed += float(relabelled([float(v) for v in a], [float(v) for v in b])) != ours.p
    assert missed > 0, "these samples have ties that rounding breaks"


@pytest.mark.parametrize(("a", "b"), [(A, B), (B, A), (A[:3], B[1:])])
def test_permutation_as_scipy_has_it(a, b):
    theirs = stats.permutation_test(
        (a, b),
        difference_of_means,
        vectorized=True,
        n_resamples=np.inf,
        alternative="less",
    )
    ours = permutation_p(a, b)
    assert ours.p == pytest.approx(theirs.pvalue, abs=1e-12)
    assert ours.relabellings == len(theirs.null_distribution) == math.comb(len(a) + len(b), len(a))


def test_the_smallest_permutation_p_is_reached_by_separated_samples():
    assert permutation_p([2.61, 2.62, 2.63], [2.64, 2.65, 2.66]) == (0.05, 0.05, 20)
    assert permutation_p([2.66, 2.65, 2.64], [2.61, 2.62, 2.63]).p == 1
    assert permutation_p([2.6] * 3, [2.6] * 3).p == 1  # every relabelling is as low


def test_too_many_relabellings_are_not_enumerated():
    found = permutation_p(np.arange(20.0), np.arange(20.0))
    assert math.isnan(found.p)
    assert found.smallest == 1 / math.comb(40, 20)


def bca_tails(a, b, differences):
    """What BCa cuts off below and above, its acceleration by the jackknife."""
    found = np.mean(a) - np.mean(b)
    below = np.mean(differences < found - 1e-12) / 2 + np.mean(differences < found + 1e-12) / 2
    left_out = [
        (np.mean([x for k, x in enumerate(one) if k != i]), len(one)) for one in (a, b) for i in range(len(one))
    ]
    centre = [np.mean([m for m, _ in left_out[: len(a)]])] * len(a) + [
        np.mean([m for m, _ in left_out[len(a) :]])
    ] * len(b)
    signs = [1] * len(a) + [-1] * len(b)
    pulls = [s * (n - 1) * (c - m) / n for (m, n), c, s in zip(left_out, centre, signs, strict=True)]
    acceleration = np.sum(np.power(pulls, 3)) / (6 * np.sum(np.square(pulls)) ** 1.5)
    bias = stats.norm.ppf(below)
    ends = [bias + stats.norm.ppf(q) for q in (0.025, 0.975)]
    low, high = (stats.norm.cdf(bias + z / (1 - acceleration * z)) for z in ends)
    return low, 1 - high


@pytest.mark.parametrize(("a", "b"), [(A[:3], B[:3]), (A[:2], B), ([2.6, 2.6, 2.61], [2.62] * 2)])
def test_bootstrap_enumerates_every_resample(a, b):
    means = [[np.mean(x) for x in itertools.product(values, repeat=len(values))] for values in (a, b)]
    differences = np.subtract.outer(*means).ravel()
    below, above = bca_tails(a, b, differences)
    low = np.quantile(differences, below, method="inverted_cdf")
    high = -np.quantile(-differences, above, method="inverted_cdf")
    assert bootstrap_ci(a, b) == pytest.approx((low, high), abs=1e-12)
    assert bootstrap_ci(b, a) == pytest.approx((-high, -low), abs=1e-12)
    assert bootstrap_ci([2.6, 2.6], [2.7, 2.7]) == pytest.approx((-0.1, -0.1))


@pytest.mark.parametrize("n", [5, 7, 9])  # 9: too many to enumerate
def test_bootstrap_as_scipy_has_it(n):
    rng = np.random.default_rng(n)
    a, b = 2.62 + 0.01 * rng.standard_normal(n), 2.64 + 0.02 * rng.standard_normal(n)
    theirs = stats.bootstrap(
        (a, b),
        difference_of_means,
        n_resamples=50_000,
        method="BCa",
        rng=np.random.default_rng(1),
    )
    # an end's Monte Carlo error is sqrt(q (1 - q) / R) / density; density at the 2.5 % point of a normal: 0.058 / sd
    error = math.sqrt(0.025 * 0.975 / 50_000) / 0.0584 * theirs.standard_error
    if n > 7:
        error *= math.sqrt(1.5)  # ours is drawn as well
    assert bootstrap_ci(a, b) == pytest.approx(tuple(theirs.confidence_interval), abs=4 * error)
    assert bootstrap_ci(a, b) == bootstrap_ci(a, b)


def test_bootstrap_of_three_seeds_covers_four_fifths():
    rng = np.random.default_rng(0)
    covered = [low <= 0 <= high for low, high in (bootstrap_ci(*rng.standard_normal((2, 3))) for _ in range(3000))]
    assert np.mean(covered) == pytest.approx(0.80, abs=0.03)  # as its docstring and the table's note say


@pytest.mark.parametrize("wrong", [[], [2.6, math.nan], [[2.6]]])
def test_what_is_no_sample_is_refused(wrong):
    for test in (permutation_p, bootstrap_ci):
        with pytest.raises(ValueError, match="finite values"):
            test(A, wrong)


def simulated_power(effect, sd_a, sd_b, n_a, n_b, repeats):
    """The share of Welch's one-sided tests at 5 % that reject, from normal samples."""
    rng = np.random.default_rng(0)
    a = rng.normal(2.64 - effect, sd_a, (repeats, n_a))
    b = rng.normal(2.64, sd_b, (repeats, n_b))
    return float((stats.ttest_ind(a, b, axis=1, equal_var=False, alternative="less").pvalue <= 0.05).mean())


@pytest.mark.parametrize(
    ("effect", "sd_a", "sd_b", "n_a", "n_b"),
    [
        (0.02, 0.0104, 0.0052, 3, 3),  # the spreads that the paper reports for CIFAR-10
        (0.01, 0.01, 0.01, 3, 3),
        (0.02, 0.01, 0.01, 5, 5),
        (0.02, 0.01, 0.01, 2, 2),
        (0.02, 0.02, 0.005, 5, 3),
        (0.01, 0.002, 0.02, 20, 20),
        (0.05, 0.01, 0.03, 3, 3),
    ],
)
def test_power_as_simulated(effect, sd_a, sd_b, n_a, n_b):
    repeats = 100_000
    ours = power(effect, sd_a, sd_b, (n_a, n_b))
    simulated = simulated_power(effect, sd_a, sd_b, n_a, n_b, repeats)
    assert ours == pytest.approx(simulated, abs=4 * math.sqrt(ours * (1 - ours) / repeats))
    assert power(effect, sd_b, sd_a, (n_b, n_a)) == pytest.approx(ours, abs=1e-12)
    if n_a == n_b:
        assert power(effect, sd_a, sd_b, n_a) == ours


@pytest.mark.parametrize("n", [2, 3, 5, 30])
@pytest.mark.parametrize("effect", [0.01, 0.02, 0.05])
def test_power_against_a_known_value_is_noncentral_t(effect, n):
    # without spread of b, Welch's test is the one-sample t-test, with n - 1 degrees of freedom
    for alpha in (0.05, 0.01):
        theirs = stats.nct.sf(stats.t.ppf(1 - alpha, n - 1), n - 1, effect / 0.02 * math.sqrt(n))
        assert power(effect, 0.02, 0, n, alpha) == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize("n", [50, 500])
def test_power_of_equal_spreads_is_noncentral_t_for_many_seeds(n):
    for effect in (0.002, 0.005):
        theirs = stats.nct.sf(stats.t.ppf(0.95, 2 * n - 2), 2 * n - 2, effect / 0.02 * math.sqrt(n / 2))
        assert power(effect, 0.02, 0.02, n) == pytest.approx(theirs, abs=0.05 / n)


@pytest.mark.parametrize("n", [3, 5])
def test_power_of_equal_spreads_is_a_mixture_of_noncentral_t(n):
    # given the first variance's share, beta-distributed, Welch's t is a scaled noncentral t of 2 n - 2 degrees
    effect, sd = 0.02, 0.01
    nodes, weights = special.roots_jacobi(60, (n - 3) / 2, (n - 3) / 2)
    share = (nodes + 1) / 2
    df = (n - 1) / (share**2 + (1 - share) ** 2)
    tail = stats.nct.sf(stats.t.ppf(0.95, df), 2 * n - 2, effect / (sd * math.sqrt(2 / n)))
    assert power(effect, sd, sd, n) == pytest.approx(float(tail @ weights / weights.sum()), abs=1e-6)


def test_without_spread_every_effect_is_found():
    assert power(0.01, 0, 0, 2) == 1
    assert seeds_needed(0.01, 0, 0) == 2


@pytest.mark.parametrize(
    ("effect", "sd_a", "sd_b"), [(0.05, 0.001, 0.001), (0.02, 0.0104, 0.0052), (0.01, 0.01, 0.005), (0.01, 0.03, 0)]
)
def test_seeds_needed_are_the_fewest(effect, sd_a, sd_b):
    found = next(n for n in itertools.count(2) if power(effect, sd_a, sd_b, n) >= 0.8)
    assert seeds_needed(effect, sd_a, sd_b) == found
    assert seeds_needed(effect, sd_a, sd_b, power=0.95) >= found


@pytest.mark.parametrize("sd", [0.01, 0.03])
def test_seeds_needed_by_simulation(sd):
    n, repeats = seeds_needed(0.02, sd, sd), 40_000
    error = 4 * math.sqrt(0.16 / repeats)
    assert simulated_power(0.02, sd, sd, n, n, repeats) >= 0.8 - error
    assert simulated_power(0.02, sd, sd, n - 1, n - 1, repeats) < 0.8 + error


def test_seeds_needed_for_a_tiny_effect_are_the_normal_formulas():
    normal = 2 * ((stats.norm.ppf(0.95) + stats.norm.ppf(0.8)) * 0.1 / 0.001) ** 2
    assert seeds_needed(0.001, 0.1, 0.1) == pytest.approx(normal, rel=1e-4)


@pytest.mark.parametrize(
    "wrong", [(0, 0.1, 0.1, 3), (0.1, -0.1, 0.1, 3), (0.1, math.nan, 0.1, 3), (0.1, math.inf, 1, 3), (0.1, 1, 1, 1)]
)
def test_no_power_of_what_cannot_be(wrong):
    with pytest.raises(ValueError, match="no power"):
        power(*wrong)
    with pytest.raises(ValueError, match="below 1"):
        seeds_needed(0.01, 0.01, 0.01, power=1)


def test_sd_interval_by_its_definition():
    for n in (2, 3, 5, 20):
        low, high = sd_interval(0.01, n)
        below = [stats.chi2.cdf((n - 1) * (0.01 / end) ** 2, n - 1) for end in (high, low)]
        assert below == pytest.approx([0.05, 0.95])
    # the table's note
    assert np.round(sd_interval(1, 3), 1).tolist() == [0.6, 4.4]
    assert np.round(sd_interval(1, 5), 1).tolist() == [0.6, 2.4]
