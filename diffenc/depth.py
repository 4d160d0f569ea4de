"""Finite depth T and the variance ratio: the bound of a trained model taken in T steps (MATH.md).

    -log p(x) <= reconstruction + latent + sum over i = 1..T of KL(q(z_s | z_t, x) || p(z_s | z_t)),
    s = (i - 1)/T, t = i/T;   KL = d/2 (w - 1 - log w + w q),   q = ||mu_P - mu_Q||^2 / (d sigma_Q^2),
    w = sigma_Q^2 / sigma_P^2: 1; for each step the best one, 1/(1 + E q); or a fixed one.

Estimated like the continuous bound, and from the same noise. Image n of pass p has one u ~ U(0, 1), spread evenly
over the images, and one noise (`evaluate.draw`); in continuous time its t is u, at depth T its step is i = ceil(u T),
and T KL_i stands for the sum. So every T costs one pass of the network, and the excess over the continuous bound
is a paired difference, whose error falls with 1/T as it does itself.

The best w of a step would need many images at that step. It is fitted in bins of neighbouring steps, about DRAWS
draws a bin: for even images on the odd ones, for odd images on the even ones. Any w that does not depend on the
image gives a valid bound, so that nothing is gained by fitting noise. What noise costs is V/n of the gain where q is
small, V the relative variance of q inside a bin (over its squared mean) and n the draws there of the other half: in
expectation the best w is no worse than w = 1 as long as V < n, DRAWS or more, and is worse where q has heavier tails.
Of fewer than 4 DRAWS draws in all (images x passes) there is one bin, one w for all steps, from fewer draws still.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffenc.diffusion import Diffusion, bits_per_dimension
from diffenc.encoder import Identity, NonTrainable, Trainable
from diffenc.evaluate import draw, mean_and_error, summarise
from diffenc.precision import exact_float32
from diffenc.records.finite_depth import BEST, EQUAL, name_of
from diffenc.schedule import alpha, alpha_squared, sigma, sigma_squared
from diffenc.settings import Depth

DRAWS = 20  # of each half in a bin of steps, on average


@torch.no_grad()
def finite_depth(
    model: Diffusion, images: np.ndarray, settings: Depth, batch: int, device: torch.device
) -> dict[str, Any]:
    """The bounds of every depth, as `FiniteDepth` has them: bits per dimension, with Monte Carlo standard errors.

    Args:
        model: a trained model.
        images: (N, C, H, W) uint8, of which the first `settings.images` are measured.
        settings: depths, ratios, images, passes, and the noise's seed: with the evaluation's, the continuous bound is
            the evaluation's of these images.
        batch: images at a time; it changes no result but by rounding.
        device: where to compute.
    """
    exact_float32()
    model, images = model.to(device), images[: settings.images]
    starts = range(0, len(images), batch)
    passes = [
        np.concatenate([_measure(model, images[i : i + batch], i, settings, repeat) for i in starts], axis=1)
        for repeat in range(settings.passes)
    ]
    u, reconstruction, latent, diffusion, *errors = np.stack(passes, axis=1)
    ends = reconstruction + latent
    terms = {"t": u, "reconstruction": reconstruction, "latent": latent, "diffusion": diffusion}
    return {
        "images": len(images),
        "passes": settings.passes,
        "seed": settings.seed,
        "continuous": summarise(terms)["bpd"],
        "depths": [
            _at_depth(T, q, step_numbers(u, T), ends, diffusion, settings.ratios)
            for T, q in zip(settings.depths, errors, strict=True)
        ],
    }


def step_numbers(u: NDArray, depth: int) -> NDArray[np.int64]:
    """i = ceil(u T), any shape, for u in [0, 1); its step is from t = i / T to s = (i - 1) / T."""
    return np.minimum((u.astype(np.float64) * depth).astype(np.int64), depth - 1) + 1


def _measure(model: Diffusion, images: np.ndarray, start: int, settings: Depth, repeat: int) -> NDArray[np.float64]:
    """u, the continuous bound's three terms in bits per dimension, and q at each depth: (4 + depths, B)."""
    device = model.schedule.line()[0].device
    chunk = torch.from_numpy(np.array(images)).to(device)
    u, eps_0, eps_t = draw(
        settings.seed, repeat, torch.arange(start, start + len(chunk), device=device), chunk.shape[1:]
    )
    x = model.scale(chunk)
    eps_0, eps_t = eps_0.to(x.dtype), eps_t.to(x.dtype)
    terms = model.loss_terms(chunk, u.to(x.dtype), eps_0, eps_t)
    rows = [u, *(bits_per_dimension(term, images[0].size) for term in terms)]
    for depth in settings.depths:
        steps = torch.from_numpy(step_numbers(u.cpu().numpy(), depth)).to(device)
        difference, variance = posterior_error(model, x, steps, depth, eps_t)
        rows.append(difference.square().flatten(1).mean(1) / variance)
    return torch.stack([row.double() for row in rows]).cpu().numpy()


