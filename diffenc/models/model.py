"""What training, evaluation and sampling ask of a model, and the three terms of its loss."""

import math
from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from diffenc.models import likelihood
from diffenc.models.schedules import Schedule


class LossTerms(NamedTuple):
    """The negative ELBO's three terms, (B,) each, in nats an image."""

    reconstruction: Tensor
    latent: Tensor
    diffusion: Tensor

    @property
    def total(self) -> Tensor:
        """Their sum: the bound on -log p(x), (B,) nats."""
        return self.reconstruction + self.latent + self.diffusion


class Model(nn.Module, ABC):
    """A likelihood-based diffusion model of images with K = `levels` values a pixel.

    What is trained are its parameters, all of them; checkpoints hold these and the buffers of its state_dict. A
    buffer that changes must change alike in all processes: nothing averages it.
    """

    levels: int
    schedule: Schedule
    kind = "univariate"  # of those that `diffenc.zoo.configs.KINDS` names
    variables = 1  # of each dimension, K: a state z_t has K C channels, the data's first

    def loss_terms(
        self,
        images: Tensor,
        t: Tensor | None = None,
        eps_0: Tensor | None = None,
        eps_t: Tensor | None = None,
        keys: Tensor | None = None,
    ) -> LossTerms:
        """The three terms of the negative ELBO, whose mean over images, times and noise is descended and evaluated.

        Args:
            images: (B, C, H, W) uint8.
            t: (B,) times in [0, 1]; by default low-discrepancy ones, with an offset from torch's generator.
            eps_0: (B, C, H, W) noise of z_0; by default from torch's generator.
            eps_t: (B, K C, H, W) noise of z_t; likewise.
            keys: (B,) dropout keys (`diffenc.models.noise`); None: no dropout.
        """
        like = images.to(self.ends()[0].dtype)
        t = low_discrepancy(torch.rand(()).item(), len(like), like) if t is None else t
        eps_0 = torch.randn_like(like) if eps_0 is None else eps_0
        eps_t = torch.randn_like(like.repeat(1, self.noises, 1, 1)) if eps_t is None else eps_t
        return self.terms_at(images, *self.schedule.at(t), eps_0, eps_t, keys)

    @abstractmethod
    def terms_at(
        self,
        images: Tensor,
        gamma: Tensor,
        slope: Tensor,
        eps_0: Tensor,
        eps_t: Tensor,
        keys: Tensor | None = None,
        relief: Tensor | None = None,
    ) -> LossTerms:
        """`loss_terms` at gamma_t (B,), where gamma' is `slope`, (B,) or ().

        The gradients that an encoder gets by its x_0, x_1 and x_t are multiplied by `relief` (3B,).
        """

    def encoder_parameters(self) -> list[nn.Parameter]:
        """Those that move the data, rather than denoise it."""
        return []

    @abstractmethod
    def compute_in(self, precision: torch.dtype) -> None:
        """Let the networks' products have this precision, as far as the model bears it."""

    @property
    def noises(self) -> int:
        """Channels of eps_t, for an image's."""
        return self.variables

    def weights(self, gamma: Tensor) -> Tensor:
        """How much each direction of noise counts in the diffusion term at gamma (B,): (B, K), ascending."""
        return torch.ones_like(gamma)[:, None]

    def matrices(self) -> tuple[Tensor, Tensor]:
        """Q and D of the process in its own time, both (K, K): dy = -(Q + D) y dtau + sqrt(2 D) dB if M = 1."""
        half = self.ends()[0].new_full((1, 1), 0.5)
        return torch.zeros_like(half), half

    def own_error(self, images: Tensor, gamma: Tensor, slope: Tensor, eps_0: Tensor, eps_t: Tensor) -> Tensor:
        """What of the diffusion term is no error in x: (B,) nats, for arguments as in `terms_at`."""
        return torch.zeros_like(gamma)

    def undecayed(self) -> list[nn.Parameter]:
        """Beside biases, what a weight decay would pull from where it belongs."""
        return [] if self.schedule.decays else list(self.schedule.parameters())

    def ends(self) -> tuple[Tensor, Tensor]:
        """gamma at t = 0 and at t = 1, both ()."""
        return self.schedule.ends()

    def gammas(self, z: Tensor, *times: float) -> Tensor:
        """gamma at these times, (len(times),), on z's device and in its precision."""
        return self.schedule(torch.tensor(times, dtype=z.dtype, device=z.device))

    def level(self, gamma: Tensor) -> Tensor:
        """-log SNR where the schedule has gamma, (B,) -> (B,)."""
        return gamma

    def scale(self, images: Tensor) -> Tensor:
        """Pixels (B, C, H, W) uint8 -> x (B, C, H, W) in (-1, 1), in the model's precision."""
        return likelihood.scale(images, self.levels, self.ends()[0].dtype)

    def state_shape(self, images: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of one z_t, for images of the shape (C, H, W)."""
        return (self.variables * images[0], *images[1:])

    def start(self, noise: Tensor) -> Tensor:
        """z_1 from standard normal noise (B, *state_shape)."""
        return noise

    @abstractmethod
    def step_between(
        self, z_t: Tensor, gamma_s: Tensor, gamma_t: Tensor, eps: Tensor, spread: Tensor | float = 1.0
    ) -> Tensor:
        """An ancestral step from z_t (B, *state_shape) at gamma_t to z_s at gamma_s, both (), with noise like z_t.

        `spread` is sigma_P / sigma_Q, ().
        """

    @abstractmethod
    def decode(self, z_0: Tensor) -> Tensor:
        """z_0 (B, *state_shape) -> the most likely pixels (B, C, H, W) uint8."""


def low_discrepancy(offset: float, count: int, like: Tensor) -> Tensor:
    """t_i = (offset + i / B) mod 1: (B,) times that cover [0, 1] evenly (VDM, appendix I.1)."""
    return (offset + torch.arange(count, dtype=like.dtype, device=like.device) / count) % 1


def bits_per_dimension(nats: Tensor, dimensions: int) -> Tensor:
    """Nats an image -> bits per dimension."""
    return nats / (dimensions * math.log(2))
