"""Finite depth T and the variance ratio: the bound of a trained model taken in T steps (MATH.md).

    -log p(x) <= reconstruction + latent + sum over i = 1..T of KL(q(z_s | z_t, x) || p(z_s | z_t)),
    s = (i - 1)/T, t = i/T (Eq. 7);   KL = d/2 (w - 1 - log w + w q),   q = ||mu_P - mu_Q||^2 / (d sigma_Q^2),
    w = sigma_Q^2 / sigma_P^2: 1; for each step the best one, 1/(1 + E q); or a fixed one.

Estimated like the continuous bound, and from the same noise. Image n of pass p has one u ~ U(0, 1), spread evenly
over the images, and one noise (`diffenc.evaluation.noise.draw`); in continuous time its t is u, at depth T its step
is i = ceil(u T), and T KL_i stands for the sum. So every T costs one pass of the network, and the excess over the
continuous bound is a paired difference, whose error falls with 1/T as it does itself.

The best w of a step would need many images at that step. It is fitted in bins of neighbouring steps, about DRAWS
draws a bin: for even images on the odd ones, for odd images on the even ones. Any w that does not depend on the
image gives a valid bound, so that nothing is gained by fitting noise. What noise costs is V/n of the gain where q is
small, V the relative variance of q inside a bin (over its squared mean) and n the draws there of the other half: in
expectation the best w is no worse than w = 1 as long as V < n, DRAWS or more, and is worse where q has heavier tails.
Of fewer than 4 DRAWS draws in all (images x passes) there is one bin, one w for all steps, from fewer draws still.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from diffenc.evaluation.elbo import mean_and_error, summarise
from diffenc.evaluation.noise import draw
from diffenc.models.diffusion import Diffusion
from diffenc.models.finite_depth import best_ratios, kl, posterior_error, step_numbers
from diffenc.models.model import bits_per_dimension
from diffenc.results.finite_depth import BEST, EQUAL, name_of
from diffenc.runtime.device import exact_float32
from diffenc.study.settings import Depth


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


def _measure(model: Diffusion, images: np.ndarray, start: int, settings: Depth, repeat: int) -> NDArray[np.float64]:
    """u, the continuous bound's three terms in bits per dimension, and q at each depth: (4 + depths, B)."""
    device = model.ends()[0].device
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
