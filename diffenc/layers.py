"""The layers of both networks: they compute in their input's precision, and can carry derivatives by gamma along.

Weights stay float32; bfloat16 are activations and products alone. With `rates`, a batch (2B, ...) has B values and
then their B derivatives by gamma, the encoder's motion: forward-mode differentiation, written out. So a linear layer
is one call for both, there are no products with the weights' tangents, which are zero, and everything compiles.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GROUPS = 32


def _of_values(bias: Tensor, batch: int) -> Tensor:
    """A bias (C,) for the values in a batch of values and rates: (2B, C)."""
    first = torch.arange(batch, device=bias.device) < batch // 2
    return torch.outer(first.to(bias.dtype), bias)


class Linear(nn.Linear):
    """A dense layer."""

    def forward(self, h: Tensor, rates: bool = False) -> Tensor:
        """(B, C_in) -> (B, C_out)."""
        weight, bias = self.weight.to(h.dtype), None if self.bias is None else self.bias.to(h.dtype)
        if bias is None or not rates:
            return F.linear(h, weight, bias)
        return F.linear(h, weight) + _of_values(bias, len(h))


class Conv2d(nn.Conv2d):
    """A convolution."""

    def forward(self, h: Tensor, rates: bool = False) -> Tensor:
        """(B, C_in, H, W) -> (B, C_out, H, W)."""
        weight, bias = self.weight.to(h.dtype), self.bias.to(h.dtype)
        if not rates:
            return F.conv2d(h, weight, bias, self.stride, self.padding)
        return F.conv2d(h, weight, None, self.stride, self.padding) + _of_values(bias, len(h))[:, :, None, None]


class ConvTranspose2d(nn.ConvTranspose2d):
    """A transposed convolution."""

    def forward(self, h: Tensor, rates: bool = False) -> Tensor:
        """(B, C_in, H, W) -> (B, C_out, H stride, W stride)."""
        weight, bias = self.weight.to(h.dtype), self.bias.to(h.dtype)
        if not rates:
            return F.conv_transpose2d(h, weight, bias, self.stride)
        return F.conv_transpose2d(h, weight, None, self.stride) + _of_values(bias, len(h))[:, :, None, None]


def swish(h: Tensor, rates: bool = False) -> Tensor:
    """h sigmoid(h), like h."""
    return _swish_with_rates(*h.chunk(2)) if rates else F.silu(h)


def _swish_with_rates(value: Tensor, rate: Tensor) -> Tensor:
    s = torch.sigmoid(value)
    activated = value * s
    # the derivative, s + value s (1 - s)
    return torch.cat([activated, rate * (s + torch.addcmul(activated, activated, s, value=-1))])


def max_pool(h: Tensor, rates: bool = False) -> Tensor:
    """(B, C, H, W) -> (B, C, H / 2, W / 2), sides rounded up; each rate goes with the value that is the largest."""
    if not rates:
        return F.max_pool2d(h, 2, ceil_mode=True)
    value, rate = h.chunk(2)
    pooled, which = F.max_pool2d(value, 2, ceil_mode=True, return_indices=True)
    return torch.cat([pooled, rate.flatten(2).gather(2, which.flatten(2)).view_as(pooled)])


def _over_pixels(values: Tensor) -> Tensor:
    return values[..., None, None]


class GroupNorm(nn.GroupNorm):
    """With flax's epsilon, statistics in float32 or better, and swish behind it if `activated`."""

    def __init__(self, channels: int, groups: int = GROUPS, activated: bool = True) -> None:
        super().__init__(groups, channels, eps=1e-6)
        self.activated = activated

    def forward(self, h: Tensor, rates: bool = False) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        wide = h.to(torch.promote_types(h.dtype, torch.float32))
        if rates:
            return self._with_rates(wide).to(h.dtype)
        if torch.compiler.is_compiling():
            # torch's own stays a kernel by itself there, and has had wrong gradients in bfloat16
            centre, scale = self._statistics(wide)
            normed = torch.addcmul(_over_pixels(self.bias), wide - centre, scale * _over_pixels(self.weight))
        else:
            normed = F.group_norm(wide, self.num_groups, self.weight, self.bias, self.eps)
        return (F.silu(normed) if self.activated else normed).to(h.dtype)

    def _with_rates(self, h: Tensor) -> Tensor:
        away = (h - self._mean(h)).unflatten(0, (2, -1))
        value, rate = away
        variance, covariance = self._mean((away * value).flatten(0, 1)).chunk(2)
        scale = torch.rsqrt(variance + self.eps)
        slope = scale * _over_pixels(self.weight)
        normed = torch.addcmul(_over_pixels(self.bias), value, slope)
        # the scale moves, too: by -scale^3 covariance
        moved = torch.addcmul(rate * slope, value, slope * scale.square() * covariance, value=-1)
        return _swish_with_rates(normed, moved) if self.activated else torch.cat([normed, moved])

    def _statistics(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and 1 / standard deviation of the group that a channel is in: (B, C, 1, 1) each.

        Over pixels first, then over the group's channels: channels lie side by side in memory.
        """
        variance, mean = (self._grouped(values) for values in torch.var_mean(h, dim=(2, 3), correction=0))
        centre = mean.mean(2, keepdim=True)
        spread = variance.mean(2, keepdim=True) + (mean - centre).square().mean(2, keepdim=True)
        return self._of_channels(centre), self._of_channels(torch.rsqrt(spread + self.eps))

    def _mean(self, h: Tensor) -> Tensor:
        """The mean over the group that a channel is in: (B, C, 1, 1)."""
        return self._of_channels(self._grouped(h.mean(dim=(2, 3))).mean(2, keepdim=True))

    def _grouped(self, values: Tensor) -> Tensor:
        return values.unflatten(1, (self.num_groups, -1))

    def _of_channels(self, of_groups: Tensor) -> Tensor:
        """(B, G, 1) -> (B, C, 1, 1)."""
        return _over_pixels(of_groups.expand(-1, -1, self.num_channels // self.num_groups).flatten(1))


class Attention(nn.Module):
    """One head over all positions, with a residual connection."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = GroupNorm(channels, activated=False)
        self.q, self.k, self.v, self.proj_out = (Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x: Tensor, rates: bool = False) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        h = self.norm(x, rates)
        q, k, v = (project(h, rates).flatten(2).transpose(1, 2) for project in (self.q, self.k, self.v))
        attend = _attend_with_rates if rates else _attend
        attended = attend(q, k, v).transpose(1, 2).unflatten(2, x.shape[2:])
        return x + self.proj_out(attended, rates)


def _attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(C)) v; all (B, positions, C)."""
    return F.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])[:, 0]


def _attend_with_rates(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The same and its derivative; all (2B, positions, C)."""
    (q, q_rate), (k, k_rate), (v, v_rate) = q.chunk(2), k.chunk(2), v.chunk(2)
    k, k_rate = k.mT / math.sqrt(q.shape[2]), k_rate.mT / math.sqrt(q.shape[2])
    weights = torch.softmax(q @ k, dim=-1)
    moved = weights * (q_rate @ k + q @ k_rate)
    weights_rate = moved - weights * moved.sum(-1, keepdim=True)
    return torch.cat([weights @ v, weights_rate @ v + weights @ v_rate])
