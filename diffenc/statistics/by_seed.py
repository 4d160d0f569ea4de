"""Two models trained with the same seeds: seeds share data order, times and noise, so that differences are paired."""

import math
from typing import NamedTuple

import numpy as np
from scipy import special

from diffenc.statistics.power import Sample
from diffenc.statistics.welch import summarise

FLIPS = 20  # seeds at most whose sign flips are enumerated


class BySeed(NamedTuple):
    """Differences of n seeds, first model minus second; negative: the first is better.

    `p_less` is the paired t-test's, `p_flip` the exact sign-flip test's, both one-sided, and `smallest` the least
    that the latter can be. `correlation` is of the two models' values over seeds; `worth` is how many seeds of each
    model would give the same standard error if they shared nothing.
    """

    n: int
    difference: float
    ci95: tuple[float, float]
    p_less: float
    p_flip: float
    smallest: float
    correlation: float
    worth: float


def compare_seeds(first: Sample, second: Sample) -> BySeed:
    """Paired t-test and exact sign-flip test of values (n,) of the same seeds, in one order.

    A sign flip exchanges the two models of a seed: under the hypothesis that they are alike all 2^n are as likely.
    With three seeds p is 0.125 at least. Beyond FLIPS seeds p_flip is nan. Equal differences have no spread: p_less
    is then 0, 1/2 or 1, and worth and correlation nan where nothing varies.

    Raises:
        ValueError: fewer than two seeds, not as many of each, or a value that is not finite.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1 or len(a) < 2 or not np.isfinite([*a, *b]).all():
        raise ValueError(f"pairs of seeds: needs two or more, finite, of each model, got {a.tolist()}, {b.tolist()}")
    mean, se, n = summarise(a - b)
    half = float(special.stdtrit(n - 1, 0.975)) * se
    alone = math.hypot(summarise(a).se, summarise(b).se)
    varies = a.std() > 0 and b.std() > 0
    return BySeed(
        n=n,
        difference=mean,
        ci95=(mean - half, mean + half),
        p_less=float(special.stdtr(n - 1, mean / se)) if se else (1 + float(np.sign(mean))) / 2,
        p_flip=_flipped(a - b),
        smallest=0.5**n,
        correlation=float(np.corrcoef(a, b)[0, 1]) if varies else math.nan,
        worth=n * (alone / se) ** 2 if se else math.nan,
    )


def _flipped(differences: np.ndarray) -> float:
    """The share of all sign flips whose mean is at most the observed one, itself included."""
    n = len(differences)
    if n > FLIPS:
        return math.nan
    sums = np.zeros(1)
    for one in differences:
        sums = np.concatenate([sums + one, sums - one])
    rounding = 8 * n * np.finfo(np.float64).eps * np.abs(differences).max()
    return float((sums <= differences.sum() + rounding).mean())
