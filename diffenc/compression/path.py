"""The path z_1 .. z_0 as a sender and a receiver walk it: means, spreads and grids, the same numbers for both.

What is coded are whole numbers k, z = centre + delta k, with delta the step's sigma_Q / 2^b. Both sides must come to
the same floating-point numbers: the networks are only called on batches of one shape, padded with zeros, and what is
computed of them is in float64.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffenc.models import likelihood
from diffenc.models.diffusion import Diffusion
from diffenc.models.finite_depth import Steps, mean_error

Array = NDArray[np.float64]


class Path:
    """A model's path in T steps; the i-th of them leads from gammas[i] to gammas[i - 1].

    Attributes:
        alpha, sigma: at the T + 1 gammas.
        sigma_q, sigma_p: (T + 1,), of step i at [i]; [0] is not used.
    """

    def __init__(self, model: Diffusion, steps: Steps, batch: int) -> None:
        self.model, self.steps, self.batch = model, steps, batch
        self.device = model.ends()[0].device
        self.gammas, gammas = steps.gammas.tolist(), steps.gammas
        alpha, sigma = (1 / np.sqrt(1 + np.exp(sign * gammas)) for sign in (1, -1))
        spread = sigma[:-1] * np.sqrt(-np.expm1(gammas[:-1] - gammas[1:]))
        self.alpha, self.sigma = alpha.tolist(), sigma.tolist()
        self.sigma_q = [0.0, *spread.tolist()]
        self.sigma_p = [0.0, *(spread / np.sqrt(steps.ratios)).tolist()]

    @property
    def depth(self) -> int:
        """T."""
        return len(self.steps.ratios)

    def scale(self, images: NDArray[np.uint8]) -> Tensor:
        """(n, C, H, W) -> x, padded to the batch."""
        padded = np.zeros((self.batch, *images.shape[1:]), np.uint8)
        padded[: len(images)] = images
        return self.model.scale(torch.from_numpy(padded).to(self.device))

    def encoded(self, x: Tensor, i: int, count: int) -> Tensor:
        """x_t of the first `count` images at gammas[i], in float64."""
        return self.model.encode(x, self._gamma(i)).double()[:count]

    def x_hat(self, z: Tensor, i: int) -> Tensor:
        """The network's prediction from z (n, C, H, W), in float64, at gammas[i]."""
        padded = torch.zeros(self.batch, *z.shape[1:], dtype=torch.float32, device=self.device)
        padded[: len(z)] = z
        output = self.model.denoise(padded, self._gamma(i)).double()[: len(z)]
        return self.model.parameterization.x_hat(z, output, self.alpha[i], self.sigma[i])

    def mean(self, z: Tensor, x_hat: Tensor, i: int) -> Tensor:
        """mu_P of step i (Eq. 6, 17)."""
        log = self.gammas[i - 1] - self.gammas[i]
        kept, made = self.alpha[i - 1] / self.alpha[i] * math.exp(log), -self.alpha[i - 1] * math.expm1(log)
        mean = kept * z + made * x_hat
        if not self.model.encoder.is_identity:
            mean = mean - self.alpha[i - 1] * log * self.sigma[i] ** 2 * x_hat
        return mean

    def shift(self, x_s: Tensor, x_t: Tensor, x_hat: Tensor, i: int) -> Tensor:
        """mu_Q - mu_P of step i (Eq. 12), which z_t leaves."""
        s, t = (torch.tensor([self.gammas[j]], dtype=torch.float64, device=self.device) for j in (i - 1, i))
        return mean_error(self.model, x_t, x_s - x_t, x_t - x_hat, s, t)

    def probabilities(self, z_0: Tensor) -> NDArray[np.float32]:
        """p(x | z_0) of every pixel, (n C H W, K)."""
        gamma_0 = torch.tensor(self.gammas[0], dtype=torch.float64, device=self.device)
        logits = likelihood.logits(z_0 / self.alpha[0], gamma_0, self.model.levels)
        return torch.softmax(logits, -1).flatten(0, -2).float().cpu().numpy()

    def log_probability(self, images: NDArray[np.uint8], z_0: Tensor) -> Array:
        """log p(x | z_0) of each image, (n,) nats."""
        gamma_0 = torch.tensor(self.gammas[0], dtype=torch.float64, device=self.device)
        pixels = torch.from_numpy(np.array(images)).to(self.device)
        return likelihood.log_prob(pixels, z_0 / self.alpha[0], gamma_0, self.model.levels).cpu().numpy()

    def _gamma(self, i: int) -> Tensor:
        gamma = torch.tensor(self.gammas[i], dtype=torch.float64, device=self.device)
        return gamma.to(self.model.ends()[0].dtype).expand(self.batch)
