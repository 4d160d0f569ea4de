"""Beside Welch's test: Holm's correction, exact permutation p, bootstrap interval, power and the seeds it needs.

Samples are bits per dimension, one value a seed; the claim is always that `a` is lower than `b`.
"""

import math
from collections.abc import Sequence
from itertools import combinations, combinations_with_replacement
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

if TYPE_CHECKING:
    from pandas import DataFrame

Sample = Sequence[float] | NDArray[np.floating]
Array = NDArray[np.float64]

RELABELLINGS = 1_000_000  # enumerated at most: up to 11 seeds of each model
RESAMPLES = 4_000_000  # enumerated at most: up to 7 seeds of each model
DRAWN = 99_999  # resamples, where they are too many to enumerate
_NODES = 32  # for either variance; power is then right to about 1e-7


def holm(p: Sequence[float]) -> Array:
    """Holm's step-down adjusted p-values (m,): of p_(1) <= ... <= p_(m), the i-th is max_{j <= i} (m - j + 1) p_(j).

    Rejecting those at most alpha keeps the chance of any false rejection in the family at most alpha, whatever the
    dependence between the tests.

    Raises:
        ValueError: a p-value is not in [0, 1].
    """
    p = np.asarray(p, dtype=np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"p-values are between 0 and 1, got {p.tolist()}")
    order = np.argsort(p, kind="stable")
    steps = np.arange(len(p), 0, -1) * p[order]
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted


def add_holm(tests: "DataFrame") -> "DataFrame":
    """tests.csv's frame with `p_holm`, p_less adjusted over the family, and `holm_tests`, how many tests it has.

    The family is every test of a total in the frame: the terms are parts of it and no claims of their own, and both
    columns are missing there.
    """
    family = tests["term"] == "total"
    adjusted = tests.assign(p_holm=math.nan, holm_tests=math.nan)
    adjusted.loc[family, "p_holm"] = holm(tests.loc[family, "p_less"])
    adjusted.loc[family, "holm_tests"] = float(family.sum())
    return adjusted


class Permutation(NamedTuple):
    """An exact one-sided permutation test: its p-value, the smallest that it can give, and the relabellings."""

    p: float
    smallest: float
    relabellings: int


def permutation_p(a: Sample, b: Sample) -> Permutation:
    """Exact permutation test of the difference of means: the share of all relabellings of the seeds whose difference
    is at most the observed one, itself included.

    The smallest p is 1 / C(n_a + n_b, n_a): 0.05 with three seeds each, so that no result is below 5 % then. Beyond
    RELABELLINGS nothing is enumerated and p is nan.
    """
    a, b = _sample(a, "a"), _sample(b, "b")
    count = math.comb(len(a) + len(b), len(a))
    if count > RELABELLINGS:
        return Permutation(math.nan, 1 / count, count)
    # centred, so that sums keep their digits; with fixed sizes, the sum of a's part orders as the difference does
    values = np.concatenate([a, b])
    centred = values - values.mean()
    chosen = np.fromiter(combinations(range(len(values)), len(a)), dtype=(np.intp, len(a)), count=count)
    rounding = 8 * len(values) * np.finfo(np.float64).eps * np.abs(values).max()
    at_most = centred[chosen].sum(axis=1) <= centred[: len(a)].sum() + rounding
    return Permutation(float(at_most.mean()), 1 / count, count)


