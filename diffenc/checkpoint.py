"""Weights on disk: a run's resumable checkpoint and its final model, both safetensors, both written atomically."""

import json
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from diffenc.assembly import build
from diffenc.diffusion import Diffusion
from diffenc.errors import UserError
from diffenc.files import write_atomically, write_file

MODEL, CONFIG = "model.safetensors", "config.yaml"
CHECKPOINT, PARTIAL_HISTORY = "checkpoint.safetensors", "checkpoint.history.jsonl"


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Tensors and text as one safetensors file."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomically(path, lambda temporary: save_file(tensors, temporary, metadata))


def load_tensors(path: Path, remedy: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """What `save_tensors` wrote. Raises UserError, ending in `remedy`, if the file is missing or damaged."""
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; {remedy}")
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: is damaged or truncated ({error}); {remedy}")


class TrainingState:
    """All that a run needs to go on as if it had never stopped."""

    def __init__(self, model: nn.Module, average: list[Tensor], optimizer: torch.optim.Optimizer) -> None:
        self.names = [name for name, _ in model.named_parameters()]
        self.parameters = list(model.parameters())
        self.average, self.optimizer = average, optimizer
        self.step = 0
        self.sums = torch.zeros(3, dtype=torch.float64, device=self.parameters[0].device)

    def save(self, path: Path, config: dict[str, Any]) -> None:
        """Write everything, stamped with the run's configuration."""
        tensors = {"sums": self.sums}
        for name, parameter, average in zip(self.names, self.parameters, self.average, strict=True):
            tensors[f"parameter/{name}"], tensors[f"ema/{name}"] = parameter, average
            for moment, value in self.optimizer.state[parameter].items():
                tensors[f"{moment}/{name}"] = value
        save_tensors(path, tensors, {"step": str(self.step), "config": json.dumps(config)})

    @torch.no_grad()
    def restore(self, path: Path, config: dict[str, Any]) -> None:
        """Read a checkpoint of this very run. Raises UserError if it is damaged or of another configuration."""
        remedy = f"delete {path.parent} to train this run from the start"
        tensors, metadata = load_tensors(path, remedy)
        if difference := _first_difference(json.loads(metadata.get("config", "{}")), config):
            raise UserError(f"{path}: belongs to another configuration: {difference}; restore it, or {remedy}")
        for name, parameter, average in zip(self.names, self.parameters, self.average, strict=True):
            parameter.copy_(tensors[f"parameter/{name}"])
            average.copy_(tensors[f"ema/{name}"])
            self.optimizer.state[parameter] = {
                moment: tensors[f"{moment}/{name}"].to(parameter.device)
                for moment in ("step", "exp_avg", "exp_avg_sq")
            }
        self.sums.copy_(tensors["sums"])
        self.step = int(metadata["step"])


def _first_difference(theirs: dict[str, Any], ours: dict[str, Any], prefix: str = "") -> str | None:
    for key in sorted(theirs.keys() | ours.keys()):
        a, b = theirs.get(key), ours.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            if nested := _first_difference(a, b, f"{prefix}{key}."):
                return nested
        elif a != b:
            return f"{prefix}{key} was {a!r} and is now {b!r}"
    return None


def save_model(folder: Path, state: TrainingState, config: dict[str, Any]) -> None:
    """The final weights, plain and averaged, and the resolved configuration."""
    pairs = {"parameter": state.parameters, "ema": state.average}
    tensors = {f"{kind}/{n}": v for kind, values in pairs.items() for n, v in zip(state.names, values, strict=True)}
    save_tensors(folder / MODEL, tensors, {"step": str(state.step)})
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
    tensors, _ = load_tensors(folder / MODEL, remedy)
    weights = {n.removeprefix("ema/"): tensor for n, tensor in tensors.items() if n.startswith("ema/")}
    try:
        model.load_state_dict(weights)
    except RuntimeError:
        raise UserError(f"{folder / MODEL}: is not a {config['model']} as {folder / CONFIG} says; {remedy}")
    return model, config
