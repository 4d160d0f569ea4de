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

Steps need not be even in t: `diffenc.evaluation.best_steps` fits them on training images; the bound in them is
measured like the others.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffenc.evaluation.best_steps import BestSteps, even, fit
from diffenc.evaluation.elbo import mean_and_error, summarise
from diffenc.evaluation.noise import draw
from diffenc.models.diffusion import Diffusion
from diffenc.models.finite_depth import Steps, best_ratios, kl, posterior_error, step_numbers
from diffenc.models.model import bits_per_dimension
from diffenc.results.finite_depth import BEST, BOTH, EQUAL, STEPS, name_of
from diffenc.runtime.device import exact_float32
from diffenc.study.settings import MOST_STEPS, Depth

EVEN = "even"


@torch.no_grad()
def finite_depth(
    model: Diffusion,
    images: np.ndarray,
    settings: Depth,
    batch: int,
    device: torch.device,
    train: np.ndarray | None = None,
) -> dict[str, Any]:
    """The bounds of every depth, as `FiniteDepth` has them: bits per dimension, with Monte Carlo standard errors.

    Args:
        model: a trained model.
        images: (N, C, H, W) uint8, of which the first `settings.images` are measured.
        settings: depths, ratios, images, passes, and the noise's seed: with the evaluation's, the continuous bound is
            the evaluation's of these images.
        batch: images at a time; it changes no result but by rounding.
        device: where to compute.
        train: training images, on the first `settings.fit` of which the best steps are fitted, if it is given.
    """
    exact_float32()
    model, images = model.to(device), images[: settings.images]
    fitted = fit(model, train[: settings.fit], settings.seed, batch, device) if settings.fit else None
    ways = [_ways(model, depth, fitted) for depth in settings.depths]
    grids = [torch.as_tensor(steps.gammas, device=device) for way in ways for steps in way.values()]
    starts = range(0, len(images), batch)
    passes = [
        np.concatenate([_measure(model, images[i : i + batch], i, settings, repeat, grids) for i in starts], axis=1)
        for repeat in range(settings.passes)
    ]
    u, reconstruction, latent, diffusion, *errors = np.stack(passes, axis=1)
    ends = reconstruction + latent
    terms = {"t": u, "reconstruction": reconstruction, "latent": latent, "diffusion": diffusion}
    left = iter(errors)
    return {
        "images": len(images),
        "passes": settings.passes,
        "seed": settings.seed,
        **({"fitted_on": len(train[: settings.fit])} if settings.fit else {}),
        "continuous": summarise(terms)["bpd"],
        "depths": [
            _at_depth(
                T, {name: (steps, next(left)) for name, steps in way.items()}, u, ends, diffusion, settings.ratios
            )
            for T, way in zip(settings.depths, ways, strict=True)
        ],
    }


def _ways(model: Diffusion, depth: int, fitted: BestSteps | None) -> dict[str, Steps]:
    """T steps even in t, and the best with either sigma_P."""
    found = {EVEN: Steps(even(model, depth), np.ones(depth))}
    if fitted and depth <= MOST_STEPS:
        found |= {name: fitted.of(depth, best) for name, best in ((STEPS, False), (BOTH, True))}
    return found


def _measure(
    model: Diffusion, images: np.ndarray, start: int, settings: Depth, repeat: int, grids: list[Tensor]
) -> NDArray[np.float64]:
    """u, the continuous bound's three terms in bits per dimension, and q in each grid's steps: (4 + grids, B)."""
    device = model.ends()[0].device
    chunk = torch.from_numpy(np.array(images)).to(device)
    indices = torch.arange(start, start + len(chunk), device=device)
    u, eps_0, eps_t = draw(settings.seed, repeat, indices, chunk.shape[1:], model.noises)
    x = model.scale(chunk)
    eps_0, eps_t = eps_0.to(x.dtype), eps_t.to(x.dtype)
    terms = model.loss_terms(chunk, u.to(x.dtype), eps_0, eps_t)
    rows = [u, *(bits_per_dimension(term, images[0].size) for term in terms)]
    for grid in grids:
        steps = torch.from_numpy(step_numbers(u.cpu().numpy(), len(grid) - 1)).to(device)
        difference, variance = posterior_error(model, x, grid[steps - 1], grid[steps], eps_t)
        rows.append(difference.square().flatten(1).mean(1) / variance)
    return torch.stack([row.double() for row in rows]).cpu().numpy()


def _at_depth(
    depth: int,
    ways: dict[str, tuple[Steps, NDArray]],
    u: NDArray,
    ends: NDArray,
    continuous: NDArray,
    ratios: Sequence[float],
) -> dict[str, Any]:
    """One `AtDepth` from {way: its steps and their q}; u, q and the terms of the continuous bound are (passes, N)."""
    steps, (_, q) = step_numbers(u, depth), ways[EVEN]
    best, fitted = best_ratios(q, steps, depth)
    divergences = {EQUAL: kl(1.0, q), BEST: kl(best, q), **{name_of(ratio): kl(ratio, q) for ratio in ratios}}
    others = {name: way for name, way in ways.items() if name != EVEN}
    # each of such steps has a w of its own, from the training images too
    divergences |= {name: kl(way.ratios[steps - 1], its_q) for name, (way, its_q) in others.items()}
    bounds = {}
    for name, each in divergences.items():
        diffusion = depth * each
        values = {"total": ends + diffusion, "diffusion": diffusion, "excess": diffusion - continuous}
        bounds[name] = {term: mean_and_error(value) for term, value in values.items()}
    chosen = {name: way.gammas.tolist() for name, (way, _) in others.items()}
    return {"T": depth, "bounds": bounds, "ratio": fitted} | ({"gammas": chosen} if chosen else {})
