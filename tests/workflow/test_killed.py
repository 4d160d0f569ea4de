"""Snakemake itself is killed, and what it started goes on without it."""

import json
import shutil
import subprocess
import sys
import time

from pipeline import ROOT, RUNS, SMALL, STUDY, place, snakemake

RUN = place(RUNS[0])


def until(condition):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_run_that_ended_unseen_is_not_trained_again(clone):
    shutil.copytree(ROOT / "profiles", clone / "profiles")  # the default one, as in every checkout
    (clone / "small.yaml").write_text(STUDY.replace("steps: 6,", "steps: 100,"))
    target = f"{RUN}/evaluation.json"
    killed = subprocess.Popen(
        [sys.executable, "-m", "snakemake", "--cores", "1", SMALL, target],
        cwd=clone,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until((clone / RUN / "progress.json").exists)
    killed.kill()
    killed.wait()
    until((clone / RUN / ".trained/model.safetensors").exists)
    weights = (clone / RUN / "model.safetensors").read_bytes()
    snakemake(clone, "--unlock", SMALL)
    ended = snakemake(clone, "--cores", "1", SMALL, target)  # the same command
    assert ended.returncode == 0, ended.stdout
    assert "its results are put back" in (clone / RUN / "train.log").read_text()
    assert (clone / RUN / "model.safetensors").read_bytes() == weights
    assert len(json.loads((clone / RUN / "progress.json").read_text())["attempts"]) == 1
    assert json.loads((clone / target).read_text())["steps"] == 100