def bootstrap_ci(a: Sample, b: Sample, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval of mean(a) - mean(b), both samples resampled over seeds; no end cuts off more than
    (1 - level) / 2 of the resamples.

    All n_a^n_a n_b^n_b resamples are enumerated where their distinct pairs are at most RESAMPLES; else DRAWN of them
    are drawn, always the same.

    Too narrow for few seeds: it has about the normal's width for a spread whose divisor is n. With three normal
    seeds each it is half as wide as Welch's interval and covers the true difference in about 80 % of cases, not 95.
    """
    a, b = _sample(a, "a"), _sample(b, "b")
    if math.comb(2 * len(a) - 1, len(a)) * math.comb(2 * len(b) - 1, len(b)) <= RESAMPLES:
        (means_a, weights_a), (means_b, weights_b) = _resampled(a), _resampled(b)
        differences = np.subtract.outer(means_a, means_b).ravel()
        weights = np.multiply.outer(weights_a, weights_b).ravel()
    else:
        rng = np.random.default_rng(0)
        differences = _drawn(a, rng) - _drawn(b, rng)
        weights = np.ones(DRAWN)
    order = np.argsort(differences)
    differences, weights = differences[order], weights[order]
    tail = (1 - level) / 2 * weights.sum() * (1 - 1e-12)
    low = differences[np.searchsorted(np.cumsum(weights), tail)]
    high = differences[::-1][np.searchsorted(np.cumsum(weights[::-1]), tail)]
    return float(low), float(high)


def _resampled(values: Array) -> tuple[Array, Array]:
    """The mean of every distinct resample of a sample, and how many of its n^n orders give it."""
    n = len(values)
    picked = np.array(list(combinations_with_replacement(range(n), n)))
    repeats = (picked[:, :, None] == np.arange(n)).sum(axis=1)
    orders = np.rint(np.exp(special.gammaln(n + 1) - special.gammaln(repeats + 1).sum(axis=1)))
    return values[picked].mean(axis=1), orders


def _drawn(values: Array, rng: np.random.Generator) -> Array:
    """DRAWN means of resamples."""
    return rng.choice(values, (DRAWN, len(values))).mean(axis=1)


def power(effect: float, sd_a: float, sd_b: float, n: int | tuple[int, int], alpha: float = 0.05) -> float:
    """The power of Welch's one-sided test at level alpha to find a mean of a that is `effect` > 0 below b's.

    Exact for normal samples of size n (or n_a, n_b). Given both sample variances the difference of means is still
    normal, and the test rejects where -difference > t_{1 - alpha, df} se; the chance of that is averaged over the
    variances' chi-square distributions:
    E Phi((effect - t_{1 - alpha, df} se) / sqrt(sd_a^2 / n_a + sd_b^2 / n_b)), with se and df those of the samples.
    Where df is known (one spread is 0, or n is large) this is the noncentral t distribution's tail.

    Without spread every effect is found: 1.

    Raises:
        ValueError: an effect that is not positive, a negative or missing spread, fewer than two seeds.
    """
    sizes = n if isinstance(n, tuple) else (n, n)
    if not effect > 0 or not all(0 <= sd < math.inf for sd in (sd_a, sd_b)) or min(sizes) < 2:
        raise ValueError(f"no power of effect {effect} with standard deviations {sd_a}, {sd_b} and n = {n}")
    if sd_a == sd_b == 0:
        return 1.0
    upper, weights = _tail_nodes()
    v_a, v_b = (
        sd**2 / size * special.chdtri(size - 1, upper) / (size - 1)
        for sd, size in zip((sd_a, sd_b), sizes, strict=True)
    )
    v_a, v_b = v_a[:, None], v_b[None, :]
    df = (v_a + v_b) ** 2 / (v_a**2 / (sizes[0] - 1) + v_b**2 / (sizes[1] - 1))
    reach = special.stdtrit(df, 1 - alpha) * np.sqrt(v_a + v_b)
    chance = special.ndtr((effect - reach) / math.hypot(sd_a / sizes[0] ** 0.5, sd_b / sizes[1] ** 0.5))
    return min(1.0, float(weights @ chance @ weights))


def _tail_nodes() -> tuple[Array, Array]:
    """Upper tail probabilities and weights to average over a distribution: Gauss and Legendre's nodes v, drawn to
    both tails by 1 - u = (1 - v)^2 (1 + 2 v)."""
    v, weights = np.polynomial.legendre.leggauss(_NODES)
    v, weights = (v + 1) / 2, weights / 2
    return (1 - v) ** 2 * (1 + 2 * v), weights * 6 * v * (1 - v)


def seeds_needed(effect: float, sd_a: float, sd_b: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """The fewest seeds of each model, at least two, with which Welch's one-sided test has this power.

    Raises:
        ValueError: as `power`, or a power that is not below 1.
    """
    if not power < 1:
        raise ValueError(f"a power below 1 can be had, not {power}")

    def enough(n: int) -> bool:
        return _power(effect, sd_a, sd_b, n, alpha) >= power

    few, many = 1, 2
    while not enough(many):
        few, many = many, 2 * many
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if enough(middle) else (middle, many)
    return many


_power = power  # within `seeds_needed`, `power` is the one asked for


def sd_interval(sd: float, n: int, level: float = 0.9) -> tuple[float, float]:
    """Chi-square interval of the standard deviation of a normal population, from that of n values: sd sqrt((n - 1) /
    chi2). With n = 3 and 90 % from 0.58 to 4.4 times what was found."""
    tail = (1 - level) / 2
    low, high = (sd * math.sqrt((n - 1) / special.chdtri(n - 1, 1 - q)) for q in (1 - tail, tail))
    return low, high


def _sample(values: Sample, name: str) -> Array:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise ValueError(f"{name}: needs finite values, one a seed, got {values.tolist()}")
    return values
