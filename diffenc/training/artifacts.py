"""A trained run on disk: final weights, configuration, and second names that outlive a deletion."""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import yaml
from torch import Tensor

from diffenc.data.catalog import DatasetSpec
from diffenc.io.errors import UserError
from diffenc.io.files import link, write_file
from diffenc.io.schema import first_difference
from diffenc.io.tensors import load_tensors, save_tensors
from diffenc.models.model import Model
from diffenc.results.custody import CONFIG_SHA256, checksum
from diffenc.study.stages import CONFIG, KEPT, MODEL, TRAINED
from diffenc.study.study import Run
from diffenc.zoo.build import assemble
from diffenc.zoo.configs import ModelConfig


def configuration(
    run: Run, study: str, shape: ModelConfig, manifest: dict[str, Any], spec: DatasetSpec
) -> dict[str, Any]:
    """What every run's configuration has: which run it is, on what data, and its model's shape."""
    return {
        "study": study,
        **run._asdict(),
        "release": manifest["release"],
        "train_sha256": manifest["train"]["sha256"],
        "images": {"channels": spec.channels, "side": spec.side, "levels": spec.levels},
        "shape": shape.record(),
    }


def save_model(folder: Path, weights: dict[str, dict[str, Tensor]], config: dict[str, Any]) -> None:
    """The final weights by kind, `parameter`, `ema` (their average) and `buffer`, and the resolved configuration.

    The weights' file has the configuration's checksum, so that both are known to belong together.
    """
    tensors = {f"{kind}/{name}": v for kind, values in weights.items() for name, v in values.items()}
    save_tensors(folder / MODEL, tensors, {CONFIG_SHA256: checksum(config)})
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


def _empty(config: dict[str, Any]) -> Model:
    """A model of the configuration's shape. Raises KeyError or TypeError if it is not one."""
    shape, images = ModelConfig(**config["shape"]), config["images"]
    return assemble(shape, images["channels"], images["levels"], images["side"], config["schedule"])


def load_model(folder: Path) -> tuple[Model, dict[str, Any]]:
    """A trained run's model with its averaged weights, on the CPU, and its configuration.

    Raises:
        UserError: a file is missing or not as it was written, the two do not belong together, or a weight is not
            finite.
    """
    remedy = "train the run first (diffenc train, or snakemake with its evaluation as the target)"
    try:
        config = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))
        model, found = _empty(config), checksum(config)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{folder / CONFIG}: cannot be read ({' '.join(str(error).split())}); {remedy}")
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{folder / CONFIG}: is damaged ({error} is missing or unknown); {remedy}")
    try:
        tensors, metadata = load_tensors(folder / MODEL)
    except UserError as error:
        raise UserError(f"{error}; {remedy}")
    written = metadata.get(CONFIG_SHA256)
    if written is not None and found != written:
        raise UserError(
            f"{folder / CONFIG}: is not as it was written with {MODEL}: its sha256 is {found}, then {written};"
            " restore it"
        )
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise UserError(f"{folder / MODEL}: {name} has values that are not finite; train the run again")
    weights = {name.partition("/")[2]: one for name, one in tensors.items() if name.startswith(("ema/", "buffer/"))}
    try:
        model.load_state_dict(weights)
    except RuntimeError:
        raise UserError(f"{folder / MODEL}: is not a {config['model']} as {folder / CONFIG} says; {remedy}")
    return model, config


def keep(folder: Path) -> None:
    """Give the results of a run their second names; the weights, as a link, take no space.

    Raises:
        UserError: they cannot be written.
    """
    staged = folder / f"{KEPT}.partial"
    shutil.rmtree(staged, ignore_errors=True)
    try:
        staged.mkdir()
        for name in TRAINED:
            _copy(folder / name, staged / name)
        discard(folder)
        os.replace(staged, folder / KEPT)
    except OSError as error:
        raise UserError(f"{folder / KEPT}: cannot be written ({error.strerror or error}); free space, then run again")


def kept_since(folder: Path, moment: float) -> bool:
    """Whether the run was finished after that moment, in seconds of the epoch."""
    kept = folder / KEPT
    return kept.is_dir() and kept.stat().st_mtime > moment


def put_back(folder: Path, config: dict[str, Any]) -> bool:
    """Restore the results of this configuration, if they were kept whole; whether they are now there."""
    kept = folder / KEPT
    if not kept.is_dir():
        return False
    try:
        _, theirs = load_model(kept)
    except UserError as error:
        print(f"diffenc: warning: {str(error).partition('; ')[0]}; training again", file=sys.stderr)
        return False
    if first_difference(theirs, config) or not complete(kept):
        return False
    for name in TRAINED:
        if not (folder / name).exists():
            _copy(kept / name, folder / name)
            os.utime(folder / name)  # made now, to whoever compares times
    return True


def complete(folder: Path) -> bool:
    """Whether all that a training writes is in the folder."""
    return all((folder / name).is_file() for name in TRAINED)


def discard(folder: Path) -> None:
    """Forget them."""
    shutil.rmtree(folder / KEPT, ignore_errors=True)


def _copy(source: Path, target: Path) -> None:
    (link if source.name == MODEL else shutil.copyfile)(source, target)
