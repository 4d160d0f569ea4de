"""A study that was trained without Snakemake, on a machine that was taken away, is shown from its small files."""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
from pipeline import ROOT, check_out, diffenc, name, planned, snakemake

from diffenc.reporting.targets import measurements
from diffenc.results.runs import COST_COLUMNS
from diffenc.study.load import load_study
from diffenc.study.stages import FILES

NAME = "mini-h100"  # as .gitignore has it
FOLDER = f"results/{NAME}"
FILE = f"--configfile={FOLDER}/study.yaml"
STUDY = """\
name: few
title: A few runs
runs:
  - dataset: digits
    models: [VDMv-2]
    seeds: [1, 2]
    training: &training {steps: 100, batch: 8, learning_rate: 0.01, warmup: 0, ema: 0.5, log_every: 3}
  - {dataset: digits, models: [DiffEnc-2-nt], seeds: [1, 2], training: {<<: *training, steps: 6}}
comparisons:
  - {dataset: digits, lower: DiffEnc-2-nt, than: VDMv-2}
evaluation: {passes: 2, images: 20}
tables: [components, comparisons, paired]
figures: [encodings, curves]
checkpoints: {minutes: 10, steps: 2}
"""
TABLES = ["components", "comparisons", "paired"]
COMMANDS = {"prepare", "train", *FILES}


def train_study(folder, *options):
    """The started process."""
    command = [sys.executable, ROOT / "benchmarks/train_study.py", "few.yaml", "--out", FOLDER, "--threads", "1"]
    return subprocess.Popen([*command, *options], cwd=folder, stdout=subprocess.PIPE, text=True)


def git(folder, *arguments):
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder in which the study was trained; its time was over once, and a signal stopped it in a training."""
    folder = check_out(tmp_path_factory.mktemp("trained") / "clone")
    shutil.copy(ROOT / ".gitignore", folder)
    (folder / "few.yaml").write_text(STUDY)
    over = train_study(folder, "--minutes", "0.0001")  # over before a quick machine has trained a step
    assert over.wait(60) == 75
    stopped = train_study(folder)
    first = folder / f".cache/{NAME}/runs/digits/VDMv-2/fixed/seed1"
    deadline = time.monotonic() + 120
    while not list(first.glob("checkpoint-*")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    stopped.send_signal(signal.SIGTERM)
    said, _ = stopped.communicate(timeout=60)
    assert stopped.returncode == 75, said
    assert "0 of 4 runs done; digits/VDMv-2/fixed/seed1 after step " in said
    done = train_study(folder, "--jobs", "2")
    said, _ = done.communicate()
    assert done.returncode == 0, said
    assert "4 of 4 runs done" in said
    return folder


def test_another_machine_makes_what_is_not_there(trained, tmp_path):
    """As in a second sitting with the small files alone; and one with another study is refused."""
    folder = check_out(tmp_path / "clone")
    shutil.copytree(trained / FOLDER, folder / FOLDER)
    sums = folder / FOLDER / "weights.sha256"
    lines = sums.read_text().splitlines(keepends=True)
    missing = "runs/digits/DiffEnc-2-nt/fixed/seed2"
    (folder / FOLDER / missing / "evaluation.json").unlink()
    (folder / "few.yaml").write_text(STUDY)
    said, _ = train_study(folder).communicate()
    assert "4 of 4 runs done" in said
    assert sorted(sums.read_text().splitlines(keepends=True)) == sorted(lines)
    assert [path.parent for path in folder.rglob("train.log")] == [folder / f".cache/{NAME}/{missing}"]
    (folder / "few.yaml").write_text(STUDY.replace("steps: 100", "steps: 99"))
    refused = train_study(folder)
    assert (refused.wait(60), refused.stdout.read()) == (2, "")


@pytest.fixture(scope="module")
def clone(trained, tmp_path_factory):
    """A clone of what git keeps of it: its files' times are those of the checkout, in any order."""
    git(trained, "init", "--initial-branch=main")
    git(trained, "add", ".")
    git(trained, "commit", "--message=small files")
    folder = tmp_path_factory.mktemp("fresh") / "clone"
    git(trained, "clone", str(trained), str(folder))
    files = [file for file in (folder / FOLDER).rglob("*") if file.is_file()]
    for file, seconds in zip(files, random.Random(0).sample(range(1000), len(files)), strict=True):
        os.utime(file, (time.time() - seconds,) * 2)
    return folder


@pytest.fixture(scope="module")
def regenerated(clone):
    """Its tables, figures and page, by one command, and what that ran."""
    jobs = planned(clone, FILE)
    before = {path: path.stat().st_mtime_ns for path in (clone / FOLDER / "runs").rglob("*")}
    ended = snakemake(clone, "--cores", "2", "--show-failed-logs", FILE)
    assert ended.returncode == 0, ended.stdout
    assert {path: path.stat().st_mtime_ns for path in (clone / FOLDER / "runs").rglob("*")} == before
    return jobs


def test_the_training_went_on_from_its_checkpoint(trained):
    costs = {path.parent: json.loads(path.read_text()) for path in (trained / FOLDER).rglob("cost.json")}
    attempts = {str(run.relative_to(trained / FOLDER)): cost["attempts"] for run, cost in costs.items()}
    others = [
        f"runs/digits/{rest}" for rest in ("VDMv-2/fixed/seed2", *(f"DiffEnc-2-nt/fixed/seed{i}" for i in (1, 2)))
    ]
    assert attempts == {"runs/digits/VDMv-2/fixed/seed1": 2} | dict.fromkeys(others, 1)


