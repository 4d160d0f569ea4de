"""The two U-Nets: VDM's denoiser, which keeps the resolution, and the encoder's, which pools (MATH.md)."""

import itertools
import math

import torch
from torch import Tensor, nn

from diffenc.networks.blocks import ResidualBlock, TimeEmbedding, conv3
from diffenc.networks.group_norm import GroupNorm
from diffenc.networks.layers import Attention, ConvTranspose2d, max_pool


def fourier_features(z: Tensor, levels: int) -> Tensor:
    """(B, C, H, W) -> (B, 4C, H, W): sines, then cosines, of [z_c, 2 z_c] 2 pi K / 4 for each channel c.

    The faster one has its period at the distance of two levels; K = 256 gives VDM's 2^6 and 2^7.
    """
    scale = torch.tensor([2 * math.pi * levels / 4, 2 * math.pi * levels / 2], dtype=z.dtype, device=z.device)
    angles = (z[:, :, None] * scale[:, None, None]).flatten(1, 2)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class Denoiser(nn.Module):
    """Predicts v or epsilon from z_t and gamma_t: L blocks down, L + 1 up with skips, all at full resolution.

    A state may have `more` channels behind the image's; `out` channels are predicted, by default the image's.
    """

    def __init__(
        self,
        channels: int,
        levels: int,
        layers: int,
        width: int,
        rate: float,
        gamma_min: float,
        gamma_max: float,
        more: int = 0,
        out: int | None = None,
    ) -> None:
        super().__init__()
        self.levels, self.channels, self.out = levels, channels, out or channels
        self.precision: torch.dtype | None = None  # between the first and the last convolution; None: the input's
        block = {"condition": 4 * width, "rate": rate}
        self.time_embedding = TimeEmbedding(width, gamma_min, gamma_max)
        self.conv_in = conv3(channels * 5 + more, width)  # z and the image's four Fourier features
        self.down = nn.ModuleList(ResidualBlock(width, width, **block) for _ in range(layers))
        self.mid_1 = ResidualBlock(width, width, **block)
        self.attention = Attention(width)
        self.mid_2 = ResidualBlock(width, width, **block)
        self.up = nn.ModuleList(ResidualBlock(2 * width, width, **block) for _ in range(layers + 1))
        self.norm_out = GroupNorm(width)
        self.conv_out = conv3(width, self.out)

    def forward(self, z: Tensor, gamma: Tensor, keys: Tensor | None = None) -> Tensor:
        """(B, C + more, H, W), (B,), dropout keys (B,) or None -> (B, out, H, W)."""
        condition = self.time_embedding(gamma)
        features = torch.cat([z, fourier_features(z[:, : self.channels], self.levels)], dim=1)
        skips = [self.conv_in(features).to(self.precision or z.dtype)]
        for block in self.down:
            skips.append(block(skips[-1], condition, keys))
        h = self.mid_1(skips[-1], condition, keys)
        h = self.mid_2(self.attention(h), condition, keys)
        for block in self.up:
            h = block(torch.cat([h, skips.pop()], dim=1), condition, keys)
        return z[:, : self.out] + self.conv_out(self.norm_out(h.to(z.dtype)))


class EncoderNet(nn.Module):
    """y before its tanh: widths double and the side halves from resolution to resolution, attention in the middle.

    Args:
        resolutions: how often the side is halved.
        blocks: residual blocks at each resolution.
        mid_groups: groups of the two middle blocks' norms.
        out_groups: groups of the last norm.
    """

    def __init__(
        self,
        channels: int,
        width: int,
        resolutions: int,
        blocks: int,
        mid_groups: int,
        out_groups: int,
        rate: float,
        gamma_min: float,
        gamma_max: float,
    ) -> None:
        super().__init__()
        block = {"condition": 4 * width, "rate": rate}
        widths = [width * 2**i for i in range(resolutions)]
        self.time_embedding = TimeEmbedding(width, gamma_min, gamma_max)
        self.conv_in = conv3(channels, width)
        self.down = nn.ModuleList(
            _stage(before, after, blocks, block) for before, after in itertools.pairwise([width, *widths])
        )
        self.mid_1 = ResidualBlock(widths[-1], widths[-1], groups=mid_groups, **block)
        self.attention = Attention(widths[-1])
        self.mid_2 = ResidualBlock(widths[-1], widths[-1], groups=mid_groups, **block)
        deep = [widths[-1], *reversed(widths)]
        self.up_conv = nn.ModuleList(
            ConvTranspose2d(before, after, 2, stride=2) for before, after in itertools.pairwise(deep)
        )
        self.up = nn.ModuleList(_stage(2 * after, after, blocks, block) for after in reversed(widths))
        self.norm_out = GroupNorm(width, out_groups)
        self.conv_out = conv3(width, channels)

    def forward(self, x: Tensor, gamma: Tensor, keys: Tensor | None = None, tangents: int = 0) -> Tensor:
        """(B, C, H, W), (kB,), dropout keys (B,) or None -> (kB, C, H, W).

        gamma has k times for each image, which share a dropout mask: those of the first time for all images, those
        of the second, ... With `tangents`, B or none, the derivatives by gamma at the last time come behind the
        values: (kB + B, C, H, W).
        """
        condition = self.time_embedding(gamma, tangents)
        h, skips = self.conv_in(x), []
        for stage in self.down:
            for block in stage:
                h = block(h, condition, keys, tangents)
            skips.append(h)
            h = max_pool(h, tangents)
        h = self.mid_1(h, condition, keys, tangents)
        h = self.mid_2(self.attention(h, tangents), condition, keys, tangents)
        for up_conv, stage in zip(self.up_conv, self.up, strict=True):
            skip = skips.pop()
            # an odd side was rounded up by the pooling: cut what is too much
            h = torch.cat([up_conv(h, tangents)[..., : skip.shape[2], : skip.shape[3]], skip], dim=1)
            for block in stage:
                h = block(h, condition, keys, tangents)
        return self.conv_out(self.norm_out(h, tangents), tangents)


def _stage(before: int, after: int, blocks: int, block: dict) -> nn.ModuleList:
    return nn.ModuleList(ResidualBlock(before if i == 0 else after, after, **block) for i in range(blocks))
