"""How often each pixel value occurs: what is expected of a model's decoder and prior follows from it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_AT_ONCE = 256  # images; counting takes eight bytes a pixel


def counts(images: NDArray[np.uint8], levels: int) -> list[int]:
    """How many of all pixels of images (N, C, H, W) are 0, 1, ..., levels - 1."""
    found = np.zeros(levels, np.int64)
    for first in range(0, len(images), _AT_ONCE):
        found += np.bincount(images[first : first + _AT_ONCE].reshape(-1), minlength=levels)
    return found.tolist()


def mean_square(pixels: Sequence[int]) -> float:
    """E x^2 of x = 2 (k + 1/2) / K - 1, from how often each k in {0..K-1} occurs."""
    return float(np.average(scaled(len(pixels)) ** 2, weights=pixels))


def scaled(levels: int) -> NDArray[np.float64]:
    """x of each pixel value, (levels,)."""
    return 2 * (np.arange(levels) + 0.5) / levels - 1
