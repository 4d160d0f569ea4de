"""From a model's shape to the model: schedule, encoder and denoiser put together."""

import torch

from diffenc.data.catalog import Dataset
from diffenc.models import encoders
from diffenc.models.diffusion import Diffusion
from diffenc.models.schedules import FixedSchedule, LearnedSchedule
from diffenc.networks.blocks import GROUPS, initialise, number_blocks
from diffenc.networks.unet import Denoiser, EncoderNet
from diffenc.zoo.configs import ModelConfig, model_config, stages


def assemble(
    config: ModelConfig,
    channels: int,
    levels: int,
    spread: tuple[int, int],
    schedule: str = "fixed",
    dropout: float = 0.0,
) -> Diffusion:
    """A model of this shape with torch's own initial weights.

    Args:
        config: the shape.
        channels: of the images.
        levels: K, the number of values of a pixel.
        spread: the encoder's resolutions and blocks a resolution (`diffenc.zoo.stages`).
        schedule: "fixed" or "learned".
        dropout: the rate in both networks.

    Returns:
        The model, its convolutions channels-last in memory.
    """
    gammas = (config.gamma_min, config.gamma_max)
    denoiser = Denoiser(channels, levels, config.layers, config.width, dropout, *gammas)
    gamma = LearnedSchedule(*gammas) if schedule == "learned" else FixedSchedule(*gammas)
    model = Diffusion(gamma, _encoder(config, channels, spread, dropout), denoiser, levels, config.prediction)
    number_blocks(model)
    # convolutions are fastest where channels lie side by side; activations follow the weights
    return model.to(memory_format=torch.channels_last)


def _encoder(
    config: ModelConfig, channels: int, spread: tuple[int, int], dropout: float
) -> encoders.Identity | encoders.NonTrainable | encoders.Trainable:
    if config.encoder == "identity":
        return encoders.Identity()
    if config.encoder == "non_trainable":
        return encoders.NonTrainable()
    resolutions, blocks = spread
    net = EncoderNet(
        channels,
        config.encoder_width,
        resolutions,
        blocks,
        mid_groups=config.encoder_groups if config.encoder == "unet" else GROUPS,
        out_groups=config.encoder_groups,
        rate=dropout,
        gamma_min=config.gamma_min,
        gamma_max=config.gamma_max,
    )
    return encoders.Trainable(net)


def build(name: str, facts: Dataset, schedule: str, dropout: float = 0.0, seed: int = 0) -> Diffusion:
    """Model `name` for a data set, with flax's initial weights from `seed`, on the CPU."""
    config = model_config(name, facts)
    spread = stages(config.encoder, config.blocks, facts.side)
    model = assemble(config, facts.channels, facts.levels, spread, schedule, dropout)
    initialise(model, torch.Generator().manual_seed(seed))
    return model


def parameters(model: torch.nn.Module) -> int:
    """How many parameters a model has."""
    return sum(p.numel() for p in model.parameters())
