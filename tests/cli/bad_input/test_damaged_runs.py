"""Checkpoints, weights, configurations and results that are damaged, changed, missing or of another run."""

import json
import os
import shutil
from pathlib import Path

import pytest
from made_up import COSTS, evaluation
from mistakes import ENCODE, EVALUATE, SAMPLE, STUDY, TRAIN

from diffenc.cli.main import main
from diffenc.study.load import load_study
from diffenc.study.study import run_folder, study_folder


@pytest.mark.parametrize("keep", [0, 1000, -1])
def test_checkpoint_cut_short(refused, keep):
    path = Path("interrupted/checkpoint-2.safetensors")
    os.truncate(path, keep if keep >= 0 else path.stat().st_size + keep)
    error = refused([*TRAIN, "interrupted"])
    assert f"error: {path}: is damaged or truncated" in error
    assert error.endswith("delete interrupted to train this run from the start\n")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("0.002", "0.01", "training.learning_rate was 0.002 and is now 0.01"),
        ("steps: 4", "steps: 8", "training.steps was 4 and is now 8"),
        ("seeds: [1, 2]", "schedule: learned\n    seeds: [1, 2]", "schedule was 'fixed' and is now 'learned'"),
    ],
)
def test_checkpoint_of_another_configuration(refused, old, new, message):
    Path("study.yaml").write_text(STUDY.split("comparisons")[0].replace(old, new))
    schedule = "learned" if "learned" in new else "fixed"
    command = [part.replace("fixed", schedule) for part in TRAIN]
    error = refused([*command, "interrupted"])
    assert f"error: interrupted/checkpoint-2.safetensors: belongs to another configuration: {message}; " in error
    assert error.endswith("delete interrupted to train this run from the start\n")


@pytest.mark.parametrize("name", ["checkpoint-2 (copy).safetensors", "checkpoint-2.backup.safetensors"])
def test_copies_of_checkpoints_are_nobodys(name):
    shutil.copy("interrupted/checkpoint-2.safetensors", Path("interrupted", name))
    main([*TRAIN, "interrupted"])
    assert Path("interrupted", name).exists()


def test_a_folder_in_the_place_of_a_checkpoint(refused):
    Path("interrupted/checkpoint-99.safetensors").mkdir()
    assert "interrupted/checkpoint-99.safetensors: is no file; take it away" in refused([*TRAIN, "interrupted"])


def test_training_over_a_model_cut_short(refused):
    os.truncate("trained/model.safetensors", 1000)
    error = refused([*TRAIN, "trained"])
    assert "error: trained/model.safetensors: is damaged or truncated" in error
    assert error.endswith("; delete trained to train this run again\n")


@pytest.mark.parametrize("command", [EVALUATE, SAMPLE, ENCODE])
def test_model_cut_short(refused, command):
    os.truncate("trained/model.safetensors", 1000)
    error = refused(command)
    assert "error: trained/model.safetensors: is damaged or truncated" in error
    assert "train the run first" in error


def test_model_that_is_another_than_its_config_says(refused):
    path = Path("trained/config.yaml")
    path.write_text(path.read_text().replace("layers: 2", "layers: 3"))
    error = refused(EVALUATE)
    assert "error: trained/config.yaml: is not as it was written with model.safetensors: its sha256 is" in error
    assert "restore it" in error


def test_a_configuration_with_a_key_that_is_none(refused):
    path = Path("trained/config.yaml")
    path.write_text(path.read_text() + "?")
    assert "trained/config.yaml: is damaged" in refused(EVALUATE)


def test_model_that_is_not_there(refused):
    error = refused([*EVALUATE, "--model", "none"])
    assert "error: none/config.yaml: cannot be read" in error
    assert "train the run first" in error


def test_changed_weights_are_found_by_every_reader(refused):
    path = Path("trained/model.safetensors")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    for command in (EVALUATE, SAMPLE, ENCODE, [*TRAIN, "trained"]):
        assert "trained/model.safetensors: is damaged: its content's sha256 is" in refused(command)


def test_weights_that_are_not_finite(refused):
    from diffenc.io.tensors import load_tensors, save_tensors

    tensors, text = load_tensors(Path("trained/model.safetensors"))
    name = next(name for name in tensors if name.startswith("ema/"))
    tensors[name].view(-1)[0] = float("nan")
    save_tensors(Path("trained/model.safetensors"), tensors, text)
    assert f"trained/model.safetensors: {name} has values that are not finite" in refused(EVALUATE)


def test_damaged_evaluation(refused):
    study = load_study("study.yaml")
    for run, training in study.training.items():
        path = run_folder(study_folder(study), run) / "evaluation.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(evaluation(run, passes=2, steps=4, training=training.results())))
        path.with_name("cost.json").write_text(json.dumps(COSTS))
    main(collect := ["collect", "--study", "study.yaml", "--out", "results/small/runs.csv"])
    text = path.read_text()
    for damaged, message in {
        text[:-100]: "is damaged, not JSON",
        text.replace('"total"', '"sum"'): "is damaged, bpd.total: is missing",
        text.replace('"passes": 2', '"passes": 3'): "is of another run: passes is 3, the study says 2",
    }.items():
        path.write_text(damaged)
        error = refused(collect)
        assert f"error: {path}: {message}" in error
        assert error.endswith(f"make it with `snakemake --force {path} --cores 1`, and the study's --configfile\n")
