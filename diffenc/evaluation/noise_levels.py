"""The diffusion term by noise level: m(gamma), its integrand, with its square, whatever schedule the model has."""

import numpy as np
import torch

from diffenc.evaluation.noise import draw
from diffenc.models.diffusion import Diffusion
from diffenc.models.model import bits_per_dimension
from diffenc.models.weightings import weighting
from diffenc.runtime.device import exact_float32
from diffenc.study.settings import NoiseLevels
from diffenc.zoo.configs import WEIGHTINGS

TIMES = 201  # at which the schedule is kept


@torch.no_grad()
def noise_levels(
    model: Diffusion, images: np.ndarray, settings: NoiseLevels, batch: int, device: torch.device
) -> dict[str, np.ndarray]:
    """m = 1/2 ||eps - eps_hat + alpha sigma c||^2 of images at gammas drawn evenly between the schedule's ends.

    Args:
        model: a trained model.
        images: (N, C, H, W) uint8, of which the first `settings.images` are measured.
        settings: images, passes, bins of gamma, and the noise's seed.
        batch: images at a time; it changes no result but by rounding.
        device: where to compute.

    Returns:
        `edges` (G + 1,) of the bins; in bits per dimension `m` and `m_squared` (P, G), sums over a pass's `count`
        (P, G) draws in a bin, `latent` and `reconstruction` (P,), means over images; `omega` (W, G + 1), each of the
        zoo's weightings at the edges; the schedule itself as `t`, `gamma` and `slope` (T,).
    """
    exact_float32()
    model, images = model.to(device), images[: settings.images]
    gamma_0, gamma_1 = (end.item() for end in model.ends())
    edges = np.linspace(gamma_0, gamma_1, settings.bins + 1)
    passes = [_pass(model, images, settings, repeat, batch, device) for repeat in range(settings.passes)]
    found: dict[str, list[np.ndarray]] = {
        name: [] for name in ("m", "m_squared", "count", "latent", "reconstruction")
    }
    for u, m, latent, reconstruction in passes:
        which = np.minimum((u * settings.bins).astype(int), settings.bins - 1)
        for name, values in (("m", m), ("m_squared", m**2), ("count", np.ones_like(m))):
            found[name].append(np.bincount(which, values, settings.bins))
        found["latent"].append(latent.mean())
        found["reconstruction"].append(reconstruction.mean())
    t = torch.linspace(0, 1, TIMES, dtype=torch.float64, device=device)
    schedule = {"t": t, "gamma": model.schedule(t), "slope": model.schedule.dgamma_dt(t).expand(TIMES)}
    omega = [weighting(name)(torch.from_numpy(edges)).numpy() for name in WEIGHTINGS]
    return {
        **{"edges": edges, "omega": np.array(omega)},
        **{name: np.array(values) for name, values in found.items()},
        **{name: values.cpu().numpy() for name, values in schedule.items()},
    }


def _pass(
    model: Diffusion, images: np.ndarray, settings: NoiseLevels, repeat: int, batch: int, device: torch.device
) -> np.ndarray:
    """u of gamma = gamma_0 + (gamma_1 - gamma_0) u, m, latent and reconstruction term: (4, N)."""
    (gamma_0, gamma_1), parts = model.ends(), []
    for start in range(0, len(images), batch):
        chunk = torch.from_numpy(np.array(images[start : start + batch])).to(device)
        indices = torch.arange(start, start + len(chunk), device=device)
        u, *noise = draw(settings.seed, repeat, indices, chunk.shape[1:], model.noises)
        gamma = gamma_0 + (gamma_1 - gamma_0) * u
        terms = model.terms_at(chunk, gamma, torch.ones_like(gamma), *noise)
        bpd = [
            bits_per_dimension(one, images[0].size) for one in (terms.diffusion, terms.latent, terms.reconstruction)
        ]
        parts.append(torch.stack([u, *bpd]).double().cpu().numpy())
    return np.concatenate(parts, axis=1)
