"""Two sets of trained networks on the same test images under the same noise: how they differ, image by image.

The claim is about these networks on new images. What another training would give is another question, which only
the spread over seeds answers.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from diffenc.statistics.welch import summarise

Array = NDArray[np.float64]


class Paired(NamedTuple):
    """Differences of N images, first model minus second, in bits per dimension; negative: the first is better.

    `se` is the standard error of `difference`, their mean, over images; `p_less` is one-sided, for the claim that
    the first is lower on average; `narrowing` is the standard error without pairing over that with it.
    """

    images: int
    difference: float
    se: float
    ci95: tuple[float, float]
    p_less: float
    first_better: float
    correlation: float
    narrowing: float


def compare_images(first: Array, second: Array) -> Paired:
    """Paired t-test over images of per-image totals (N,), `first` lower than `second`.

    Within a pass the times of the images are spread evenly over [0, 1] rather than drawn one by one. This leaves
    less error in their mean than the standard error, which takes images as independent, says: it is conservative.
    (Not so under the authors' protocol, where every batch has the same noise.)

    Equal differences have no spread: p_less is then 0, 1/2 or 1. A correlation with a constant is nan.

    Raises:
        ValueError: fewer than two images, or not as many of each.
    """
    if first.shape != second.shape or first.ndim != 1 or len(first) < 2:
        raise ValueError(f"a paired comparison needs two images or more, got shapes {first.shape} and {second.shape}")
    mean, se, n = summarise(first - second)
    alone = [summarise(totals).se for totals in (first, second)]
    half = float(special.stdtrit(n - 1, 0.975)) * se
    return Paired(
        images=n,
        difference=mean,
        se=se,
        ci95=(mean - half, mean + half),
        p_less=float(special.stdtr(n - 1, mean / se)) if se else (1 + float(np.sign(mean))) / 2,
        first_better=float((first < second).mean()),
        correlation=float(np.corrcoef(first, second)[0, 1]) if all(alone) else math.nan,
        narrowing=math.hypot(*alone) / se if se else math.nan,
    )
