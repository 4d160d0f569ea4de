"""Times and noise of an evaluation: ours by position, the authors', or those given with the data."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from diffenc.io.arrays import DAMAGE, check_array_file
from diffenc.io.errors import UserError
from diffenc.models import noise
from diffenc.models.model import low_discrepancy
from diffenc.models.noise import Purpose

# (seed, pass, image indices (B,), (C, H, W), K) -> t (B,), eps_0 (B, C, H, W), eps_t (B, K C, H, W)
Draw = Callable[[int, int, Tensor, tuple[int, ...], int], tuple[Tensor, Tensor, Tensor]]
_GIVEN = ("t", "eps_0", "eps_t")
_GOLDEN_RATIO = (math.sqrt(5) - 1) / 2


def times(offset: float, indices: Tensor) -> Tensor:
    """t = (offset + index * golden ratio) mod 1, (B,) float32: any run of images covers [0, 1] evenly."""
    return ((offset + indices.double() * _GOLDEN_RATIO) % 1).float()


def draw(
    seed: int, repeat: int, indices: Tensor, shape: tuple[int, ...], variables: int = 1
) -> tuple[Tensor, Tensor, Tensor]:
    """Times (B,), noise of z_0 (B, *shape) and of z_t (B, K C, H, W) of these images (C, H, W) in pass `repeat`."""
    key = noise.stream(seed, Purpose.EVALUATION, repeat)
    keys = noise.keys(key, indices)
    eps_0 = noise.normal(noise.split(keys, Purpose.EPS_0), shape)
    return times(noise.uniform(key), indices), eps_0, noise.of_state(keys, shape, variables)


def draw_as_authors(
    seed: int, repeat: int, indices: Tensor, shape: tuple[int, ...], variables: int = 1
) -> tuple[Tensor, Tensor, Tensor]:
    """The authors' way: the same times and noise in every batch."""
    _, eps_0, eps_t = draw(seed, repeat, indices - indices[0], shape, variables)
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
    if file.exists():
        check_array_file(file, "give an .npz of t, eps_0, eps_t")
    try:
        with np.load(file, allow_pickle=False) as arrays:
            t, *both = (arrays[name].astype(np.float32, casting="same_kind") for name in _GIVEN)
    except (KeyError, *DAMAGE) as error:
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

    def draw(
        seed: int, repeat: int, indices: Tensor, shape: tuple[int, ...], variables: int = 1
    ) -> tuple[Tensor, Tensor, Tensor]:
        at = indices.cpu()
        eps_0, eps_t = (array[at].permute(0, 3, 1, 2).to(indices.device) for array in noise)
        return times[at].to(indices.device), eps_0, eps_t

    return draw
