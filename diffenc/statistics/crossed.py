"""One interval for both sources of chance: another training, and other test images."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

Array = NDArray[np.float64]


class Crossed(NamedTuple):
    """A mean over seeds and images as a statement about new trainings on new images.

    `se` is its standard error. Its parts are variances of the mean: `of_seeds`, `of_images` with the noise that an
    image is evaluated under, of which `of_noise` is the latter alone (nan with one pass), and `of_both`, what an
    image has under one seed and not under another.
    """

    difference: float
    se: float
    ci95: tuple[float, float]
    of_seeds: float
    of_images: float
    of_noise: float
    of_both: float


def crossed(values: Array) -> Crossed:
    """Crossed random effects of values (S, P, N): seeds, passes, images; differences of two models for instance.

    d_spi = mu + a_s + b_i + c_pi + e_spi. Seeds share images and noise, so c is common to them. Of means over passes
    the mean squares MS_a, MS_b, MS_e have expectations N s_a^2 + s_e^2, S s_b^2 + s_e^2 and s_e^2; the mean's
    variance is (MS_a - MS_e) / SN + MS_b / SN, the former not below 0. In the interval each of the two has its own
    quantile of Student's t, with S - 1 and N - 1 degrees of freedom: it is exact where one source is all there is,
    and covers a little more than 95 % between (docs/verification.md); one with Satterthwaite's degrees covers less
    than 93 % where few seeds are most of it.

    Raises:
        ValueError: fewer than two seeds or two images, or a value that is not finite.
    """
    d = np.asarray(values, dtype=np.float64)
    if d.ndim != 3 or min(d.shape[0], d.shape[2]) < 2 or not np.isfinite(d).all():
        raise ValueError(f"crossed effects: need two seeds and two images or more, finite, got shape {d.shape}")
    S, P, N = d.shape
    m = d.mean(axis=1)
    mean = m.mean()
    rows, columns = m.mean(axis=1) - mean, m.mean(axis=0) - mean
    rest = m - mean - rows[:, None] - columns
    ms_a, ms_b = N * (rows**2).sum() / (S - 1), S * (columns**2).sum() / (N - 1)
    ms_e = (rest**2).sum() / ((S - 1) * (N - 1))
    of_seeds, others = max(0.0, ms_a - ms_e) / (S * N), ms_b / (S * N)
    quantiles = special.stdtrit([S - 1, N - 1], 0.975)
    half = math.sqrt(quantiles[0] ** 2 * of_seeds + quantiles[1] ** 2 * others)
    return Crossed(
        difference=float(mean),
        se=math.sqrt(of_seeds + others),
        ci95=(float(mean - half), float(mean + half)),
        of_seeds=of_seeds,
        of_images=max(0.0, (ms_b - ms_e) / (S * N)),
        of_noise=_noise(d) / (P * N) if P > 1 else math.nan,
        of_both=ms_e / (S * N),
    )


def _noise(d: Array) -> float:
    """s_c^2: of each image's variance over passes what does not fall with the number of seeds in its mean."""
    S = len(d)
    each, mean = d.var(axis=1, ddof=1).mean(), d.mean(axis=0).var(axis=0, ddof=1).mean()
    return max(0.0, float(S * mean - each) / (S - 1))
