"""Smaller images by averages over areas."""

from math import lcm

import numpy as np
from numpy.typing import NDArray

_AT_ONCE = 1000  # images; they grow on the way


def averaged(images: NDArray[np.uint8], smaller: int) -> NDArray[np.uint8]:
    """Images (N, C, side, side) as (N, C, smaller, smaller): each pixel the mean of its area, a half rounded up.

    Pixels on a border between two areas count for both, by their parts: 28 / 8 = 3.5.
    """
    side = images.shape[-1]
    whole = lcm(side, smaller)
    times, block = whole // side, whole // smaller
    out = np.empty((*images.shape[:2], smaller, smaller), np.uint8)
    for first in range(0, len(images), _AT_ONCE):
        part = images[first : first + _AT_ONCE].repeat(times, axis=-1).repeat(times, axis=-2)
        sums = part.reshape(*part.shape[:2], smaller, block, smaller, block).sum(axis=(3, 5))
        out[first : first + _AT_ONCE] = (2 * sums + block**2) // (2 * block**2)
    return out
