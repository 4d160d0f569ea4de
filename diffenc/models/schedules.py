"""The noise schedule gamma(t) = -log SNR(t), and alpha and sigma at a gamma: linear, with fixed or learned ends."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.func import jvp


class Schedule(nn.Module, ABC):
    """gamma(t), increasing, for t in [0, 1]."""

    @abstractmethod
    def forward(self, t: Tensor) -> Tensor:
        """gamma(t) of times of any shape, in t's precision where that is higher than the parameters'."""

    def dgamma_dt(self, t: Tensor) -> Tensor:
        """dgamma / dt at times of any shape."""
        return jvp(self, (t,), (torch.ones_like(t),))[1]

    @abstractmethod
    def ends(self) -> tuple[Tensor, Tensor]:
        """(gamma_0, gamma_1), both ()."""


class Line(Schedule):
    """gamma(t) = gamma_0 + gamma' t."""

    def ends(self) -> tuple[Tensor, Tensor]:
        """(gamma_0, gamma_1), both ()."""
        gamma_0, slope = self.line()
        return gamma_0, gamma_0 + slope

    def forward(self, t: Tensor) -> Tensor:
        """(B,) -> (B,)."""
        gamma_0, slope = self.line()
        return gamma_0 + slope * t

    def dgamma_dt(self, t: Tensor) -> Tensor:
        """gamma' at all times, ()."""
        return self.line()[1]

    @abstractmethod
    def line(self) -> tuple[Tensor, Tensor]:
        """(gamma_0, gamma'), both ()."""


class FixedSchedule(Line):
    """From gamma_min to gamma_max."""

    def __init__(self, gamma_min: float, gamma_max: float) -> None:
        super().__init__()
        self.register_buffer("gamma_0", torch.tensor(gamma_min), persistent=False)
        self.register_buffer("slope", torch.tensor(gamma_max - gamma_min), persistent=False)

    def line(self) -> tuple[Tensor, Tensor]:
        """(gamma_0, gamma'), both ()."""
        return self.gamma_0, self.slope


class LearnedSchedule(Line):
    """gamma = b + |w| t, which starts at the fixed schedule."""

    def __init__(self, gamma_min: float, gamma_max: float) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([gamma_max - gamma_min]))
        self.b = nn.Parameter(torch.tensor([gamma_min]))

    def line(self) -> tuple[Tensor, Tensor]:
        """(gamma_0, gamma'), both ()."""
        return self.b[0], self.w[0].abs()


def alpha_squared(gamma: Tensor) -> Tensor:
    """alpha^2 = sigmoid(-gamma); 1 - sigma^2 would lose digits near t = 1."""
    return torch.sigmoid(-gamma)


def sigma_squared(gamma: Tensor) -> Tensor:
    """sigma^2 = sigmoid(gamma)."""
    return torch.sigmoid(gamma)


def alpha(gamma: Tensor) -> Tensor:
    """How much of x_t is in z_t."""
    return alpha_squared(gamma).sqrt()


def sigma(gamma: Tensor) -> Tensor:
    """How much noise is in z_t."""
    return sigma_squared(gamma).sqrt()