def test_small_files_alone_are_kept(trained, clone):
    kept = [path for path in (clone / FOLDER).rglob("*") if path.is_file()]
    assert {path.name for path in kept} == {
        *("study.yaml", "weights.sha256", "manifest.json", "config.yaml", "history.jsonl", "cost.json"),
        *("claims.json", "evaluation.json", "evaluation.npz", "encodings.npz"),
    }
    assert len(kept) == 3 + 4 * 6 + 1
    sums = dict(reversed(line.split("  ")) for line in (clone / FOLDER / "weights.sha256").read_text().splitlines())
    assert sums == {
        str(path.relative_to(trained / ".cache" / NAME)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (trained / ".cache" / NAME / "runs/digits").glob("*/fixed/seed*/model.safetensors")
    }


def test_one_command_makes_everything_and_trains_and_measures_nothing(clone, regenerated):
    assert not COMMANDS & regenerated.keys()
    assert len(regenerated["table"]) == 3
    assert regenerated["figure_of_run"] == ["encodings/digits/DiffEnc-2-nt/fixed/1"]
    assert regenerated["figure_of_group"] == ["curves/digits/fixed"]
    assert not list(clone.rglob("*.safetensors"))
    assert not (clone / "results/data").exists()
    assert "weights not here" in (clone / FOLDER / "index.html").read_text()
    assert planned(clone, FILE) == {}
    git(clone, "diff", "--exit-code")
    assert not subprocess.check_output(["git", "-C", str(clone), "status", "--porcelain"])


def test_a_small_file_that_is_missing_trains_nothing(clone, tmp_path):
    folder = shutil.copytree(clone, tmp_path / "clone")
    gone = f"{FOLDER}/runs/digits/VDMv-2/fixed/seed2/evaluation.json"
    (folder / gone).unlink()
    ended = snakemake(folder, "--cores", "1", FILE)
    assert ended.returncode != 0
    assert f"diffenc: error: {FOLDER}: was trained elsewhere, and {gone} is not among its files" in ended.stdout
    assert "Traceback" not in ended.stdout
    assert not (folder / "results/data").exists()


def test_tables_are_those_of_the_full_results(trained, clone, regenerated, tmp_path):
    """With one of the runs trained and evaluated again by Snakemake."""
    full_results = shutil.copytree(trained, tmp_path / "full")
    work, model = trained / f".cache/{NAME}", f"{FOLDER}/runs/digits/VDMv-2/fixed/seed1/model.safetensors"
    shutil.copytree(work / "data", full_results / "results/data")
    shutil.copytree(work / "runs", full_results / FOLDER / "runs", dirs_exist_ok=True)
    ended = snakemake(full_results, "tables", "--cores", "2", "--show-failed-logs", FILE, f"--forcerun={model}")
    assert ended.returncode == 0, ended.stdout
    assert ended.stdout.count("] train ") == ended.stdout.count("] evaluate ") == 1
    full, small = (pd.read_csv(folder / FOLDER / "tables/digits/runs.csv") for folder in (full_results, clone))
    costs = list(COST_COLUMNS)
    assert full["attempts"].tolist() != small["attempts"].tolist()
    pd.testing.assert_frame_equal(full.drop(columns=costs), small.drop(columns=costs), check_exact=True)
    for table in TABLES:  # of single images the small files have each term's mean over passes, in float32
        place = f"{FOLDER}/tables/digits/{table}.csv"
        full, small = (pd.read_csv(folder / place) for folder in (full_results, clone))
        pd.testing.assert_frame_equal(full, small, check_exact=table != "paired", rtol=1e-6)


def test_it_can_be_published_without_its_weights(clone, regenerated, tmp_path):
    out = tmp_path / "release"
    said = diffenc(clone, "publish", FOLDER, "--out", out)
    assert "the weights of 0 of 4 runs\nwithout the weights of 4 runs: they stayed where they were trained" in said
    assert "The weights of 4 runs: they stayed where they were trained." in (out / "README.md").read_text()
    assert not list(out.rglob("*.safetensors"))
    assert (out / "weights.sha256").read_bytes() == (clone / FOLDER / "weights.sha256").read_bytes()
    graph = {one["@id"]: one for one in json.loads((out / "ro-crate-metadata.json").read_text())["@graph"]}
    run = "runs/digits/VDMv-2/fixed/seed1"
    training = graph[f"#job/{FOLDER}/{run}/model.safetensors"]
    weights = graph[training["result"][0]["@id"]]
    sums = dict(reversed(line.split("  ")) for line in (out / "weights.sha256").read_text().splitlines())
    assert weights["sha256"] == sums[f"{run}/model.safetensors"]
    assert training["startTime"] == json.loads((out / run / "claims.json").read_text())["date"]
    assert f"#control/{FOLDER}/{run}/model.safetensors" not in graph  # Snakemake ran the rest, not the training
    assert f"#control/{FOLDER}/index.html" in graph


@pytest.mark.parametrize("study", ["mini", "tiny"])
def test_the_commands_are_those_of_the_rules(tmp_path, study):
    path = ROOT / f"config/{study}.yaml"
    jobs = planned(check_out(tmp_path / "clone"), f"--configfile={path}")
    study = load_study(path)
    wanted = {run: measurements(study, run) for run in study.all_runs}
    assert {command: jobs.get(command, []) for command in FILES} == {
        command: sorted(name(run) for run, commands in wanted.items() if command in commands) for command in FILES
    }
