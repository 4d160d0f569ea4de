"""The layers of both networks: they compute in their input's precision, and can carry derivatives by gamma along.

Weights stay float32; bfloat16 are activations and products alone. With R `tangents`, a batch (V + R, ...) has V
values and then the derivatives by gamma of the last R of them: forward-mode differentiation, written out. So a linear
layer is one call for both, there are no products with the weights' tangents, which are zero, and everything compiles.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffenc.networks.group_norm import GroupNorm


def _of_values(bias: Tensor, batch: int, tangents: int) -> Tensor:
    """A bias (C,) for the values in a batch of values and tangents: (V + R, C)."""
    value = torch.arange(batch, device=bias.device) < batch - tangents
    return torch.outer(value.to(bias.dtype), bias)


def _apart(h: Tensor, tangents: int) -> tuple[Tensor, Tensor, Tensor]:
    """Values that do not move, those that do, and the tangents of these."""
    return h.tensor_split((len(h) - 2 * tangents, len(h) - tangents))


class Linear(nn.Linear):
    """A dense layer."""

    def forward(self, h: Tensor, tangents: int = 0) -> Tensor:
        """(B, C_in) -> (B, C_out)."""
        weight, bias = self.weight.to(h.dtype), None if self.bias is None else self.bias.to(h.dtype)
        if bias is None or not tangents:
            return F.linear(h, weight, bias)
        return F.linear(h, weight) + _of_values(bias, len(h), tangents)


class Conv2d(nn.Conv2d):
    """A convolution."""

    def forward(self, h: Tensor, tangents: int = 0) -> Tensor:
        """(B, C_in, H, W) -> (B, C_out, H, W)."""
        weight, bias = self.weight.to(h.dtype), self.bias.to(h.dtype)
        if not tangents:
            return F.conv2d(h, weight, bias, self.stride, self.padding)
        return (
            F.conv2d(h, weight, None, self.stride, self.padding) + _of_values(bias, len(h), tangents)[..., None, None]
        )


class ConvTranspose2d(nn.ConvTranspose2d):
    """A transposed convolution."""

    def forward(self, h: Tensor, tangents: int = 0) -> Tensor:
        """(B, C_in, H, W) -> (B, C_out, H stride, W stride)."""
        weight, bias = self.weight.to(h.dtype), self.bias.to(h.dtype)
        if not tangents:
            return F.conv_transpose2d(h, weight, bias, self.stride)
        return F.conv_transpose2d(h, weight, None, self.stride) + _of_values(bias, len(h), tangents)[..., None, None]


def swish(h: Tensor, tangents: int = 0) -> Tensor:
    """h sigmoid(h), like h."""
    if not tangents:
        return F.silu(h)
    still, moving, rate = _apart(h, tangents)
    s = torch.sigmoid(moving)
    return torch.cat([F.silu(still), moving * s, rate * s * (1 + moving * (1 - s))])


def max_pool(h: Tensor, tangents: int = 0) -> Tensor:
    """(B, C, H, W) -> (B, C, H / 2, W / 2), sides rounded up; each rate goes with the value that is the largest."""
    if not tangents:
        return F.max_pool2d(h, 2, ceil_mode=True)
    values, rate = h[:-tangents], h[-tangents:]
    pooled, which = F.max_pool2d(values, 2, ceil_mode=True, return_indices=True)
    return torch.cat([pooled, rate.flatten(2).gather(2, which[-tangents:].flatten(2)).view_as(pooled[-tangents:])])


class Attention(nn.Module):
    """One head over all positions, with a residual connection."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = GroupNorm(channels, activated=False)
        self.q, self.k, self.v, self.proj_out = (Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x: Tensor, tangents: int = 0) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        h = self.norm(x, tangents)
        q, k, v = (project(h, tangents).flatten(2).transpose(1, 2) for project in (self.q, self.k, self.v))
        attended = _attend_with_tangents(q, k, v, tangents) if tangents else _attend(q, k, v)
        return x + self.proj_out(attended.transpose(1, 2).unflatten(2, x.shape[2:]), tangents)


def _attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(C)) v; all (B, positions, C)."""
    return F.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])[:, 0]


def _attend_with_tangents(q: Tensor, k: Tensor, v: Tensor, tangents: int) -> Tensor:
    """The same and its derivative; all (V + R, positions, C)."""
    (q, q_rate), (k, k_rate), (v, v_rate) = ((h[:-tangents], h[-tangents:]) for h in (q, k, v))
    k, k_rate = k.mT / math.sqrt(q.shape[2]), k_rate.mT / math.sqrt(q.shape[2])
    weights = torch.softmax(q @ k, dim=-1)
    moving = weights[-tangents:]
    moved = moving * (q_rate @ k[-tangents:] + q[-tangents:] @ k_rate)
    weights_rate = moved - moving * moved.sum(-1, keepdim=True)
    return torch.cat([weights @ v, weights_rate @ v[-tangents:] + moving @ v_rate])
