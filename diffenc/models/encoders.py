"""The encoders x -> x_t and how fast they move: DiffEnc's time-dependent means (MATH.md's table).

Each also gives r = -(dx_t / dgamma) / sigma_t^2, the x_hat with which the generative model's counterterm would
cancel the encoder's motion exactly; the loss pays for c = x_hat - r.

They take k times gamma (kB,) for the images x (B, C, H, W): the first time for all images, then the second, ...
"""

import torch
from torch import Tensor, nn

from diffenc.models.schedules import alpha_squared, sigma_squared


def _over_pixels(gamma: Tensor) -> Tensor:
    return gamma[:, None, None, None]


def _for_each(x: Tensor, gamma: Tensor) -> Tensor:
    """x for each of its times: (B, C, H, W) -> (kB, C, H, W)."""
    return torch.cat([x] * (len(gamma) // len(x)))


class Identity(nn.Module):
    """x_t = x: VDM. There is no motion and no counterterm."""

    def forward(self, x: Tensor, gamma: Tensor, keys: Tensor | None = None) -> Tensor:
        """(B, C, H, W), (kB,) -> x_t (kB, C, H, W)."""
        return _for_each(x, gamma)

    def with_motion(self, x: Tensor, gamma: Tensor, keys: Tensor | None = None) -> tuple[Tensor, None]:
        """x_t, and None in place of r."""
        return self(x, gamma), None


class NonTrainable(nn.Module):
    """x_t = alpha_t^2 x."""

    def forward(self, x: Tensor, gamma: Tensor, keys: Tensor | None = None) -> Tensor:
        """(B, C, H, W), (kB,) -> x_t (kB, C, H, W)."""
        return alpha_squared(_over_pixels(gamma)) * _for_each(x, gamma)

    def with_motion(self, x: Tensor, gamma: Tensor, keys: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x_t (kB, C, H, W), and r = alpha_t^2 x at the last time (B, C, H, W), which here are the same."""
        x_t = self(x, gamma)
        return x_t, x_t[-len(x) :]


class Trainable(nn.Module):
    """x_t = alpha_t^2 x + sigma_t^2 y(x, gamma_t) with y = tanh(U-Net)."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def y(self, x: Tensor, gamma: Tensor, keys: Tensor | None = None) -> Tensor:
        """(B, C, H, W), (kB,) -> y (kB, C, H, W) in (-1, 1)."""
        return torch.tanh(self.net(x, gamma, keys))

    def forward(self, x: Tensor, gamma: Tensor, keys: Tensor | None = None) -> Tensor:
        """(B, C, H, W), (kB,) -> x_t (kB, C, H, W)."""
        return self._mix(x, self.y(x, gamma, keys), gamma)

    def with_motion(self, x: Tensor, gamma: Tensor, keys: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x_t (kB, C, H, W), and r = x_t - y - dy/dgamma at the last time (B, C, H, W).

        From one pass, and under one dropout mask for each image.
        """
        raw, raw_rate = self.net(x, gamma, keys, rates=len(x)).tensor_split((len(gamma),))
        y = torch.tanh(raw)
        x_t = self._mix(x, y, gamma)
        moving = y[-len(x) :]
        y_dot = raw_rate * (1 - moving.square())
        return x_t, x_t[-len(x) :] - moving - y_dot

    def _mix(self, x: Tensor, y: Tensor, gamma: Tensor) -> Tensor:
        x, gamma = _for_each(x, gamma), _over_pixels(gamma)
        return alpha_squared(gamma) * x + sigma_squared(gamma) * y