def posterior_error(model: Diffusion, x: Tensor, steps: Tensor, depth: int, eps: Tensor) -> tuple[Tensor, Tensor]:
    """mu_Q - mu_P and sigma_Q^2 of one step for each image, in float64 but for the networks.

    With z_t = alpha_t x_t + sigma_t eps and m = 1 - e^(gamma_s - gamma_t), z_t leaves the difference of the means:

        mu_Q - mu_P = alpha_s [m (x_t - x_hat) + (x_s - x_t) - (gamma_t - gamma_s) sigma_t^2 x_hat],

    the last two with an encoder only; x_t - x_hat and x_s - x_t are computed as such, for at T = 1000 they are lost
    in a difference of float32 numbers.

    Args:
        model: whose mu_P it is.
        x: (B, C, H, W) in (-1, 1).
        steps: (B,) whole numbers i in 1..T.
        depth: T.
        eps: (B, C, H, W) noise of z_t.

    Returns:
        (B, C, H, W) and (B,).
    """
    gamma_0, slope = (value.double() for value in model.schedule.line())
    t, s = (number.double()[:, None, None, None] / depth for number in (steps, steps - 1))
    gamma_t, gamma_s, apart = gamma_0 + slope * t, gamma_0 + slope * s, slope / depth
    m = -torch.expm1(-apart)
    x_t, moved = _encoded(model.encoder, x, gamma_s, gamma_t, m)
    missed = _missed(model, x_t, eps.double(), gamma_t, x.dtype)
    difference = m * missed
    if not isinstance(model.encoder, Identity):
        difference = difference + moved - apart * sigma_squared(gamma_t) * (x_t - missed)
    return alpha(gamma_s) * difference, (sigma_squared(gamma_s) * m).flatten()


def _encoded(
    encoder: Identity | NonTrainable | Trainable, x: Tensor, gamma_s: Tensor, gamma_t: Tensor, m: Tensor
) -> tuple[Tensor, Tensor | float]:
    """x_t and x_s - x_t = alpha_s^2 sigma_t^2 m (x - y_t) + sigma_s^2 (y_s - y_t); without a network y = 0."""
    if isinstance(encoder, Identity):
        return x.double(), 0.0
    y_s = y_t = torch.zeros(())
    if isinstance(encoder, Trainable):
        gammas = torch.cat([gamma_s, gamma_t]).flatten().to(x.dtype)
        y_s, y_t = encoder.y(x, gammas).double().chunk(2)
    x, variance = x.double(), sigma_squared(gamma_t)
    moved = alpha_squared(gamma_s) * variance * m * (x - y_t) + sigma_squared(gamma_s) * (y_s - y_t)
    return alpha_squared(gamma_t) * x + variance * y_t, moved


def _missed(model: Diffusion, x_t: Tensor, eps: Tensor, gamma_t: Tensor, precision: torch.dtype) -> Tensor:
    """x_t - x_hat = -sigma (v - v_hat) = -(sigma / alpha) (eps - eps_hat); the network computes in `precision`."""
    a, s = alpha(gamma_t), sigma(gamma_t)
    prediction = model.denoise((a * x_t + s * eps).to(precision), gamma_t.flatten().to(precision)).double()
    if model.prediction == "epsilon":
        return -s / a * (eps - prediction)
    return -s * (a * eps - s * x_t - prediction)


def kl(w: NDArray | float, q: NDArray) -> NDArray:
    """A step's KL in bits per dimension, of q and w of shapes that go together."""
    return (w - 1 - np.log(w) + w * q) / (2 * math.log(2))


def best_ratios(q: NDArray, steps: NDArray, depth: int) -> tuple[NDArray, list[dict[str, float]]]:
    """The best w of each draw, fitted on the other half of the images, and of each bin, fitted on all.

    `q` and `steps` are (passes, N), and so is the first result; the second is a `Ratio` a bin. A bin in which the
    other half has no draw keeps w = 1.
    """
    bins = max(1, min(depth, q.size // 2 // DRAWS))
    which = (steps - 1) * bins // depth
    even = np.arange(q.shape[1]) % 2 == 0

    def fit(part: NDArray | slice) -> tuple[NDArray, NDArray]:
        n = np.bincount(which[:, part].ravel(), minlength=bins)
        return 1 / (1 + np.bincount(which[:, part].ravel(), q[:, part].ravel(), bins) / np.maximum(n, 1)), n

    applied = np.where(even, fit(~even)[0][which], fit(even)[0][which])
    numbers = np.arange(depth)
    t = np.bincount(numbers * bins // depth, (numbers + 1) / depth) / np.bincount(numbers * bins // depth)
    fitted = zip(t.tolist(), *(column.tolist() for column in fit(slice(None))), strict=True)
    return applied, [{"t": time, "w": w, "n": n} for time, w, n in fitted if n]


def _at_depth(
    depth: int, q: NDArray, steps: NDArray, ends: NDArray, continuous: NDArray, ratios: Sequence[float]
) -> dict[str, Any]:
    """One `AtDepth` from q and the terms of the continuous bound, (passes, N) each."""
    best, fitted = best_ratios(q, steps, depth)
    bounds = {}
    for name, w in {EQUAL: 1.0, BEST: best, **{name_of(ratio): ratio for ratio in ratios}}.items():
        diffusion = depth * kl(w, q)
        values = {"total": ends + diffusion, "diffusion": diffusion, "excess": diffusion - continuous}
        bounds[name] = {term: mean_and_error(value) for term, value in values.items()}
    return {"T": depth, "bounds": bounds, "ratio": fitted}
