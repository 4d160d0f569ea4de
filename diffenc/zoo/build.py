"""From a model's shape to the model: schedule, encoder and denoiser put together."""

import torch

from diffenc.data.catalog import DatasetSpec
from diffenc.io.errors import UserError
from diffenc.models import encoders
from diffenc.models.diffusion import Diffusion
from diffenc.models.logits import Dequantised
from diffenc.models.mdm import LinearProcess
from diffenc.models.model import Model
from diffenc.models.multivariate import Multivariate
from diffenc.models.processes import Fixed, Learned, Process
from diffenc.models.schedules import Schedule
from diffenc.networks.blocks import GROUPS, initialise, number_blocks
from diffenc.networks.unet import Denoiser, EncoderNet
from diffenc.zoo import plugins
from diffenc.zoo.configs import ENCODERS, LOGITS, SCHEDULES, UNETS, ModelConfig, model_config, stages


def assemble(
    config: ModelConfig,
    channels: int,
    levels: int,
    side: int,
    schedule: str = "fixed",
    dropout: float = 0.0,
    spread: tuple[int, int] | None = None,
) -> Model:
    """A model of this shape with torch's own initial weights.

    Args:
        config: the shape.
        channels: of the images.
        levels: K, the number of values of a pixel.
        side: of the images; only the encoder knows it.
        schedule: one of `diffenc.zoo.configs.SCHEDULES`, an installed one, or "module:Class".
        dropout: the rate in both networks.
        spread: the encoder U-Net's resolutions and blocks a resolution, where they are not those of the side.

    Returns:
        The model, its convolutions channels-last in memory.

    Raises:
        UserError: an encoder or a schedule from outside cannot be had.
    """
    gammas = (config.gamma_min, config.gamma_max)
    sizes = {"more": config.more_channels * channels, "out": config.outputs * channels}
    denoiser = Denoiser(channels, levels, config.layers, config.width, dropout, *gammas, **sizes)
    if config.process:
        kind = Dequantised if config.bound == LOGITS else Multivariate
        given = (schedule_of(schedule)(*gammas), _process(config), denoiser, levels)
        model: Model = kind(*given, config.prediction, config.time == "matched")
    else:
        spread = spread or stages(config.encoder, config.blocks, side)
        encoder = _encoder(config, (channels, side, side), spread, dropout)
        model = Diffusion(schedule_of(schedule)(*gammas), encoder, denoiser, levels, config.prediction)
    number_blocks(model)
    # convolutions are fastest where channels lie side by side; activations follow the weights
    return model.to(memory_format=torch.channels_last)


def schedule_of(name: str) -> type[Schedule]:
    """The class of that name, ours or an installed one. Raises UserError if there is none."""
    found = plugins.load(SCHEDULES.get(name, name), plugins.SCHEDULES, SCHEDULES)
    if not issubclass(found, Schedule):
        raise UserError(f"{name}: is not a schedule; derive it from diffenc.models.schedules.Schedule")
    return found


def _process(config: ModelConfig) -> Process:
    """Raises UserError where the schedule's ends are out of a fixed process's reach."""
    learned = config.process.startswith("learned")
    if learned:
        full = config.process == "learned_full"
        return Learned(config.variables, full, config.stationary, config.init)
    process = LinearProcess.named(config.process, config.variables, config.stationary, config.init)
    low, high = process.reach()
    if config.time == "matched" and not low < config.gamma_min < config.gamma_max < high:
        raise UserError(
            f"gamma_min, gamma_max: {config.process} has noise levels from {low:.4g} to {high:.4g}, not"
            f" {config.gamma_min:g} to {config.gamma_max:g}; change them in `models`"
        )
    return Fixed(process)


def _encoder(
    config: ModelConfig, images: tuple[int, int, int], spread: tuple[int, int], dropout: float
) -> encoders.Encoder:
    if config.encoder == "identity":
        return encoders.Identity()
    if config.encoder == "non_trainable":
        return encoders.NonTrainable()
    if config.encoder in UNETS:
        return encoders.Trainable(_encoder_net(config, images[0], spread, dropout))
    kind = plugins.load(config.encoder, plugins.ENCODERS, ENCODERS)
    if not issubclass(kind, encoders.Encoder):
        raise UserError(f"{config.encoder}: is not an encoder; derive it from diffenc.models.encoders.Encoder")
    try:
        return kind(**config.options)
    except TypeError as error:
        raise UserError(f"{config.encoder}: does not take options {config.options} ({error}); change models' options")


def _encoder_net(config: ModelConfig, channels: int, spread: tuple[int, int], dropout: float) -> EncoderNet:
    resolutions, blocks = spread
    return EncoderNet(
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


def build(name: str, spec: DatasetSpec, schedule: str, dropout: float = 0.0, seed: int = 0) -> Model:
    """The zoo's model `name` for a data set, as `create` makes it."""
    return create(model_config(name, spec), spec, schedule, dropout, seed)


def create(config: ModelConfig, spec: DatasetSpec, schedule: str, dropout: float = 0.0, seed: int = 0) -> Model:
    """A model of that shape for a data set, with flax's initial weights from `seed`, on the CPU; also the dense and
    convolutional layers of an encoder from outside."""
    model = assemble(config, spec.channels, spec.levels, spec.side, schedule, dropout)
    generator = torch.Generator().manual_seed(seed)
    initialise(model, generator)
    if isinstance(model, Multivariate):
        model.process.initialise(generator)
    return model


def parameters(model: torch.nn.Module) -> int:
    """How many parameters a model has."""
    return sum(p.numel() for p in model.parameters())
