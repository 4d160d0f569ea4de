"""What both U-Nets are made of: residual block and time embedding; and flax's initialisation."""

import math

import torch
from torch import Tensor, nn

from diffenc.models import noise
from diffenc.networks.group_norm import GROUPS, GroupNorm
from diffenc.networks.layers import Conv2d, Linear, swish


def conv3(channels_in: int, channels_out: int) -> Conv2d:
    """A 3x3 convolution that keeps the size."""
    return Conv2d(channels_in, channels_out, 3, padding=1)


class ResidualBlock(nn.Module):
    """norm-swish-conv, plus the projected condition, norm-swish-dropout-conv, plus the input."""

    def __init__(self, channels_in: int, channels: int, condition: int, rate: float, groups: int = GROUPS) -> None:
        super().__init__()
        self.rate = rate
        self.salt = 0
        self.norm1 = GroupNorm(channels_in, groups)
        self.conv1 = conv3(channels_in, channels)
        self.cond_proj = Linear(condition, channels, bias=False)
        self.norm2 = GroupNorm(channels, groups)
        self.conv2 = conv3(channels, channels)
        self.shortcut = Conv2d(channels_in, channels, 1) if channels_in != channels else None

    def forward(self, x: Tensor, condition: Tensor, keys: Tensor | None, tangents: int = 0) -> Tensor:
        """(N, C_in, H, W), (N, 4n), dropout keys (B,) or None -> (N, C, H, W).

        N is a multiple of B: an image's mask is the same for all its values and tangents. Before x first meets the
        condition, it is (B, C_in, H, W): the same for all values, and without tangents.
        """
        known = len(x) < len(condition)
        h = self.conv1(self.norm1(x, 0 if known else tangents), 0 if known else tangents)
        if known:
            x, h = (_for_all(values, len(condition), tangents) for values in (x, h))
        h = self.norm2(h + self.cond_proj(condition, tangents).to(h.dtype)[:, :, None, None], tangents)
        if keys is not None and self.rate > 0:
            h = noise.dropout(h, noise.split(keys, self.salt), self.rate)
        h = self.conv2(h, tangents)
        return h + (x if self.shortcut is None else self.shortcut(x, tangents))


def _for_all(values: Tensor, count: int, tangents: int) -> Tensor:
    """(B, ...) -> copies for all values, and zeros for the tangents: (count, ...)."""
    copies = (count - tangents) // len(values)
    return torch.cat([values] * copies + [torch.zeros_like(values)] * (tangents // len(values)))


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
        self.dense0 = Linear(width + 1, 4 * width)
        self.dense1 = Linear(4 * width, 4 * width)

    def forward(self, gamma: Tensor, tangents: int = 0) -> Tensor:
        """(V,) -> (V + R, 4n)."""
        # up to 1000 radians: in float32 they would be off by another 4e-5, beside the 2e-5 of a float32 gamma
        t = (gamma.double() - self.gamma_min) / (self.gamma_max - self.gamma_min)
        angles = ((1000 * t)[:, None] * self.frequencies % (2 * math.pi)).to(gamma.dtype)
        sines, cosines, nothing = angles.sin(), angles.cos(), torch.zeros_like(gamma)[:, None]
        features = torch.cat([sines, cosines, nothing], dim=1)
        if tangents:
            speed = 1000 / (self.gamma_max - self.gamma_min) * self.frequencies
            rate = torch.cat([speed * cosines, -speed * sines, nothing], dim=1)
            features = torch.cat([features, rate[-tangents:]])
        return swish(self.dense1(swish(self.dense0(features, tangents), tangents), tangents), tangents)


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
