"""What two terms of the bound come to by formula, from a model's shape, the ends of gamma and the data's pixels.

They take no network where the encoder has none: x_t is then x, or alpha_t^2 x. A trainable encoder moves x_0 and x_1
by what it learned, a multivariate model's latent term is of all its variables, and gamma is -log SNR in matched time
alone.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logsumexp

from diffenc.data.pixels import mean_square, scaled
from diffenc.zoo.configs import DEQUANTISED, ModelConfig

# eps on an even grid: for smooth functions that end in nothing the sum converges faster than any power of its step
_EPS = np.linspace(-9, 9, 145)
_WEIGHTS = np.exp(-_EPS * _EPS / 2) / np.exp(-_EPS * _EPS / 2).sum()


class Expected(NamedTuple):
    """Bits per dimension; nan where it does not follow."""

    latent: float = math.nan
    reconstruction: float = math.nan


def expected(shape: ModelConfig, gamma_0: float, gamma_1: float, pixels: Sequence[int]) -> Expected:
    """The latent and the reconstruction term of a model with these ends, on data whose pixels have such counts."""
    if shape.kind == DEQUANTISED or shape.time != "matched":
        return Expected()
    if shape.encoder == "identity":
        of_latent = math.nan if shape.process else latent(gamma_1, pixels)
        return Expected(of_latent, reconstruction(gamma_0, pixels))
    if shape.encoder == "non_trainable":  # x_t = alpha_t^2 x (Eq. 16)
        shrunk = [float(expit(-gamma)) for gamma in (gamma_0, gamma_1)]
        return Expected(latent(gamma_1, pixels, shrunk[1]), reconstruction(gamma_0, pixels, shrunk[0]))
    return Expected()


def latent(gamma_1: float, pixels: Sequence[int], shrunk: float = 1.0) -> float:
    """E KL(N(alpha_1 x_1, sigma_1^2) || N(0, 1)) with x_1 = `shrunk` x (App. D), in bits per dimension.

    `pixels`: how often each pixel value occurs. It is 1/2 (sigma_1^2 + alpha_1^2 E x_1^2 - 1 - log sigma_1^2).
    """
    variance, square = expit(gamma_1), expit(-gamma_1) * shrunk**2 * mean_square(pixels)
    return float(0.5 * (variance + square - 1 - np.log(variance)) / math.log(2))


def reconstruction(gamma_0: float, pixels: Sequence[int], shrunk: float = 1.0) -> float:
    """-E log p(x | z_0) with x_0 = `shrunk` x (App. D), in bits per dimension.

    z_0 / alpha_0 = x_0 + e^(gamma_0 / 2) eps, and log p a softmax of -(z_0 / alpha_0 - x_k)^2 e^-gamma_0 / 2 over the
    levels. A pixel at either end has neighbours on one side only, and about half the loss.
    """
    return float(np.average(_costs(gamma_0, len(pixels), shrunk), weights=pixels) / math.log(2))


@cache
def _costs(gamma_0: float, levels: int, shrunk: float) -> np.ndarray:
    """-E log p of each level, in nats, (levels,)."""
    x, spread = scaled(levels), math.exp(gamma_0 / 2)
    costs = np.empty(levels)
    for k in range(levels):
        scores = -0.5 * ((shrunk * x[k] + spread * _EPS[:, None] - x) / spread) ** 2
        costs[k] = _WEIGHTS @ (logsumexp(scores, axis=1) - scores[:, k])
    return costs
