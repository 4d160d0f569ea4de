"""Finite depth T: the KL divergence of one step, and the best variance ratio (MATH.md)."""

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffenc.models.diffusion import Diffusion
from diffenc.models.encoders import over_pixels
from diffenc.models.schedules import Schedule, alpha, sigma_squared

DRAWS = 20  # of each half in a bin of steps, on average


class Steps(NamedTuple):
    """T steps between gammas (T + 1,), ascending, and the variance ratio w (T,) of each."""

    gammas: NDArray[np.float64]
    ratios: NDArray[np.float64]


def step_numbers(u: NDArray, depth: int) -> NDArray[np.int64]:
    """i = ceil(u T), any shape, for u in [0, 1); its step is from t = i / T to s = (i - 1) / T."""
    return np.minimum((u.astype(np.float64) * depth).astype(np.int64), depth - 1) + 1


def around(schedule: Schedule, steps: Tensor, depth: int) -> tuple[Tensor, Tensor]:
    """gamma_s and gamma_t (B,) in float64 of the steps i (B,), even in t."""
    gamma_s, gamma_t = (schedule(number.double() / depth) for number in (steps - 1, steps))
    return gamma_s, gamma_t


def posterior_error(
    model: Diffusion, x: Tensor, gamma_s: Tensor, gamma_t: Tensor, eps: Tensor
) -> tuple[Tensor, Tensor]:
    """mu_Q - mu_P and sigma_Q^2 of one step for each image, in float64 but for the networks.

    mu_Q and sigma_Q^2 are those of q(z_s | z_t, x), Eq. 3, 4 without an encoder and Eq. 12, 13 with one (App. B and C
    derive them, Eq. 22 to 30); mu_P is Eq. 6, and Eq. 17 with the counterterm.
    With z_t = alpha_t x_t + sigma_t eps and m = 1 - e^(gamma_s - gamma_t), z_t leaves the difference of the means:

        mu_Q - mu_P = alpha_s [m (x_t - x_hat) + (x_s - x_t) - (gamma_t - gamma_s) sigma_t^2 x_hat],

    the last two with an encoder only; x_t - x_hat and x_s - x_t are computed as such, for at T = 1000 they are lost
    in a difference of float32 numbers.

    Args:
        model: whose mu_P it is.
        x: (B, C, H, W) in (-1, 1).
        gamma_s: (B,) float64.
        gamma_t: (B,) float64, above.
        eps: (B, C, H, W) noise of z_t.

    Returns:
        (B, C, H, W) and (B,).
    """
    x_t, shifted = model.encoder.step(x, gamma_s, gamma_t)
    missed = model.missed(x_t, gamma_t, eps)
    gamma_s, gamma_t = model.level(gamma_s), model.level(gamma_t)
    variance = sigma_squared(gamma_s) * -torch.expm1(gamma_s - gamma_t)
    return mean_error(model, x_t, shifted, missed, gamma_s, gamma_t), variance


def mean_error(
    model: Diffusion, x_t: Tensor, shifted: Tensor, missed: Tensor, gamma_s: Tensor, gamma_t: Tensor
) -> Tensor:
    """`posterior_error`'s difference of means from x_t, x_s - x_t and x_t - x_hat."""
    gamma_s, gamma_t = over_pixels(gamma_s), over_pixels(gamma_t)
    difference = -torch.expm1(gamma_s - gamma_t) * missed
    if not model.encoder.is_identity:
        difference = difference + shifted - (gamma_t - gamma_s) * sigma_squared(gamma_t) * (x_t - missed)
    return alpha(gamma_s) * difference


def kl(w: NDArray | float, q: NDArray) -> NDArray:
    """A step's KL in bits per dimension (Eq. 9), of q and w of shapes that go together."""
    return (w - 1 - np.log(w) + w * q) / (2 * math.log(2))


def best_ratio(q: NDArray) -> NDArray:
    """The w of least KL where q has this mean (Eq. 9, App. F)."""
    return 1 / (1 + q)


def best_ratios(q: NDArray, steps: NDArray, depth: int) -> tuple[NDArray, list[dict[str, float]]]:
    """The best w of each draw, fitted on the other half of the images, and of each bin, on all (Eq. 9, App. F).

    `q` and `steps` are (passes, N), and so is the first result; the second is a `Ratio` a bin. A bin in which the
    other half has no draw keeps w = 1.
    """
    bins = max(1, min(depth, q.size // 2 // DRAWS))
    which = (steps - 1) * bins // depth
    even = np.arange(q.shape[1]) % 2 == 0

    def fit(part: NDArray | slice) -> tuple[NDArray, NDArray]:
        n = np.bincount(which[:, part].ravel(), minlength=bins)
        return best_ratio(np.bincount(which[:, part].ravel(), q[:, part].ravel(), bins) / np.maximum(n, 1)), n

    applied = np.where(even, fit(~even)[0][which], fit(even)[0][which])
    numbers = np.arange(depth)
    t = np.bincount(numbers * bins // depth, (numbers + 1) / depth) / np.bincount(numbers * bins // depth)
    fitted = zip(t.tolist(), *(column.tolist() for column in fit(slice(None))), strict=True)
    return applied, [{"t": time, "w": w, "n": n} for time, w, n in fitted if n]
