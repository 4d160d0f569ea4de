"""The diffusion process of a model: its noise range over t, its weight, and each draw of the bound."""

import numpy as np
import torch

from diffenc.evaluation.noise import draw
from diffenc.models.model import Model, bits_per_dimension
from diffenc.runtime.device import exact_float32
from diffenc.study.settings import Process

TIMES = 101  # at which the process is kept
_DRAWN = ("t", "reconstruction", "latent", "diffusion", "own")


@torch.no_grad()
def process(
    model: Model, images: np.ndarray, settings: Process, batch: int, device: torch.device
) -> dict[str, np.ndarray]:
    """What the tables and figures of processes show.

    Args:
        model: a trained model.
        images: (N, C, H, W) uint8, of which the first `settings.images` are measured.
        settings: images, passes, and the noise's seed.
        batch: images at a time; it changes no result but by rounding.
        device: where to compute.

    Returns:
        `times` (T,), there `gamma` (T,) of the schedule, `level` (T,), -log SNR, and `weights` (T, K), eigenvalues of
        G (of the integral over gamma); `Q` and `D` (K, K); and of each draw (P, N) its `t`, `level_drawn`, and, in
        bits per dimension, the bound's three terms and `own`, the network's own error in the diffusion term.
    """
    exact_float32()
    model, images = model.to(device), images[: settings.images]
    times = torch.linspace(0, 1, TIMES, dtype=torch.float64, device=device)
    gamma = model.schedule(times)
    kept = {"times": times, "gamma": gamma, "level": model.level(gamma), "weights": model.weights(gamma)}
    kept |= dict(zip("QD", model.matrices(), strict=True))
    passes = [_pass(model, images, settings.seed, repeat, batch, device) for repeat in range(settings.passes)]
    drawn = dict(zip((*_DRAWN, "level_drawn"), np.stack(passes, axis=1), strict=True))
    return {name: values.cpu().numpy() for name, values in kept.items()} | drawn


def _pass(model: Model, images: np.ndarray, seed: int, repeat: int, batch: int, device: torch.device) -> np.ndarray:
    """t, the terms, the network's own error, and -log SNR at t: (6, N)."""
    parts = []
    for start in range(0, len(images), batch):
        chunk = torch.from_numpy(np.array(images[start : start + batch])).to(device)
        indices = torch.arange(start, start + len(chunk), device=device)
        t, *noise = draw(seed, repeat, indices, chunk.shape[1:], model.noises)
        at = model.schedule.at(t)
        nats = (*model.terms_at(chunk, *at, *noise), model.own_error(chunk, *at, *noise))
        rows = [t, *(bits_per_dimension(one, images[0].size) for one in nats), model.level(at[0])]
        parts.append(torch.stack([row.double() for row in rows]).cpu().numpy())
    return np.concatenate(parts, axis=1)
