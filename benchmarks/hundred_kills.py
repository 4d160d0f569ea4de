"""Kill a training run with -9 at 100 random moments, and compare its end with an undisturbed run's.

    python benchmarks/hundred_kills.py [--kills 100] [--seed 0]

A checkpoint is written at every step, so that many kills fall into the writing of one. Ends with status 1 if weights
or history differ.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
import yaml
from safetensors.torch import load_file

from diffenc import data

STEPS = 2000
STUDY = {
    "name": "kills",
    "title": "A run that is killed",
    "runs": [
        {
            "dataset": "digits",
            "models": ["VDMv-2"],
            "seeds": [1],
            "training": {"steps": STEPS, "batch": 4, "log_every": 10, "ema": 0.9},
        }
    ],
}


def command(folder: Path, out: str) -> list[str]:
    """One training, with a checkpoint at every step."""
    options = (
        f"--study {folder}/study.yaml --run digits/VDMv-2/fixed/seed1 --data {folder}/digits --out {folder}/{out}"
    )
    options += " --device cpu --threads 1 --checkpoint-steps 1"
    return [sys.executable, "-m", "diffenc", "train", *options.split()]


def steps_done(out: Path) -> int:
    """The newest checkpoint's step."""
    return max((int(path.stem.split("-")[1]) for path in out.glob("checkpoint-*.safetensors")), default=0)


def kill_at_random(folder: Path, kills: int) -> int:
    """Start and kill again and again; returns how many kills fell into the writing of a checkpoint."""
    out, while_writing = folder / "killed", 0
    for kill in range(kills):
        process = subprocess.Popen(command(folder, "killed"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        before = steps_done(out)
        while process.poll() is None and steps_done(out) == before:
            time.sleep(0.001)
        time.sleep(random.uniform(0, 0.3))
        if process.poll() is not None:
            raise SystemExit(f"the run was done after {kill} kills; raise STEPS")
        process.send_signal(signal.SIGKILL)
        process.wait()
        while_writing += bool(list(out.glob(".checkpoint-*")))
        print(f"kill {kill + 1}: at step {steps_done(out)}", flush=True)
    return while_writing


def same(folder: Path) -> bool:
    """Whether weights and history, but for the clock's part, are identical."""
    one, other = (load_file(folder / name / "model.safetensors") for name in ("undisturbed", "killed"))
    histories = []
    for name in ("undisturbed", "killed"):
        lines = map(json.loads, (folder / name / "history.jsonl").read_text().splitlines())
        histories.append(
            [{k: v for k, v in line.items() if k not in ("images_per_s", "seconds_left")} for line in lines]
        )
    return all(torch.equal(one[name], other[name]) for name in one) and histories[0] == histories[1]


def main() -> None:
    """Kill, finish, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    random.seed(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "study.yaml").write_text(yaml.safe_dump(STUDY))
        data.prepare("digits", folder / "digits", folder)
        while_writing = kill_at_random(folder, options.kills)
        for out in ("killed", "undisturbed"):
            subprocess.run(command(folder, out), check=True, stdout=subprocess.DEVNULL)
        identical = same(folder)
    print(f"{options.kills} kills, {while_writing} of them while a checkpoint was written: identical {identical}")
    sys.exit(not identical)


main()
