"""The encoders x -> x_t: DiffEnc's time-dependent means, and what a model needs to know of one.

A new one is a subclass of `Encoder` with a `forward`. What else is asked of it is had from that: its derivative by
forward-mode differentiation, differences of close numbers in float64. A class that writes one out overrides it.

A model's loss needs r = -(dx_t / dgamma) / sigma_t^2, the x_hat with which the generative model's counterterm would
cancel the encoder's mean shift exactly; the loss pays for c = x_hat - r.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.func import functional_call, jvp

from diffenc.models.schedules import alpha_squared, sigma_squared


class Encoder(nn.Module, ABC):
    """x -> x_t. Several times are k times gamma (kB,): the first time for all images, then the second, ..."""

    is_identity = False

    @abstractmethod
    def forward(self, x: Tensor, gamma: Tensor) -> Tensor:
        """x (B, C, H, W) in (-1, 1), gamma_t (B,) -> x_t (B, C, H, W); image by image, in x's precision."""

    def at_times(self, x: Tensor, gamma: Tensor, keys: Tensor | None = None) -> Tensor:
        """x (B, C, H, W), gamma (kB,) -> x_t (kB, C, H, W); `keys` (B,) are dropout's, for one that has it."""
        return self(for_each(x, gamma), gamma)

    def derivative(self, x: Tensor, gamma: Tensor) -> Tensor:
        """dx_t / dgamma (B, C, H, W) at gamma_t (B,)."""
        own = gamma.clone()  # jvp takes no expanded one
        return jvp(lambda at: self(x, at), (own,), (torch.ones_like(own),))[1]

    def with_mean_shift(self, x: Tensor, gamma: Tensor, keys: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """x_t (kB, C, H, W), and r at the last time (B, C, H, W); None for the identity, which does not shift."""
        last = gamma[-len(x) :]
        return self.at_times(x, gamma, keys), -self.derivative(x, last) / sigma_squared(over_pixels(last))

    def step(self, x: Tensor, gamma_s: Tensor, gamma_t: Tensor) -> tuple[Tensor, Tensor]:
        """x_t and x_s - x_t (B, C, H, W) in float64, for gamma (B,) in float64; accurate where they are close.

        The latter is the mean shift of a step (Eq. 11).
        """
        x_s, x_t = (self._in_float64(x, gamma) for gamma in (gamma_s, gamma_t))
        return x_t, x_s - x_t

    def change(self, x: Tensor, gamma: Tensor) -> Tensor:
        """x_t - x (B, C, H, W), accurate where it is small."""
        return (self._in_float64(x, gamma) - x.double()).to(x.dtype)

    def output(self, x: Tensor, gamma: Tensor) -> Tensor | None:
        """y (B, C, H, W), what a network contributes to x_t, if there is such a thing to look at."""
        return None

    def _in_float64(self, x: Tensor, gamma: Tensor) -> Tensor:
        tensors = {**dict(self.named_parameters()), **dict(self.named_buffers())}
        tensors = {name: one.double() if one.is_floating_point() else one for name, one in tensors.items()}
        return functional_call(self, tensors, (x.double(), gamma.double()))


class Identity(Encoder):
    """x_t = x: VDM. There is no mean shift and no counterterm."""

    is_identity = True

    def forward(self, x: Tensor, gamma: Tensor) -> Tensor:
        """x (B, C, H, W), whatever gamma_t (B,)."""
        return x

    def with_mean_shift(self, x: Tensor, gamma: Tensor, keys: Tensor | None = None) -> tuple[Tensor, None]:
        """x_t, and None in place of r."""
        return self.at_times(x, gamma), None

    def step(self, x: Tensor, gamma_s: Tensor, gamma_t: Tensor) -> tuple[Tensor, Tensor]:
        """x and zeros, in float64."""
        return x.double(), torch.zeros_like(x, dtype=torch.float64)

    def change(self, x: Tensor, gamma: Tensor) -> Tensor:
        """Zeros (B, C, H, W)."""
        return torch.zeros_like(x)


class _Mixing(Encoder):
    """x_t = alpha_t^2 x + sigma_t^2 y_t, its differences without the digits that subtracting would lose."""

    def step(self, x: Tensor, gamma_s: Tensor, gamma_t: Tensor) -> tuple[Tensor, Tensor]:
        """x_s - x_t = alpha_s^2 sigma_t^2 (1 - e^(gamma_s - gamma_t)) (x - y_t) + sigma_s^2 (y_s - y_t)."""
        y_s, y_t = self._outputs(x, gamma_s, gamma_t)
        x, (gamma_s, gamma_t) = x.double(), (over_pixels(gamma) for gamma in (gamma_s, gamma_t))
        variance, shrink = sigma_squared(gamma_t), -torch.expm1(gamma_s - gamma_t)
        difference = alpha_squared(gamma_s) * variance * shrink * (x - y_t) + sigma_squared(gamma_s) * (y_s - y_t)
        return alpha_squared(gamma_t) * x + variance * y_t, difference

    def change(self, x: Tensor, gamma: Tensor) -> Tensor:
        """x_t - x = sigma_t^2 (y - x)."""
        y = self.output(x, gamma)
        return sigma_squared(over_pixels(gamma)) * ((0 if y is None else y) - x)

    def _outputs(self, x: Tensor, gamma_s: Tensor, gamma_t: Tensor) -> tuple[Tensor, Tensor]:
        """y_s and y_t in float64."""
        zero = torch.zeros((), dtype=torch.float64, device=x.device)
        return zero, zero


class NonTrainable(_Mixing):
    """x_t = alpha_t^2 x (Eq. 16)."""

    def forward(self, x: Tensor, gamma: Tensor) -> Tensor:
        """x (B, C, H, W), gamma_t (B,) -> x_t (B, C, H, W)."""
        return alpha_squared(over_pixels(gamma)) * x

    def with_mean_shift(self, x: Tensor, gamma: Tensor, keys: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x_t (kB, C, H, W), and r = alpha_t^2 x at the last time (B, C, H, W), which here are the same."""
        x_t = self.at_times(x, gamma)
        return x_t, x_t[-len(x) :]


class Trainable(_Mixing):
    """x_t = alpha_t^2 x + sigma_t^2 y(x, gamma_t) with y = tanh(U-Net) (Eq. 15)."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def y(self, x: Tensor, gamma: Tensor, keys: Tensor | None = None) -> Tensor:
        """(B, C, H, W), (kB,) -> y (kB, C, H, W) in (-1, 1)."""
        return torch.tanh(self.net(x, gamma, keys))

    def forward(self, x: Tensor, gamma: Tensor) -> Tensor:
        """x (B, C, H, W), gamma_t (B,) -> x_t (B, C, H, W)."""
        return self.at_times(x, gamma)

    def at_times(self, x: Tensor, gamma: Tensor, keys: Tensor | None = None) -> Tensor:
        """(B, C, H, W), (kB,) -> x_t (kB, C, H, W), under one dropout mask for each image."""
        return self._mix(x, self.y(x, gamma, keys), gamma)

    def with_mean_shift(self, x: Tensor, gamma: Tensor, keys: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x_t (kB, C, H, W), and r = x_t - y - dy/dgamma at the last time (B, C, H, W).

        From one pass, and under one dropout mask for each image.
        """
        raw, tangent = self.net(x, gamma, keys, tangents=len(x)).tensor_split((len(gamma),))
        y = torch.tanh(raw)
        x_t = self._mix(x, y, gamma)
        last = y[-len(x) :]
        y_dot = tangent * (1 - last.square())
        return x_t, x_t[-len(x) :] - last - y_dot

    def derivative(self, x: Tensor, gamma: Tensor) -> Tensor:
        """dx_t / dgamma (B, C, H, W) at gamma_t (B,), by the network's written-out tangent."""
        return -sigma_squared(over_pixels(gamma)) * self.with_mean_shift(x, gamma)[1]

    def output(self, x: Tensor, gamma: Tensor) -> Tensor:
        """y (B, C, H, W) in (-1, 1)."""
        return self.y(x, gamma)

    def _outputs(self, x: Tensor, gamma_s: Tensor, gamma_t: Tensor) -> tuple[Tensor, Tensor]:
        return self.y(x, torch.cat([gamma_s, gamma_t]).to(x.dtype)).double().chunk(2)

    def _mix(self, x: Tensor, y: Tensor, gamma: Tensor) -> Tensor:
        x, gamma = for_each(x, gamma), over_pixels(gamma)
        return alpha_squared(gamma) * x + sigma_squared(gamma) * y


def over_pixels(values: Tensor) -> Tensor:
    """(B,) -> (B, 1, 1, 1)."""
    return values[:, None, None, None]


def for_each(x: Tensor, gamma: Tensor) -> Tensor:
    """x for each of its times: (B, C, H, W) -> (kB, C, H, W)."""
    return torch.cat([x] * (len(gamma) // len(x)))
