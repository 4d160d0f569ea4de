"""A trained run on disk: its final weights as safetensors, and its resolved configuration."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from diffenc.assembly import assemble
from diffenc.catalog import Dataset
from diffenc.diffusion import Diffusion
from diffenc.errors import UserError
from diffenc.files import write_atomically, write_file
from diffenc.results import CONFIG, MODEL
from diffenc.study import Run
from diffenc.zoo import ModelConfig, stages


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Tensors and text as one safetensors file."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}

    def write(temporary: Path) -> None:
        try:
            save_file(tensors, temporary, metadata)
        except SafetensorError as error:  # its word for a full disk, among others
            raise OSError(errno.EIO, " ".join(str(error).split()))

    write_atomically(path, write)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """What `save_tensors` wrote. Raises UserError if the file is missing or cannot be read as such."""
    with _opened(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118


def load_metadata(path: Path) -> dict[str, str]:
    """The text in a safetensors file, without its tensors. Raises UserError as `load_tensors` does."""
    with _opened(path) as file:
        return file.metadata() or {}


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, "pt") as file:
            yield file
    except FileNotFoundError:
        raise UserError(f"{path}: no such file")
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: is damaged or truncated ({' '.join(str(error).split())})")


def configuration(
    run: Run, study: str, shape: ModelConfig, manifest: dict[str, Any], facts: Dataset
) -> dict[str, Any]:
    """What every run's configuration has: which run it is, on what data, and its model's shape."""
    return {
        "study": study,
        **run._asdict(),
        "release": manifest["release"],
        "train_sha256": manifest["train"]["sha256"],
        "images": {"channels": facts.channels, "side": facts.side, "levels": facts.levels},
        "shape": asdict(shape),
    }


def save_model(
    folder: Path, parameters: dict[str, Tensor], average: dict[str, Tensor], config: dict[str, Any]
) -> None:
    """The final weights, plain and averaged, and the resolved configuration."""
    kinds = {"parameter": parameters, "ema": average}
    save_tensors(
        folder / MODEL, {f"{kind}/{name}": v for kind, values in kinds.items() for name, v in values.items()}
    )
    write_file(folder / CONFIG, yaml.safe_dump(config, sort_keys=False))


def trained(folder: Path, config: dict[str, Any]) -> bool:
    """Whether the folder holds the finished run of this configuration.

    Raises:
        UserError: it holds another one's, which training would overwrite, or a damaged one.
    """
    if not (folder / MODEL).exists() or not (folder / CONFIG).exists():
        return False
    try:
        _, theirs = load_model(folder)
    except UserError as error:
        raise UserError(f"{str(error).partition('; ')[0]}; delete {folder} to train this run again")
    if difference := first_difference(theirs, config):
        raise UserError(
            f"{folder}: holds the results of another configuration: {difference};"
            f" name another folder, or delete its {MODEL}"
        )
    return True


def first_difference(theirs: dict[str, Any], ours: dict[str, Any], prefix: str = "") -> str | None:
    """The first key in which two configurations differ, in words; None if they are equal."""
    for key in sorted(theirs.keys() | ours.keys()):
        a, b = theirs.get(key), ours.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            if nested := first_difference(a, b, f"{prefix}{key}."):
                return nested
        elif a != b:
            return f"{prefix}{key} was {a!r} and is now {b!r}"
    return None


def _empty(config: dict[str, Any]) -> Diffusion:
    """A model of the configuration's shape. Raises KeyError or TypeError if it is not one."""
    shape, images = ModelConfig(**config["shape"]), config["images"]
    spread = stages(shape.encoder, shape.blocks, images["side"])
    return assemble(shape, images["channels"], images["levels"], spread, config["schedule"])


def load_model(folder: Path) -> tuple[Diffusion, dict[str, Any]]:
    """A trained run's model with its averaged weights, on the CPU, and its configuration. Raises UserError."""
    remedy = "train the run first (diffenc train, or snakemake with its evaluation as the target)"
    try:
        config = yaml.safe_load((folder / CONFIG).read_text())
        model = _empty(config)
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
