"""The authors' own configuration files: the shape of the model that one describes."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from diffenc.io.errors import UserError
from diffenc.io.schema import explain
from diffenc.zoo.configs import ModelConfig

_PREDICTIONS = {"VDM2": "epsilon", "VDM2_V": "v", "S4V_NT": "v", "S3VA": "v"}
_ENCODERS = {"simple": "identity", "nt": "non_trainable"}
_SCHEDULES = {"fixed": "fixed", "train_scalar": "learned"}
_Layers = Annotated[int, Field(gt=0, le=128)]
_Width = Annotated[int, Field(gt=0, le=1024)]


class _Part(BaseModel):
    """What is read of the file; it has more."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class _Score(_Part):
    n_layer: _Layers
    n_embd: Annotated[_Width, Field(multiple_of=32)]


class _Net(_Part):
    m_type: Literal["unet", "unet_mult_res"]
    n_layer: _Layers
    n_embd: _Width
    num_groups_groupnorm: _Width

    @model_validator(mode="after")
    def _divides(self) -> "_Net":
        if self.n_embd % self.num_groups_groupnorm:
            raise ValueError(f"n_embd {self.n_embd} cannot be shared by {self.num_groups_groupnorm} groups")
        return self


class _Encoder(_Part):
    enc_type: Literal["simple", "nt"]


class _Trainable(_Part):
    enc_type: Literal["trainable"]
    nn_config: _Net


class _Config(_Part):
    ddpm_type: Literal[*_PREDICTIONS]
    gamma_type: Literal[*_SCHEDULES]
    gamma_min: float
    gamma_max: float
    vocab_size: Annotated[int, Field(ge=2, le=256)]
    score_model_config: _Score
    encoder_config: Annotated[_Encoder | _Trainable, Field(discriminator="enc_type")]

    @model_validator(mode="after")
    def _rises(self) -> "_Config":
        if self.gamma_min >= self.gamma_max:
            raise ValueError(f"gamma_min {self.gamma_min} is not below gamma_max {self.gamma_max}")
        return self


def read_config(path: str | Path) -> tuple[ModelConfig, int, str]:
    """The authors' JSON -> (shape, levels of a pixel, schedule). Raises UserError on what this package lacks."""
    try:
        config = _Config.model_validate_json(Path(path).read_bytes())
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); name the model's JSON configuration")
    except ValidationError as error:
        raise UserError(f"{path}: {explain(error)}; name a DiffEnc model's JSON configuration")
    encoder = config.encoder_config
    # without a network the fields of one keep their defaults, as in the zoo
    if isinstance(encoder, _Trainable):
        net = encoder.nn_config
        trainable = {
            "encoder": net.m_type,
            "blocks": net.n_layer,
            "encoder_width": net.n_embd,
            "encoder_groups": net.num_groups_groupnorm,
        }
    else:
        trainable = {"encoder": _ENCODERS[encoder.enc_type]}
    shape = ModelConfig(
        prediction=_PREDICTIONS[config.ddpm_type],
        layers=config.score_model_config.n_layer,
        width=config.score_model_config.n_embd,
        gamma_min=config.gamma_min,
        gamma_max=config.gamma_max,
        **trainable,
    )
    return shape, config.vocab_size, _SCHEDULES[config.gamma_type]
