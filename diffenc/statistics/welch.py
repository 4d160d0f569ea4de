"""Welch's unequal-variances t-test, one-sided as in the paper, with interval and effect size; Holm's correction."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from diffenc.statistics.power import Array


class Summary(NamedTuple):
    """A sample's mean, the standard error of that mean, and the sample's size."""

    mean: float
    se: float
    n: int


@dataclass(frozen=True)
class Welch:
    """Welch's test of a against b; negative `difference`, `t` and `hedges_g` mean that a is lower."""

    t: float
    df: float
    p_less: float
    p_two_sided: float
    difference: float
    ci95: tuple[float, float]
    hedges_g: float


Data = Summary | tuple[float, float, int] | Sequence[float] | NDArray[np.floating]


def welch(a: Data, b: Data) -> Welch:
    """Welch's t-test; p_less is one-sided, for the claim that a is lower than b.

    A tuple is a summary (mean, standard error, n); any other sequence (list, array, column) is a sample. The type
    decides, never the length: a sample given as a tuple is refused rather than guessed.

    The interval is two-sided, 95 %. Hedges' g is the difference over the pooled standard deviation, times the
    exact small-sample factor Gamma(m/2) / (sqrt(m/2) Gamma((m-1)/2)), m = n_a + n_b - 2.

    If neither sample varies (VDM's latent and reconstruction terms under a fixed schedule, the same for every
    seed), the difference is known, and the results are the limits of a vanishing variance: t and g are infinite
    with the difference's sign, p_less is 0 or 1, p_two_sided 0, the interval has no width, df = n_a + n_b - 2;
    for equal values t = g = 0, p_less = 0.5, p_two_sided = 1.

    Raises:
        ValueError: fewer than two values, a value that is not finite, a negative standard error, or a tuple that
            is no summary.
    """
    a, b = summary_of(a, "a"), summary_of(b, "b")
    difference = float(a.mean - b.mean)
    pooled_df = a.n + b.n - 2
    if a.se == b.se == 0:
        sign = (difference > 0) - (difference < 0)
        limit = sign * math.inf if sign else 0.0
        p_two_sided = 0.0 if sign else 1.0
        return Welch(limit, float(pooled_df), (1 + sign) / 2, p_two_sided, difference, (difference,) * 2, limit)
    se = math.hypot(a.se, b.se)
    # shares of the variance, so that no square under- or overflows
    df = 1 / ((a.se / se) ** 4 / (a.n - 1) + (b.se / se) ** 4 / (b.n - 1))
    t = difference / se
    half = float(special.stdtrit(df, 0.975)) * se
    pooled_sd = math.sqrt(((a.n - 1) * a.n * a.se**2 + (b.n - 1) * b.n * b.se**2) / pooled_df)
    half_df = pooled_df / 2
    correction = math.exp(special.gammaln(half_df) - special.gammaln(half_df - 0.5)) / math.sqrt(half_df)
    return Welch(
        t=t,
        df=df,
        p_less=float(special.stdtr(df, t)),
        p_two_sided=float(2 * special.stdtr(df, -abs(t))),
        difference=difference,
        ci95=(difference - half, difference + half),
        hedges_g=difference / pooled_sd * correction,
    )


def summarise(sample: Sequence[float]) -> Summary:
    """Mean, standard error of the mean (nan for a single value: one value says nothing of its spread) and n."""
    values = np.asarray(sample, dtype=np.float64)
    n = len(values)
    if n == 1:
        return Summary(float(values[0]), math.nan, 1)
    if (values == values[0]).all():  # exactly: the rounded mean of equal values can differ from them
        return Summary(float(values[0]), 0.0, n)
    return Summary(float(values.mean()), float(values.std(ddof=1) / math.sqrt(n)), n)


def summary_of(data: Data, name: str) -> Summary:
    """A sample or a summary as a summary, checked; `name` is what a ValueError calls it."""
    if isinstance(data, tuple):
        if len(data) != 3 or not float(data[2]).is_integer():
            raise ValueError(
                f"{name}: a tuple is a summary (mean, standard error, n) with a whole n, got {data};"
                " give a sample as a list or an array"
            )
        summary = Summary(float(data[0]), float(data[1]), int(data[2]))
    else:
        values = np.asarray(data, dtype=np.float64)
        if values.ndim != 1 or len(values) < 2:
            raise ValueError(f"{name}: a test needs at least two values, got shape {values.shape}")
        if not np.isfinite(values).all():
            raise ValueError(f"{name}: every value must be finite, got {values.tolist()}")
        summary = summarise(values)
    if summary.n < 2:
        raise ValueError(f"{name}: a test needs at least two values, got n = {summary.n}")
    if not (math.isfinite(summary.mean) and math.isfinite(summary.se)):
        raise ValueError(f"{name}: every value must be finite, got mean {summary.mean}, standard error {summary.se}")
    if summary.se < 0:
        raise ValueError(f"{name}: a standard error is not negative, got {summary.se}")
    return summary


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
