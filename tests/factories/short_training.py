"""A training of a few steps on digits, and what it left."""

import contextlib
import json
import subprocess
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from diffenc.study.settings import Training
from diffenc.study.stages import CLAIMS
from diffenc.study.study import Run
from diffenc.training.trainer import Trainer

CPU = torch.device("cpu")
RUN = Run("digits", "VDMv-2", "fixed", 1)
TIMINGS = ("images_per_s", "seconds_left")
STUDY = {
    "name": "kill",
    "title": "A run that is killed",
    "runs": [
        {
            "dataset": "digits",
            "models": ["DiffEnc-2-1"],
            "seeds": [1],
            "training": {"steps": 60, "batch": 8, "log_every": 5, "ema": 0.9, "precision": "float32"},
        }
    ],
}


def train(
    digits, out, model="VDMv-2", seed=1, checkpoint_steps=None, schedule="fixed", again=False, shape=None, **protocol
):
    usual = {"steps": 6, "batch": 8, "warmup": 2, "log_every": 2, "ema": 0.9, "precision": "float32"}
    training = Training(**usual | protocol)
    trainer = Trainer(Run("digits", model, schedule, seed), training, "test", digits, out, CPU, base=shape)
    trainer.run(checkpoint_steps, 600, again)
    return out


class Killed(Exception):
    pass


@contextlib.contextmanager
def killed_before_its_end(what="diffenc.training.trainer.Trainer._publish"):
    """Whoever trains within is stopped where it calls `what`: all steps are done, the results not yet there."""

    def killed(*_):
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(what, killed)
        try:
            yield
        except Killed:
            return
    pytest.fail(f"{what} was not called")


def weights(folder):
    return load_file(folder / "model.safetensors")


def same_weights(a, b):
    a, b = weights(a), weights(b)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def published(folder):
    """Whether the results are all that is left; claims.json is the command's, not the trainer's."""
    left = {path.name for path in folder.iterdir() if not path.name.startswith(".")} - {CLAIMS}
    return left == {"config.yaml", "cost.json", "history.jsonl", "model.safetensors", "progress.json"}


def history(folder):
    lines = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in TIMINGS} for line in lines]


def wait_for(folder: Path, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 60
    while not list(folder.glob("checkpoint-*.safetensors")) and process.poll() is None:
        assert time.monotonic() < deadline, "no checkpoint was written"
        time.sleep(0.01)
