"""Power of Welch's test, and the seeds that it needs.

Samples are bits per dimension, one value a seed; the claim is always that `a` is lower than `b`.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special
from scipy.optimize import brentq

Sample = Sequence[float] | NDArray[np.floating]
Array = NDArray[np.float64]
_NODES = 32  # for either variance; power is then right to about 1e-7


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


def least_visible(
    sd_a: float, sd_b: float, n: int | tuple[int, int], power: float = 0.8, alpha: float = 0.05
) -> float:
    """The smallest difference that Welch's one-sided test at level alpha finds with this power; 0 without spread.

    Raises:
        ValueError: as `power`, or a power that is not between alpha and 1.
    """
    if not alpha < power < 1:
        raise ValueError(f"a power between {alpha} and 1 can be had, not {power}")
    spread = math.hypot(sd_a, sd_b)
    if spread == 0:
        return 0.0
    high = spread
    while _power(high, sd_a, sd_b, n, alpha) < power:
        high *= 2
    return float(brentq(lambda effect: _power(effect, sd_a, sd_b, n, alpha) - power, 1e-9 * spread, high))


_power = power  # within `seeds_needed` and `least_visible`, `power` is the one asked for


def sd_interval(sd: float, n: int, level: float = 0.9) -> tuple[float, float]:
    """Chi-square interval of the standard deviation of a normal population, from that of n values: sd sqrt((n - 1) /
    chi2). With n = 3 and 90 % from 0.58 to 4.4 times what was found."""
    tail = (1 - level) / 2
    low, high = (sd * math.sqrt((n - 1) / special.chdtri(n - 1, 1 - q)) for q in (1 - tail, tail))
    return low, high
