"""What process.npz holds of a run, and what follows from it: ranges of noise, and what they make of a difference."""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from diffenc.io.arrays import read_arrays

Array = NDArray[np.float64]
Arrays = dict[str, Array]
_SHAPES = {
    **{"times": "T", "gamma": "T", "level": "T", "weights": "TK", "Q": "KK", "D": "KK"},
    **dict.fromkeys(("t", "level_drawn", "reconstruction", "latent", "diffusion", "own"), "PN"),
}


def read(path: Path) -> Arrays:
    """The arrays of a process.npz. Raises UserError: it is missing or damaged."""
    return read_arrays(path, _SHAPES)


def total(arrays: Arrays) -> Array:
    """Of each draw (P, N), bits per dimension."""
    return arrays["reconstruction"] + arrays["latent"] + arrays["diffusion"]


def range_of(arrays: Arrays) -> tuple[float, float]:
    """-log SNR at t = 0 and t = 1."""
    return float(arrays["level"][0]), float(arrays["level"][-1])


def of_one_draw(arrays: Arrays) -> float:
    """Standard deviation of an image's bound by one draw at a time of its own, bits per dimension.

    Over images and draws: what an evaluation of N images has for an error, times sqrt(N), if no time is shared.
    """
    return float(total(arrays).std(ddof=1))


def of_spread_times(arrays: Arrays) -> float:
    """Monte Carlo standard error of a pass whose times are spread evenly over its images, bits per dimension."""
    return float(total(arrays).mean(axis=1).std(ddof=1))


def of_independent_times(arrays: Arrays) -> float:
    """The same for times of their own: `of_one_draw` less what images differ by, over sqrt(N)."""
    within = total(arrays).var(axis=0, ddof=1).mean()
    return math.sqrt(within / arrays["t"].shape[1])


class Difference(NamedTuple):
    """The bound of a model less another's, in bits per dimension, and its parts, which add up to it."""

    whole: float
    noise_range: float
    own_error: float
    prediction: float


def difference(arrays: Arrays, other: Arrays) -> Difference:
    """By what two models differ.

    What one of them has outside of the other's noise range, with both ends' terms, is the range's; of the rest the
    networks' own errors, and how well they tell x at the same noise. The diffusion integral is a function of the SNR
    at its two ends alone, for the best network: so the range's part is not the process's merit.
    """
    low = max(range_of(arrays)[0], range_of(other)[0])
    high = min(range_of(arrays)[1], range_of(other)[1])

    def inside(one: Arrays, name: str) -> float:
        among = (one["level_drawn"] >= low) & (one["level_drawn"] <= high)
        return float(np.where(among, one[name], 0.0).mean())

    whole = float(total(arrays).mean() - total(other).mean())
    shared = inside(arrays, "diffusion") - inside(other, "diffusion")
    own = inside(arrays, "own") - inside(other, "own")
    return Difference(whole, whole - shared, own, shared - own)


def by_level(arrays: Arrays, bins: int = 40) -> tuple[Array, Array]:
    """The diffusion term by -log SNR: the bins' middles (G,), and bits per dimension per unit there (G,)."""
    edges = np.linspace(*range_of(arrays), bins + 1)
    sums = np.histogram(arrays["level_drawn"], edges, weights=arrays["diffusion"])[0]
    return (edges[1:] + edges[:-1]) / 2, sums / arrays["t"].size / np.diff(edges)
