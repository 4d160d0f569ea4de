"""What the tests here begin with: a small study, and commands that succeed on it."""

from pathlib import Path

PARITY = Path(__file__).parents[2] / "parity"
STUDY = """\
name: small
title: A small study
runs:
  - dataset: digits
    models: [VDMv-2, DiffEnc-2-1]
    seeds: [1, 2]
    training: {steps: 4, batch: 4, learning_rate: 0.002, log_every: 2}
comparisons:
  - {dataset: digits, lower: DiffEnc-2-1, than: VDMv-2}
evaluation: {passes: 2}
"""
DATA = "results/data/digits"
TRAIN = ["train", "--study", "study.yaml", "--run", "digits/VDMv-2/fixed/seed1", "--data", DATA, "--out"]
EVALUATE = ["evaluate", "--model", "trained", "--data", DATA, "--out", "new/evaluation.json"]
SAMPLE = ["sample", "--model", "trained", "--data", DATA, "--out", "new/samples.npz"]
ENCODE = ["encode", "--model", "trained", "--data", DATA, "--out", "new/encodings.npz"]
TRAIN_NEW = [*TRAIN, "new"]
COMPUTING = [TRAIN_NEW, EVALUATE, SAMPLE, ENCODE]
OFFICIAL = ["evaluate", "--data", DATA, "--out", "new/evaluation.json", "--official"]
