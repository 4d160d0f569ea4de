"""A trained run on disk: its final weights as safetensors, and its resolved configuration."""

from pathlib import Path
from typing import Any

import yaml
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from diffenc.assembly import build
from diffenc.diffusion import Diffusion
from diffenc.errors import UserError
from diffenc.files import write_atomically, write_file

MODEL, CONFIG = "model.safetensors", "config.yaml"


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Tensors and text as one safetensors file."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomically(path, lambda temporary: save_file(tensors, temporary, metadata))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """What `save_tensors` wrote. Raises UserError if the file is missing or cannot be read as such."""
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except FileNotFoundError:
        raise UserError(f"{path}: no such file")
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: is damaged or truncated ({' '.join(str(error).split())})")


def save_model(
    folder: Path, parameters: dict[str, Tensor], average: dict[str, Tensor], config: dict[str, Any]
) -> None:
    """The final weights, plain and averaged, and the resolved configuration."""
    kinds = {"parameter": parameters, "ema": average}
    save_tensors(
        folder / MODEL, {f"{kind}/{name}": v for kind, values in kinds.items() for name, v in values.items()}
    )
    write_file(folder / CONFIG, yaml.safe_dump(config, sort_keys=False))


def load_model(folder: Path) -> tuple[Diffusion, dict[str, Any]]:
    """A trained run's model with its averaged weights, on the CPU, and its configuration. Raises UserError."""
    remedy = "train the run first (diffenc train, or snakemake with its evaluation as the target)"
    try:
        config = yaml.safe_load((folder / CONFIG).read_text())
        model = build(config["model"], config["dataset"], config["schedule"])
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{folder / CONFIG}: cannot be read ({' '.join(str(error).split())}); {remedy}")
    except (KeyError, TypeError) as error:
        raise UserError(f"{folder / CONFIG}: is damaged ({error} is missing or unknown); {remedy}")
    try:
        tensors, _ = load_tensors(folder / MODEL)
    except UserError as error:
        raise UserError(f"{error}; {remedy}")
    weights = {n.removeprefix("ema/"): tensor for n, tensor in tensors.items() if n.startswith("ema/")}
    try:
        model.load_state_dict(weights)
    except RuntimeError:
        raise UserError(f"{folder / MODEL}: is not a {config['model']} as {folder / CONFIG} says; {remedy}")
    return model, config
