"""The best T steps of a trained model, and the best sigma_P of each, fitted on training images.

The bound in T steps is a sum over pairs of noise levels (s, t). At each of GRID levels between the schedule's ends
one pass of the network tells what all pairs with this t cost in expectation (q of `diffenc.evaluation.finite_depth`);
the T steps of least cost from gamma_0 to gamma_1 are then found by dynamic programming.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffenc.evaluation.noise import draw
from diffenc.models.diffusion import Diffusion
from diffenc.models.finite_depth import Steps, best_ratio, kl, mean_error, posterior_error
from diffenc.models.schedules import sigma_squared
from diffenc.study.settings import GRID


def even(model: Diffusion, depth: int) -> NDArray[np.float64]:
    """gammas (T + 1,) of steps that are even in t."""
    t = torch.arange(depth + 1, dtype=torch.float64, device=model.ends()[0].device) / depth
    return model.schedule(t).detach().cpu().numpy()


class BestSteps(NamedTuple):
    """E q of all pairs of noise levels: `q` (GRID, GRID), [s, t] of s < t, at `gammas` (GRID,)."""

    gammas: NDArray[np.float64]
    q: NDArray[np.float64]

    def of(self, depth: int, best_sigma: bool) -> Steps:
        """The best `depth` steps where each has its best sigma_P, or sigma_Q (w = 1)."""
        ratios = best_ratio(self.q) if best_sigma else np.ones_like(self.q)
        chosen = cheapest(np.where(self.q > 0, kl(ratios, self.q), np.inf), depth)
        return Steps(self.gammas[chosen], ratios[chosen[:-1], chosen[1:]])


def cheapest(cost: NDArray[np.float64], steps: int) -> NDArray[np.int64]:
    """The way from 0 to G - 1 in so many steps, (steps + 1,), whose costs [s, t] (G, G) are least in all."""
    least, came_from = np.full(len(cost), np.inf), []
    least[0] = 0.0
    for _ in range(steps):
        through = least[:, None] + cost
        came_from.append(through.argmin(axis=0))
        least = through.min(axis=0)
    way = [len(cost) - 1]
    for back in reversed(came_from):
        way.append(back[way[-1]])
    return np.array(way[::-1])


@torch.no_grad()
def fit(model: Diffusion, images: np.ndarray, seed: int, batch: int, device: torch.device) -> BestSteps:
    """Measure all pairs on images (N, C, H, W) uint8, `batch` at a time: GRID passes of the network in all."""
    gamma_0, gamma_1 = (end.double() for end in model.ends())
    gammas = gamma_0 + (gamma_1 - gamma_0) * torch.linspace(0, 1, GRID, dtype=torch.float64, device=device)
    total = torch.zeros(GRID, GRID, dtype=torch.float64, device=device)
    for start in range(0, len(images), batch):
        chunk = torch.from_numpy(np.array(images[start : start + batch])).to(device)
        _, _, eps = draw(
            seed, 0, torch.arange(start, start + len(chunk), device=device), chunk.shape[1:], model.noises
        )
        total += _of_pairs(model, model.scale(chunk), gammas, eps)
    return BestSteps(gammas.cpu().numpy(), (total / len(images)).cpu().numpy())


@torch.no_grad()
def fit_ratios(
    model: Diffusion, images: np.ndarray, gammas: NDArray[np.float64], seed: int, batch: int, device: torch.device
) -> NDArray[np.float64]:
    """The best w of each of T given steps, (T,), by about GRID passes of the network over images (N, C, H, W) uint8.

    Of more than GRID steps, each sees every so many-th of the images.
    """
    depth = len(gammas) - 1
    apart, levels = -(-depth // GRID), torch.as_tensor(gammas, device=device)
    means = []
    for i in range(1, depth + 1):
        q = []
        some = np.arange(i % apart % len(images), len(images), apart)
        for part in np.split(some, range(batch, len(some), batch)):
            chunk = torch.from_numpy(np.array(images[part])).to(device)
            _, _, eps = draw(seed, 0, torch.from_numpy(part).to(device), chunk.shape[1:], model.noises)
            around = (levels[j].expand(len(chunk)) for j in (i - 1, i))
            difference, variance = posterior_error(model, model.scale(chunk), *around, eps)
            q.append(difference.square().flatten(1).mean(1) / variance)
        means.append(torch.cat(q).mean())
    return best_ratio(torch.stack(means).cpu().numpy())


def _of_pairs(model: Diffusion, x: Tensor, gammas: Tensor, eps: Tensor) -> Tensor:
    """q of all pairs, summed over the images: (GRID, GRID)."""
    found = torch.zeros(len(gammas), len(gammas), dtype=torch.float64, device=x.device)
    at = [model.encode(x, gamma.to(x.dtype).expand(len(x))).double() for gamma in gammas]
    levels = model.level(gammas)
    for t in range(1, len(gammas)):
        missed = model.missed(at[t], gammas[t].expand(len(x)), eps)
        gamma_t = levels[t].expand(len(x))
        for s in range(t):
            gamma_s = levels[s].expand(len(x))
            difference = mean_error(model, at[t], at[s] - at[t], missed, gamma_s, gamma_t)
            variance = sigma_squared(levels[s]) * -torch.expm1(levels[s] - levels[t])
            found[s, t] = difference.square().flatten(1).mean(1).sum() / variance
    return found
