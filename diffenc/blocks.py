"""What both U-Nets are made of: residual block, attention, time embedding, and flax's initialisation."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffenc import noise

GROUPS = 32


class GroupNorm(nn.GroupNorm):
    """With flax's epsilon; on a contiguous tensor, as its forward-mode derivative demands."""

    def __init__(self, channels: int, groups: int = GROUPS) -> None:
        super().__init__(groups, channels, eps=1e-6)

    def forward(self, h: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return super().forward(h.contiguous())


def conv3(channels_in: int, channels_out: int) -> nn.Conv2d:
    """A 3x3 convolution that keeps the size."""
    return nn.Conv2d(channels_in, channels_out, 3, padding=1)


class ResidualBlock(nn.Module):
    """norm-swish-conv, plus the projected condition, norm-swish-dropout-conv, plus the input."""

    def __init__(self, channels_in: int, channels: int, condition: int, rate: float, groups: int = GROUPS) -> None:
        super().__init__()
        self.rate = rate
        self.salt = 0
        self.norm1 = GroupNorm(channels_in, groups)
        self.conv1 = conv3(channels_in, channels)
        self.cond_proj = nn.Linear(condition, channels, bias=False)
        self.norm2 = GroupNorm(channels, groups)
        self.conv2 = conv3(channels, channels)
        self.shortcut = nn.Conv2d(channels_in, channels, 1) if channels_in != channels else nn.Identity()

    def forward(self, x: Tensor, condition: Tensor, keys: Tensor | None) -> Tensor:
        """(B, C_in, H, W), (B, 4n), dropout keys (B,) or None -> (B, C, H, W)."""
        h = self.conv1(F.silu(self.norm1(x)))
        h = F.silu(self.norm2(h + self.cond_proj(condition)[:, :, None, None]))
        if keys is not None and self.rate > 0:
            h = noise.dropout(h, noise.split(keys, self.salt), self.rate)
        return self.shortcut(x) + self.conv2(h)


class Attention(nn.Module):
    """One head over all positions, with a residual connection; written out, for its forward-mode derivative."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = GroupNorm(channels)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        h = self.norm(x)
        q, k, v = (project(h).flatten(2) for project in (self.q, self.k, self.v))
        weights = torch.softmax(q.transpose(1, 2) @ k / math.sqrt(x.shape[1]), dim=-1)
        return x + self.proj_out((v @ weights.transpose(1, 2)).reshape(x.shape))


class TimeEmbedding(nn.Module):
    """gamma -> condition: sinusoids of 1000 (gamma - gamma_min) / (gamma_max - gamma_min), then two dense layers.

    The range is the configured one, also where the schedule's end points are learned. The input has a further
    zero, where a class-conditional model would have its class.
    """

    def __init__(self, width: int, gamma_min: float, gamma_max: float) -> None:
        super().__init__()
        self.gamma_min, self.gamma_max = gamma_min, gamma_max
        half = width // 2
        frequencies = torch.exp(torch.arange(half) * -(math.log(10000) / (half - 1)))
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.dense0 = nn.Linear(width + 1, 4 * width)
        self.dense1 = nn.Linear(4 * width, 4 * width)

    def forward(self, gamma: Tensor) -> Tensor:
        """(B,) -> (B, 4n)."""
        t = (gamma - self.gamma_min) / (self.gamma_max - self.gamma_min)
        angles = (1000 * t)[:, None] * self.frequencies
        features = torch.cat([angles.sin(), angles.cos(), torch.zeros_like(t)[:, None]], dim=1)
        return F.silu(self.dense1(F.silu(self.dense0(features))))


def number_blocks(net: nn.Module) -> None:
    """Give each residual block its own dropout noise."""
    for salt, block in enumerate(m for m in net.modules() if isinstance(m, ResidualBlock)):
        block.salt = salt


@torch.no_grad()
def initialise(net: nn.Module, generator: torch.Generator) -> None:
    """flax's defaults: kernels from a truncated normal of variance 1 / fan_in, biases zero; some kernels zero."""
    for name, module in net.named_modules():
        if not isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            continue
        if module.bias is not None:
            module.bias.zero_()
        if name.rsplit(".", 1)[-1] in ("cond_proj", "conv2", "proj_out", "conv_out"):
            module.weight.zero_()
            continue
        fan_in = module.weight[0].numel() if not isinstance(module, nn.ConvTranspose2d) else 4 * module.in_channels
        # 0.8796: the standard deviation of a unit normal cut off at two
        std = math.sqrt(1 / fan_in) / 0.87962566103423978
        nn.init.trunc_normal_(module.weight, std=std, a=-2 * std, b=2 * std, generator=generator)
