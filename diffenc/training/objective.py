"""What a training descends: the bound, or its diffusion term under a weighting of noise levels."""

import torch
from torch import Tensor, nn

from diffenc.models.model import LossTerms, Model, bits_per_dimension
from diffenc.models.weightings import weighting
from diffenc.runtime.device import compiled
from diffenc.study.settings import Objective
from diffenc.training.times import AdaptiveTimes


class Loss(nn.Module):
    """The training loss as a module of its own, as DistributedDataParallel wants it.

    Under a weighting omega it is omega(gamma_0) reconstruction + omega(gamma_1) latent + omega(gamma_t) diffusion: an
    integral of bounds of noised data where omega is monotone (`diffenc.models.weightings`). An encoder moves the data
    that it is scored on, and would hide it where omega is large; so its parameters descend the bound itself, unless
    `objective.encoder` says otherwise.
    """

    def __init__(
        self, model: Model, objective: Objective | None, device: torch.device, times: AdaptiveTimes | None = None
    ) -> None:
        super().__init__()
        self.model, self.adaptive, self.terms = model, times, compiled(model.terms_at, device)
        self.omega = weighting(objective.weighting, **objective.parameters) if objective else None
        self.relieves = objective is not None and objective.encoder == "bound" and bool(model.encoder_parameters())

    def forward(
        self, images: Tensor, t: Tensor, eps_0: Tensor, eps_t: Tensor, keys: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The fields of a `Batch` -> the mean that is descended, (), and those of the bound's three terms, (3,), in
        bits per dimension."""
        # the schedule stays out of the compiled part: hooks on its backward pass hear of the losses
        times = self.adaptive or self.model.schedule
        gamma, slope = times.at(t)
        if self.omega is None:
            terms = descended = self.terms(images, gamma, slope, eps_0, eps_t, keys)
        else:
            gamma_0, gamma_1 = self.model.ends()
            omega = LossTerms(self.omega(gamma_0), self.omega(gamma_1), self.omega(gamma))
            terms = self.terms(images, gamma, slope, eps_0, eps_t, keys, self._relief(omega))
            descended = LossTerms(*(factor * term for factor, term in zip(omega, terms, strict=True)))
        dimensions = images[0].numel()
        times.hear(bits_per_dimension(descended.diffusion, dimensions))
        means = [bits_per_dimension(term.mean(), dimensions) for term in terms]
        losses = means if terms is descended else [bits_per_dimension(term.mean(), dimensions) for term in descended]
        return sum(losses), torch.stack(means).detach()

    def _relief(self, omega: LossTerms) -> Tensor | None:
        """1 / omega for the encoder's gradient, of x_0, x_1 and x_t: (3B,)."""
        if not self.relieves:
            return None
        ends = torch.stack([omega.reconstruction, omega.latent]).repeat_interleave(len(omega.diffusion))
        return torch.cat([ends, omega.diffusion]).detach().reciprocal()
