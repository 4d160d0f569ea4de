"""What a training step sees: its images in their order, its times and its noise, all by (seed, step, position)."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from diffenc.models import noise
from diffenc.models.model import low_discrepancy
from diffenc.models.noise import Purpose


class Batch(NamedTuple):
    """One step's images with all of its noise."""

    images: Tensor
    t: Tensor
    eps_0: Tensor
    eps_t: Tensor
    keys: Tensor


class Batches:
    """The training images in their order: a new permutation each epoch, batches running on across epochs.

    `part` is the share of one process; every position's image and noise are the same whoever computes them. A state
    has so many `variables` a dimension.
    """

    def __init__(
        self,
        images: np.ndarray,
        batch: int,
        seed: int,
        device: torch.device,
        part: slice = slice(None),
        variables: int = 1,
    ) -> None:
        self.variables = variables
        self.count, self.batch, self.seed, self.device, self.part = len(images), batch, seed, device, part
        self.images = torch.from_numpy(np.array(images)).to(device) if device.type == "cuda" else images
        self.positions = torch.arange(batch, device=device)[part]
        self._orders: dict[int, Tensor] = {}

    def order(self, epoch: int) -> Tensor:
        """The epoch's permutation of the images, (count,)."""
        if epoch not in self._orders:
            generator = torch.Generator().manual_seed(noise.stream(self.seed, Purpose.ORDER, epoch) >> 1)
            self._orders = {e: o for e, o in self._orders.items() if e == epoch - 1}
            self._orders[epoch] = torch.randperm(self.count, generator=generator).to(self.device)
        return self._orders[epoch]

    def indices(self, step: int) -> Tensor:
        """Which images step `step` (from 0) sees in all processes: (batch,)."""
        first, parts, missing = step * self.batch, [], self.batch
        while missing:
            epoch, start = divmod(first, self.count)
            parts.append(self.order(epoch)[start : start + missing])
            first, missing = first + len(parts[-1]), missing - len(parts[-1])
        return torch.cat(parts)

    def __call__(self, step: int) -> Batch:
        """This process's images and noise of step `step` (from 0)."""
        indices = self.indices(step)[self.part]
        # numpy would take a tensor of one index for a number, and drop the batch's axis
        images = self.images[indices if torch.is_tensor(self.images) else indices.numpy()]
        images = torch.as_tensor(images)
        like = torch.empty(0, device=self.device)
        keys = noise.keys(noise.stream(self.seed, Purpose.EPS_T, step), self.positions)
        offset = noise.uniform(noise.stream(self.seed, Purpose.TIME, step))
        return Batch(
            images,
            low_discrepancy(offset, self.batch, like)[self.part],
            noise.normal(noise.split(keys, Purpose.EPS_0), images.shape[1:]),
            noise.of_state(keys, images.shape[1:], self.variables),
            noise.split(keys, Purpose.DROPOUT),
        )
