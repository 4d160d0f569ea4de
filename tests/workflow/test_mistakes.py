"""Mistakes that Snakemake is the first to see, and those of a rule: our one line reaches the terminal."""

import re
import subprocess
import sys

import pytest
from pipeline import RESULTS, RUNS, SMALL, STUDY, place, snakemake


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ("--configfile", "changed.yaml"),
            "changed.yaml: evaluation.pases: unknown key; remove it or correct its sp",
        ),
        (
            (SMALL, "--config", "passes=3"),
            "--config: a study is one file; copy it, change the copy, and name that b",
        ),
        (
            ("--configfile", "small.yaml", "changed.yaml"),
            "--configfile: 2 files given; a study is one file, name one",
        ),
    ],
)
def test_a_study_that_is_wrong(clone, arguments, line):
    (clone / "changed.yaml").write_text(STUDY.replace("passes", "pases"))
    ended = snakemake(clone, "--cores", "1", *arguments)
    assert ended.returncode != 0
    assert ended.stdout.startswith(f"diffenc: error: {line}")
    assert ended.stdout.count("\n") == 1
    assert not (clone / "results").exists()


def test_a_mistake_in_a_rule(clone):
    """ImageNet32 without its files, which are never downloaded."""
    (clone / "small.yaml").write_text(STUDY.replace("digits", "imagenet32"))
    ended = snakemake(clone, "--cores", "1", "--show-failed-logs", SMALL, "tables")
    assert ended.returncode != 0
    lines = [line for line in ended.stdout.splitlines() if line.startswith("diffenc: error: ")]
    assert len(lines) == 1
    assert re.search(r"data/imagenet32: train_data_batch_1, .*, val_data missing; unpack .* there", lines[0])
    assert "Traceback" not in ended.stdout
    assert not list((clone / "results/data").rglob("*.npy"))


def diffenc(folder, *arguments):
    command = [sys.executable, "-m", "diffenc", *arguments]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("diffenc: error: ")
    assert ended.stderr.count("\n") == 1
    return ended.stderr


def test_a_missing_seed_is_never_a_smaller_n(copy):
    evaluation, runs, tests = f"{place(RUNS[3])}/evaluation.json", f"{RESULTS}/runs.csv", f"{RESULTS}/tests.csv"
    before = {path: (copy / path).read_text() for path in (runs, tests)}
    (copy / evaluation).unlink()
    error = diffenc(copy, "collect", "--study", "small.yaml", "--out", runs)
    assert f"error: {evaluation}: is missing; make it with `snakemake --force {evaluation} --cores 1`" in error
    (copy / "fewer.csv").write_text(
        "".join(line for line in before[runs].splitlines(True) if ",fixed,2," not in line)
    )
    error = diffenc(copy, "compare", "--study", "small.yaml", "--runs", "fewer.csv", "--out", tests)
    assert "runs.csv: digits/VDMv-2/fixed/seed2, term total, is missing (and 11 more faults); make it with" in error
    assert {path: (copy / path).read_text() for path in (runs, tests)} == before
