"""Evaluation: the negative ELBO on the test set in bits per dimension, its terms, their Monte Carlo error.

The noise of an image depends on (evaluation seed, pass, image index) alone: every model sees the same, so that
differences between models are paired.
"""

import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from diffenc import noise
from diffenc.compiling import compiled
from diffenc.diffusion import Diffusion, Terms, bits_per_dimension, low_discrepancy
from diffenc.errors import UserError
from diffenc.noise import Purpose
from diffenc.precision import exact_float32
from diffenc.processes import Processes
from diffenc.results import TERMS
from diffenc.settings import Evaluation

BINS = 20
# (seed, pass, image indices (B,), (C, H, W)) -> t (B,), eps_0 and eps_t (B, C, H, W)
Draw = Callable[[int, int, Tensor, tuple[int, ...]], tuple[Tensor, Tensor, Tensor]]
_GIVEN = ("t", "eps_0", "eps_t")
_GOLDEN_RATIO = (math.sqrt(5) - 1) / 2


def times(offset: float, indices: Tensor) -> Tensor:
    """t = (offset + index * golden ratio) mod 1, (B,) float32: any run of images covers [0, 1] evenly."""
    return ((offset + indices.double() * _GOLDEN_RATIO) % 1).float()


def draw(seed: int, repeat: int, indices: Tensor, shape: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """Times (B,) and noise of z_0 and z_t (B, *shape) of these images in pass `repeat`."""
    key = noise.stream(seed, Purpose.EVALUATION, repeat)
    keys = noise.keys(key, indices)
    eps_0, eps_t = (noise.normal(noise.split(keys, purpose), shape) for purpose in (Purpose.EPS_0, Purpose.EPS_T))
    return times(noise.uniform(key), indices), eps_0, eps_t


def draw_as_authors(seed: int, repeat: int, indices: Tensor, shape: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """The authors' way: the same times and noise in every batch."""
    _, eps_0, eps_t = draw(seed, repeat, indices - indices[0], shape)
    offset = noise.uniform(noise.stream(seed, Purpose.EVALUATION, repeat))
    return low_discrepancy(offset, len(indices), eps_t), eps_0, eps_t


def given_noise(file: Path, count: int, shape: tuple[int, int, int]) -> Draw:
    """Times and noise from a file, another implementation's for instance: an .npz of t, eps_0 and eps_t.

    Args:
        file: t (N,) in [0, 1]; eps_0 and eps_t (N, H, W, C), channels last, or (N, H, W) for grey images.
        count: N, how many images are evaluated.
        shape: (C, H, W) of an image.

    Raises:
        UserError: the file is missing or damaged, an array has another shape or is not finite, a time is not in
            [0, 1].
    """
    try:
        with np.load(file, allow_pickle=False) as arrays:
            t, *both = (arrays[name].astype(np.float32, casting="same_kind") for name in _GIVEN)
    except (OSError, ValueError, EOFError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise UserError(f"{file}: cannot be read ({' '.join(str(error).split())}); give an .npz of t, eps_0, eps_t")
    channels, *sides = shape
    if channels == 1:
        both = [eps[..., None] if eps.ndim == 3 else eps for eps in both]
    for name, array, expected in zip(_GIVEN, (t, *both), ((), *[(*sides, channels)] * 2), strict=True):
        if array.shape != (count, *expected):
            raise UserError(
                f"{file}: {name} has shape {array.shape}; for the {count} images that are evaluated give one of shape"
                f" {(count, *expected)}"
            )
        if not np.isfinite(array).all():
            raise UserError(f"{file}: {name} has values that are not finite; give finite ones")
    if ((t < 0) | (t > 1)).any():
        raise UserError(f"{file}: t is from {t.min():g} to {t.max():g}; give times between 0 and 1")
    times, *noise = map(torch.from_numpy, (t, *both))

    def draw(seed: int, repeat: int, indices: Tensor, shape: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
        at = indices.cpu()
        eps_0, eps_t = (array[at].permute(0, 3, 1, 2).to(indices.device) for array in noise)
        return times[at].to(indices.device), eps_0, eps_t

    return draw


@torch.no_grad()
def evaluate(
    model: Diffusion,
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
        noise_of_it = draw_noise(settings.seed, repeat, indices, chunk.shape[1:])
        return _terms(loss_terms, chunk, *noise_of_it, batch)

    work = [(p, start) for p in range(settings.passes) for start in range(0, count, batch)]
    terms = {(p, start): terms_of(p, start) for p, start in processes.dealt(work)}
    gathered = processes.gather(terms)
    if not processes.first:
        return None
    found = {key: values for part in gathered for key, values in part.items()}
    all_of_them = np.concatenate([found[key] for key in work], axis=1).reshape(1 + len(Terms._fields), -1, count)
    return dict(zip(("t", *Terms._fields), all_of_them, strict=True))


def _terms(
    loss_terms: Callable[..., Terms], images: Tensor, t: Tensor, eps_0: Tensor, eps_t: Tensor, batch: int
) -> np.ndarray:
    """t and the three terms of the images, (4, B): computed `batch` at a time, as compiled code wants one shape."""
    repeated = torch.arange(batch, device=images.device) % len(images)
    terms = loss_terms(*(values[repeated] for values in (images, t, eps_0, eps_t)))
    bpd = [bits_per_dimension(term[: len(images)], images[0].numel()) for term in terms]
    return torch.stack([t, *bpd]).cpu().numpy()


def summarise(terms: dict[str, np.ndarray]) -> dict[str, Any]:
    """`bpd`: each term's mean and Monte Carlo standard error; `loss_per_t`: the diffusion term by time."""
    passes, images = terms["t"].shape
    with_total = {"total": sum(terms[name].astype(np.float64) for name in Terms._fields), **terms}
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
