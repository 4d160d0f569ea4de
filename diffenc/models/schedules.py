"""The noise schedule gamma(t) = -log SNR(t): linear, with fixed or with learned end points."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class Schedule(nn.Module, ABC):
    """gamma(t) = gamma_0 + gamma' t for t in [0, 1]."""

    def ends(self) -> tuple[Tensor, Tensor]:
        """(gamma_0, gamma_1), both ()."""
        gamma_0, slope = self.line()
        return gamma_0, gamma_0 + slope

    def forward(self, t: Tensor) -> Tensor:
        """(B,) -> (B,)."""
        gamma_0, slope = self.line()
        return gamma_0 + slope * t

    @abstractmethod
    def line(self) -> tuple[Tensor, Tensor]:
        """(gamma_0, gamma'), both ()."""


class FixedSchedule(Schedule):
    """From gamma_min to gamma_max."""

    def __init__(self, gamma_min: float, gamma_max: float) -> None:
        super().__init__()
        self.register_buffer("gamma_0", torch.tensor(gamma_min), persistent=False)
        self.register_buffer("slope", torch.tensor(gamma_max - gamma_min), persistent=False)

    def line(self) -> tuple[Tensor, Tensor]:
        """(gamma_0, gamma'), both ()."""
        return self.gamma_0, self.slope


class LearnedSchedule(Schedule):
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
