"""Floating-point operations of a model, by formula from its shape.

Counted are convolutions, dense layers and attention's products, a multiplication and an addition as two; not norms,
activations and sums, which are less than a hundredth.
"""

import itertools
from typing import NamedTuple

from diffenc.catalog import Dataset
from diffenc.unet import stages
from diffenc.zoo import ModelConfig

# a backward pass costs two forward passes: the derivatives by a layer's input and by its weights
_WITH_BACKWARD = 3
# the encoder's passes in a bound: at t its value and its derivative by gamma, which costs as much again,
# and at t = 0 and t = 1 its value
_ENCODER_PASSES = 2 + 1 + 1


class Flops(NamedTuple):
    """Floating-point operations an image of one forward pass of each network.

    The encoder's are 0 if it has no weights; those of its `stem`, the two convolutions before it meets gamma, are
    among them.
    """

    denoiser: int
    encoder: int
    stem: int

    @property
    def forward(self) -> int:
        """One pass of both."""
        return self.denoiser + self.encoder

    @property
    def bound(self) -> int:
        """The negative ELBO of an image: a denoiser pass and 4 encoder passes, but one of their stem."""
        return self.denoiser + _ENCODER_PASSES * (self.encoder - self.stem) + self.stem

    @property
    def training(self) -> int:
        """A training step, an image: the bound and its backward pass."""
        return _WITH_BACKWARD * self.bound


def flops(config: ModelConfig, facts: Dataset) -> Flops:
    """Floating-point operations of a model of this shape on images of that data set."""
    denoiser = _denoiser(facts.channels, config.layers, config.width, facts.side)
    if config.encoder in ("identity", "non_trainable"):
        return Flops(denoiser, 0, 0)
    resolutions, blocks = stages(config.encoder, config.blocks, facts.side)
    width = config.encoder_width
    stem = _conv(facts.channels, width, facts.side) + _conv(width, width, facts.side)
    return Flops(denoiser, _encoder(facts.channels, width, resolutions, blocks, facts.side), stem)


def _denoiser(channels: int, layers: int, width: int, side: int) -> int:
    """`diffenc.unet.Denoiser`: L blocks down, the middle, L + 1 blocks up with skips."""
    return (
        _embedding(width)
        + _conv(5 * channels, width, side)
        + (layers + 2) * _block(width, width, 4 * width, side)
        + _attention(width, side)
        + (layers + 1) * _block(2 * width, width, 4 * width, side)
        + _conv(width, channels, side)
    )


def _encoder(channels: int, width: int, resolutions: int, blocks: int, side: int) -> int:
    """`diffenc.unet.EncoderNet`: widths double and sides halve, rounded up, from resolution to resolution."""
    widths = [width * 2**i for i in range(resolutions)]
    sides = [-(-side // 2**i) for i in range(resolutions + 1)]
    condition, deepest = 4 * width, sides[-1]
    down = sum(
        _stage(before, after, blocks, condition, s)
        for (before, after), s in zip(itertools.pairwise([width, *widths]), sides, strict=False)
    )
    up = sum(
        _up_conv(before, after, below) + _stage(2 * after, after, blocks, condition, s)
        for before, after, below, s in zip([*widths[1:], widths[-1]], widths, sides[1:], sides, strict=False)
    )
    middle = 2 * _block(widths[-1], widths[-1], condition, deepest) + _attention(widths[-1], deepest)
    return _embedding(width) + _conv(channels, width, side) + down + middle + up + _conv(width, channels, side)


def _stage(before: int, after: int, blocks: int, condition: int, side: int) -> int:
    return _block(before, after, condition, side) + (blocks - 1) * _block(after, after, condition, side)


def _block(before: int, after: int, condition: int, side: int) -> int:
    shortcut = _conv(before, after, side, kernel=1) if before != after else 0
    return _conv(before, after, side) + _dense(condition, after) + _conv(after, after, side) + shortcut


def _attention(width: int, side: int) -> int:
    """Queries, keys, values and the projection; the weights of each pair of positions, and the sums over them."""
    return 4 * _conv(width, width, side, kernel=1) + 2 * 2 * side**4 * width


def _embedding(width: int) -> int:
    return _dense(width + 1, 4 * width) + _dense(4 * width, 4 * width)


def _conv(before: int, after: int, side: int, kernel: int = 3) -> int:
    return 2 * kernel**2 * before * after * side**2


def _up_conv(before: int, after: int, side_below: int) -> int:
    """2 x 2, transposed, with stride 2: each position below makes four."""
    return 2 * 4 * before * after * side_below**2


def _dense(before: int, after: int) -> int:
    return 2 * before * after
