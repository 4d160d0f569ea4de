"""Evaluation: the negative ELBO on the test set in bits per dimension, its terms, their Monte Carlo error.

The noise of an image depends on (evaluation seed, pass, image index) alone: every model sees the same, so that
differences between models are paired.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from diffenc.evaluation.noise import Draw, draw, draw_as_authors
from diffenc.models.model import LossTerms, Model, bits_per_dimension
from diffenc.runtime.device import compiled, exact_float32
from diffenc.runtime.processes import Processes
from diffenc.study.settings import Evaluation
from diffenc.study.stages import TERMS

BINS = 20


@torch.no_grad()
def evaluate(
    model: Model,
    images: np.ndarray,
    settings: Evaluation,
    batch: int,
    device: torch.device,
    processes: Processes | None = None,
    given: Draw | None = None,
) -> dict[str, np.ndarray] | None:
    """Every image's terms in every pass.

    Args:
        model: with the weights to be measured.
        images: (N, C, H, W) uint8.
        settings: passes, seed, protocol, and how many images.
        batch: images at a time. It changes no result but under the authors' protocol, where it must be theirs.
        device: where to compute.
        processes: those that share the batches; the batches stay what they are, and so do the results.
        given: times and noise in place of ours (`given_noise`).

    Returns:
        `t`, `reconstruction`, `latent`, `diffusion`: (passes, N) float32, the terms in bits per dimension. None in
        processes other than the first.
    """
    exact_float32()
    processes = processes or Processes(device)
    images = images[: settings.images]
    authors = settings.protocol == "authors"
    count = len(images) // batch * batch if authors else len(images)
    batch = -(-count // -(-count // batch))  # as many batches, of about one size
    model, draw_noise = model.to(device), given or (draw_as_authors if authors else draw)
    loss_terms = compiled(model.loss_terms, device)

    def terms_of(repeat: int, start: int) -> np.ndarray:
        chunk = torch.from_numpy(np.array(images[start : min(start + batch, count)])).to(device)
        indices = torch.arange(start, start + len(chunk), device=device)
        noise_of_it = draw_noise(settings.seed, repeat, indices, chunk.shape[1:], model.noises)
        return _terms(loss_terms, chunk, *noise_of_it, batch)

    work = [(p, start) for p in range(settings.passes) for start in range(0, count, batch)]
    terms = {(p, start): terms_of(p, start) for p, start in processes.dealt(work)}
    gathered = processes.gather(terms)
    if not processes.first:
        return None
    found = {key: values for part in gathered for key, values in part.items()}
    all_of_them = np.concatenate([found[key] for key in work], axis=1).reshape(1 + len(LossTerms._fields), -1, count)
    return dict(zip(("t", *LossTerms._fields), all_of_them, strict=True))


def _terms(
    loss_terms: Callable[..., LossTerms], images: Tensor, t: Tensor, eps_0: Tensor, eps_t: Tensor, batch: int
) -> np.ndarray:
    """t and the three terms of the images, (4, B): computed `batch` at a time, as compiled code wants one shape."""
    repeated = torch.arange(batch, device=images.device) % len(images)
    terms = loss_terms(*(values[repeated] for values in (images, t, eps_0, eps_t)))
    bpd = [bits_per_dimension(term[: len(images)], images[0].numel()) for term in terms]
    return torch.stack([t, *bpd]).cpu().numpy()


def summarise(terms: dict[str, np.ndarray]) -> dict[str, Any]:
    """`bpd`: each term's mean and Monte Carlo standard error; `loss_per_t`: the diffusion term by time."""
    passes, images = terms["t"].shape
    with_total = {"total": sum(terms[name].astype(np.float64) for name in LossTerms._fields), **terms}
    bpd = {name: mean_and_error(with_total[name].astype(np.float64)) for name in TERMS}
    return {"passes": passes, "images": images, "bpd": bpd, "loss_per_t": _by_time(terms["t"], terms["diffusion"])}


def mean_and_error(values: np.ndarray) -> dict[str, float | None]:
    """Mean and standard error of values (passes, images).

    Over passes, which are independent; the images of one pass are not, as their times are spread evenly.
    """
    means = values.mean(axis=1)
    error = float(means.std(ddof=1) / math.sqrt(len(means))) if len(means) > 1 else None
    return {"mean": float(means.mean()), "mc_se": error}


def _by_time(t: np.ndarray, diffusion: np.ndarray) -> list[dict[str, float | None]]:
    """The diffusion term's density over t, in bits per dimension per unit of t, in equal bins."""
    which = np.minimum((t * BINS).astype(int), BINS - 1).ravel()
    values, rows = diffusion.ravel().astype(np.float64), []
    for b in range(BINS):
        inside = values[which == b]
        if len(inside):
            se = float(inside.std(ddof=1) / math.sqrt(len(inside))) if len(inside) > 1 else None
            rows.append({"t": (b + 0.5) / BINS, "diffusion": float(inside.mean()), "se": se, "n": len(inside)})
    return rows
