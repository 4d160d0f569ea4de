"""The authors' own configuration files: the shape of the model that one describes."""

import json
from pathlib import Path

from diffenc.io.errors import UserError
from diffenc.zoo.configs import ModelConfig

_PREDICTIONS = {"VDM2": "epsilon", "VDM2_V": "v", "S4V_NT": "v", "S3VA": "v"}
_ENCODERS = {"simple": "identity", "nt": "non_trainable"}
_SCHEDULES = {"fixed": "fixed", "train_scalar": "learned"}


def read_config(path: str | Path) -> tuple[ModelConfig, int, str]:
    """The authors' JSON -> (shape, levels of a pixel, schedule). Raises UserError on what this package lacks."""
    try:
        config = json.loads(Path(path).read_text(encoding="utf-8"))
        score, encoder = config["score_model_config"], config["encoder_config"]
        kind = encoder["enc_type"]
        net = encoder["nn_config"]
        # without a network the fields of one keep their defaults, as in the zoo
        trainable = (
            {"blocks": net["n_layer"], "encoder_width": net["n_embd"], "encoder_groups": net["num_groups_groupnorm"]}
            if kind == "trainable"
            else {}
        )
        shape = ModelConfig(
            prediction=_PREDICTIONS[config["ddpm_type"]],
            layers=score["n_layer"],
            width=score["n_embd"],
            encoder=net["m_type"] if kind == "trainable" else _ENCODERS[kind],
            gamma_min=config["gamma_min"],
            gamma_max=config["gamma_max"],
            **trainable,
        )
        return shape, config["vocab_size"], _SCHEDULES[config["gamma_type"]]
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); name the model's JSON configuration")
    except ValueError as error:
        raise UserError(f"{path}: is not valid JSON ({error})")
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: {error} is missing or unknown; name a DiffEnc model's JSON configuration")
