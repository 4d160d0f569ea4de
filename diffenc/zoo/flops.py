"""Floating-point operations and parameters of a model, by formula from its shape: only an encoder from outside needs
torch.

Operations are those of convolutions, dense layers and attention's products, a multiplication and an addition as two;
not norms, activations and sums, which are less than a hundredth.
"""

import itertools
from typing import NamedTuple

from diffenc.data.catalog import DatasetSpec
from diffenc.zoo.configs import DEQUANTISED, SCHEDULES, ModelConfig, stages

# a backward pass costs two forward passes: the derivatives by a layer's input and by its weights
_WITH_BACKWARD = 3
# the encoder's passes in a bound: at t its value and its derivative by gamma, which costs as much again,
# and at t = 0 and t = 1 its value
_ENCODER_PASSES = 2 + 1 + 1
_MONOTONE = 1 + 3 * 1024
SCHEDULE_PARAMETERS = {
    **{"fixed": 0, "learned": 2, "monotone": _MONOTONE, "monotone_learned": _MONOTONE + 2},
    "monotone_vdm": _MONOTONE + 1,
}


class Count(NamedTuple):
    """Of a layer or of several: floating-point operations an image in a forward pass, and parameters."""

    flop: int
    parameters: int

    def __add__(self, other: "Count") -> "Count":
        """Of both."""
        return Count(self.flop + other.flop, self.parameters + other.parameters)

    def __mul__(self, times: int) -> "Count":
        """Of so many alike."""
        return Count(times * self.flop, times * self.parameters)


class Flops(NamedTuple):
    """Floating-point operations an image of one forward pass of each network.

    The encoder's are 0 if it has no weights; those of its `stem`, the two convolutions before it meets gamma, are
    among them. The bound takes so many `passes` of the denoiser.
    """

    denoiser: int
    encoder: int
    stem: int
    passes: int = 1

    @property
    def forward(self) -> int:
        """One pass of both."""
        return self.denoiser + self.encoder

    @property
    def bound(self) -> int:
        """The negative ELBO of an image: the denoiser's passes and 4 of the encoder, but one of their stem."""
        return self.passes * self.denoiser + _ENCODER_PASSES * (self.encoder - self.stem) + self.stem

    @property
    def training(self) -> int:
        """A training step, an image: the bound and its backward pass."""
        return _WITH_BACKWARD * self.bound


def flops(config: ModelConfig, spec: DatasetSpec) -> Flops:
    """Floating-point operations of a model of this shape on images of that data set."""
    denoiser = _denoiser(config, spec).flop
    if config.encoder in ("identity", "non_trainable"):
        # on logits it has an offset at t = 0
        return Flops(denoiser, 0, 0, passes=2 if config.kind == DEQUANTISED else 1)
    if not config.has_formula:
        return Flops(denoiser, _counted(config, spec).flop, 0)
    width = config.encoder_width
    stem = _conv(spec.channels, width, spec.side) + _conv(width, width, spec.side)
    return Flops(denoiser, _encoder(config, spec).flop, stem.flop)


def parameters(config: ModelConfig, spec: DatasetSpec, schedule: str) -> int:
    """Parameters of a model of this shape; a learned schedule's w and b are among them."""
    found = _denoiser(config, spec).parameters + _of_process(config)
    if not config.has_formula:
        found += _counted(config, spec).parameters
    elif config.encoder not in ("identity", "non_trainable"):
        found += _encoder(config, spec).parameters
    return found + (SCHEDULE_PARAMETERS[schedule] if schedule in SCHEDULES else _of_schedule(schedule))


def _of_schedule(name: str) -> int:
    from diffenc.zoo.build import schedule_of

    return sum(parameter.numel() for parameter in schedule_of(name)(-13.3, 5.0).parameters())


def _counted(config: ModelConfig, spec: DatasetSpec) -> Count:
    """An encoder from outside, as PyTorch counts it, without arithmetic."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from diffenc.zoo.build import assemble

    with torch.device("meta"):
        encoder = assemble(config, spec.channels, spec.levels, spec.side).encoder
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            encoder(torch.zeros(1, *spec.shape), torch.zeros(1))
    return Count(counter.get_total_flops(), sum(parameter.numel() for parameter in encoder.parameters()))


def _of_process(config: ModelConfig) -> int:
    """q and d of a learned process."""
    sizes = {"learned": (2, 1), "learned_full": (2, 2)}.get(config.process, ())
    return sum(config.variables**power for power in sizes)


def _denoiser(config: ModelConfig, spec: DatasetSpec) -> Count:
    """`diffenc.networks.unet.Denoiser`: L blocks down, the middle, L + 1 blocks up with skips."""
    layers, width, side = config.layers, config.width, spec.side
    return (
        _embedding(width)
        + _conv((5 + config.more_channels) * spec.channels, width, side)
        + _block(width, width, 4 * width, side) * (layers + 2)
        + _attention(width, side)
        + _block(2 * width, width, 4 * width, side) * (layers + 1)
        + _norm(width)
        + _conv(width, config.outputs * spec.channels, side)
    )


def _encoder(config: ModelConfig, spec: DatasetSpec) -> Count:
    """`diffenc.networks.unet.EncoderNet`: widths double and sides halve, rounded up, by resolution."""
    width, (resolutions, blocks) = config.encoder_width, stages(config.encoder, config.blocks, spec.side)
    widths = [width * 2**i for i in range(resolutions)]
    sides = [-(-spec.side // 2**i) for i in range(resolutions + 1)]
    condition, deepest = 4 * width, sides[-1]
    found = _embedding(width) + _conv(spec.channels, width, spec.side)
    for (before, after), side in zip(itertools.pairwise([width, *widths]), sides, strict=False):
        found += _stage(before, after, blocks, condition, side)
    found += _block(widths[-1], widths[-1], condition, deepest) * 2 + _attention(widths[-1], deepest)
    for before, after, below, side in zip([*widths[1:], widths[-1]], widths, sides[1:], sides, strict=False):
        found += _up_conv(before, after, below) + _stage(2 * after, after, blocks, condition, side)
    return found + _norm(width) + _conv(width, spec.channels, spec.side)


def _stage(before: int, after: int, blocks: int, condition: int, side: int) -> Count:
    return _block(before, after, condition, side) + _block(after, after, condition, side) * (blocks - 1)


def _block(before: int, after: int, condition: int, side: int) -> Count:
    found = _norm(before) + _conv(before, after, side) + _dense(condition, after, bias=False)
    found += _norm(after) + _conv(after, after, side)
    return found + _conv(before, after, side, kernel=1) if before != after else found


def _attention(width: int, side: int) -> Count:
    """Queries, keys, values and the projection; the weights of each pair of positions, and the sums over them."""
    return _norm(width) + _conv(width, width, side, kernel=1) * 4 + Count(2 * 2 * side**4 * width, 0)


def _embedding(width: int) -> Count:
    return _dense(width + 1, 4 * width) + _dense(4 * width, 4 * width)


def _conv(before: int, after: int, side: int, kernel: int = 3) -> Count:
    weights = kernel**2 * before * after
    return Count(2 * weights * side**2, weights + after)


def _up_conv(before: int, after: int, side_below: int) -> Count:
    """2 x 2, transposed, with stride 2: each position below makes four."""
    weights = 4 * before * after
    return Count(2 * weights * side_below**2, weights + after)


def _dense(before: int, after: int, bias: bool = True) -> Count:
    return Count(2 * before * after, before * after + after * bias)


def _norm(width: int) -> Count:
    return Count(0, 2 * width)
