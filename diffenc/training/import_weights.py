"""Weights that were trained elsewhere, as a run of a study: the same files as a training leaves."""

from pathlib import Path

from diffenc import data
from diffenc.io.files import sha256_of
from diffenc.study import versions
from diffenc.study.settings import Weights
from diffenc.study.study import Run
from diffenc.training.artifacts import configuration, save_model
from diffenc.zoo import flax_checkpoint
from diffenc.zoo.authors_config import read_config


def adopt(run: Run, weights: Weights, study: str, data_folder: Path, out: Path) -> None:
    """Write the averaged weights and the configuration of one of the authors' checkpoints into a run's folder.

    Raises:
        UserError: the checkpoint or its configuration is missing or damaged, they do not belong together, or the
            model is of other images than the data set's.
    """
    file = weights.file(run.seed)
    model = flax_checkpoint.load_checkpoint(file, weights.config)
    spec = data.spec(data_folder)
    flax_checkpoint.check_images(file, model, spec)
    shape, _, _ = read_config(weights.config)
    config = configuration(run, study, shape, data.manifest(data_folder), spec) | {
        "steps": int(flax_checkpoint.read_msgpack(file).get("step", 0)),
        "weights": {"format": weights.format, "sha256": sha256_of(file), "config_sha256": sha256_of(weights.config)},
        "results_version": versions.ADOPT,
    }
    save_model(out, {"ema": dict(model.named_parameters())}, config)
