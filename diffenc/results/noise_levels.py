"""What noise_levels.npz holds of a run, and what follows from it: variances under schedules, weighted losses."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from diffenc.io.arrays import read_arrays

Array = NDArray[np.float64]
Arrays = dict[str, Array]
Side = Callable[[Arrays, Array, slice], float]
OWN, LEAST = "own", "least"
_SHAPES = {
    **{"edges": "E", "omega": "WE", "t": "T", "gamma": "T", "slope": "T"},
    **{"m": "PG", "m_squared": "PG", "count": "PG", "latent": "P", "reconstruction": "P"},
}


def read(path: Path) -> Arrays:
    """The arrays of a noise_levels.npz. Raises UserError: it is missing or damaged."""
    return read_arrays(path, _SHAPES)


def centres(arrays: Arrays) -> Array:
    """gamma in the middle of each bin, (G,)."""
    return (arrays["edges"][1:] + arrays["edges"][:-1]) / 2


def by_bin(arrays: Arrays, name: str, passes: slice = slice(None)) -> Array:
    """The mean of `m` or `m_squared` in each bin, (G,); where there is no draw, between its neighbours'."""
    sums, counts = (arrays[one][passes].sum(axis=0) for one in (name, "count"))
    there, at = counts > 0, centres(arrays)
    return np.interp(at, at[there], sums[there] / counts[there])


def variances(arrays: Arrays) -> dict[str, float]:
    """{schedule: the variance of the diffusion term at one time an image}, (bits per dimension)^2, at the same ends.

    The model's own; the line; VDM's beta-linear one, made to fit the ends; the cosine one, cut off at them; and the
    least that any can have: E[L^2] = integral of gamma' E[m^2] dgamma, at best (integral of sqrt E[m^2] dgamma)^2.
    """
    at, width = centres(arrays), np.diff(arrays["edges"])
    second = by_bin(arrays, "m_squared")
    mean = (by_bin(arrays, "m") * width).sum()
    own = np.interp(at, arrays["gamma"], arrays["slope"])
    slopes = {OWN: own, **{name: slope(at, *arrays["edges"][[0, -1]]) for name, slope in SCHEDULES.items()}}
    found = {name: float((slope * second * width).sum() - mean**2) for name, slope in slopes.items()}
    return found | {LEAST: float((np.sqrt(second) * width).sum() ** 2 - mean**2)}


def _line(gamma: Array, gamma_0: float, gamma_1: float) -> Array:
    return np.full_like(gamma, gamma_1 - gamma_0)


def _beta_linear(gamma: Array, gamma_0: float, gamma_1: float) -> Array:
    """gamma' of log(expm1(1e-4 + 10 t^2)), stretched between the ends."""
    t = np.linspace(0, 1, 20_001)
    shape = np.log(np.expm1(1e-4 + 10 * t**2))
    shape = gamma_0 + (gamma_1 - gamma_0) * (shape - shape[0]) / (shape[-1] - shape[0])
    return np.interp(gamma, shape, np.gradient(shape, t))


def _cosine(gamma: Array, gamma_0: float, gamma_1: float) -> Array:
    """gamma' of 2 log tan(pi t / 2) between the times of the ends: 2 pi (t_1 - t_0) cosh(gamma / 2)."""
    t_0, t_1 = (2 / math.pi * math.atan(math.exp(end / 2)) for end in (gamma_0, gamma_1))
    return 2 * math.pi * (t_1 - t_0) * np.cosh(gamma / 2)


SCHEDULES: dict[str, Callable[[Array, float, float], Array]] = {
    "line": _line,
    "beta-linear": _beta_linear,
    "cosine": _cosine,
}


def weighted_loss(arrays: Arrays, omega: Array, passes: slice = slice(None)) -> float:
    """integral of omega m dgamma + omega(gamma_1) latent, in bits per dimension, for omega (G + 1,) at the edges."""
    between = (omega[1:] + omega[:-1]) / 2
    integral = (between * by_bin(arrays, "m", passes) * np.diff(arrays["edges"])).sum()
    return float(integral + omega[-1] * arrays["latent"][passes].mean())


def sum_of_bounds(arrays: Arrays, omega: Array, passes: slice = slice(None)) -> float:
    """The same as omega(gamma_0) J(gamma_0) + integral of omega' J dgamma.

    J(gamma) = latent + integral of m from gamma to gamma_1, the bound of data noised to gamma.
    """
    steps = by_bin(arrays, "m", passes) * np.diff(arrays["edges"])
    above = np.append(np.cumsum(steps[::-1])[::-1], 0.0) + arrays["latent"][passes].mean()
    return float(omega[0] * above[0] + (np.diff(omega) * (above[1:] + above[:-1]) / 2).sum())
