"""Reading a study: YAML 1.2, and models and measurements of which the entries tell the keys."""

import pytest

from diffenc.io.errors import UserError
from diffenc.study.load import load_study, parse_study
from diffenc.study.settings import Depth, Inspection

STUDY = """\
name: small
title: A small study
runs:
  - {dataset: digits, models: [VDMv-2], seeds: [1], training: {steps: 10, learning_rate: 2e-4}}
inspection: {images: 5}
"""


def test_an_exponent_without_a_point_is_a_number(tmp_path):
    (tmp_path / "study.yaml").write_text(STUDY)
    study = load_study(tmp_path / "study.yaml")
    assert study.runs[0].training.learning_rate == 2e-4


def test_each_measurement_with_settings_has_its_key(tmp_path):
    (tmp_path / "study.yaml").write_text(STUDY)
    study = load_study(tmp_path / "study.yaml")
    assert (study.inspection, study.depth) == (Inspection(images=5), Depth())


@pytest.mark.parametrize(
    ("models", "said"),
    [
        ({"VDMv-2": {"like": "VDMv-8"}}, "models.VDMv-2: that is one of the zoo's"),
        ({"Mine": {"like": "VDMv-3"}}, "models.Mine.like: Input should be"),
        ({"Mine": {"like": "VDMv-2", "width": 40}}, "models.Mine.width: Input should be a multiple of 32"),
        ({"Mine": {"like": "VDMv-2", "encoder": "blurred"}}, "models.Mine.encoder: unknown encoder 'blurred'"),
        ({"Mine": {"like": "VDMv-2", "encoder": "unet"}}, "models.Mine.blocks: how many blocks unet has; give it"),
        (
            {"Mine": {"like": "VDMv-2", "blocks": 1}},
            "models.Mine.blocks: go with the encoders unet and unet_mult_res",
        ),
        ({"Mine": {"like": "VDMv-2", "encoder": "json.:X"}}, "models.Mine.encoder: no module 'json.' here"),
        ({"Mine": {"like": "VDMv-2", "options": {"a": 1}}}, "models.Mine.options: go with an encoder from outside"),
    ],
)
def test_a_model_of_one_s_own(models, said):
    run = {"dataset": "digits", "models": ["VDMv-2"], "seeds": [1], "training": {"steps": 10}}
    with pytest.raises(UserError) as refused:
        parse_study({"name": "small", "title": "", "models": models, "runs": [run]}, "study.yaml")
    assert str(refused.value).startswith(f"study.yaml: {said}")


@pytest.mark.parametrize(
    ("likelihood", "said"),
    [
        ({}, "likelihood.probes: an exact trace of cifar10's 3,072 dimensions takes as many products an evaluation"),
        ({"tolerance": -1e-3}, "likelihood.tolerance: Input should be greater than 0"),
        ({"probes": 0}, "likelihood.probes: Input should be greater than 0"),
        ({"probes": 2, "tolerance": 1e-9}, "likelihood: tolerance: below 1e-5 float32's rounding shows; take"),
        ({"dequantisation": ["gaussian"]}, "likelihood.dequantisation[0]: Input should be 'uniform', 'truncated_n"),
    ],
)
def test_a_likelihood_that_cannot_be(likelihood, said):
    run = {"dataset": "cifar10", "models": ["VDMv-8"], "seeds": [1], "training": {"steps": 10}}
    with pytest.raises(UserError) as refused:
        parse_study(
            {"name": "small", "title": "", "tables": ["likelihood"], "likelihood": likelihood, "runs": [run]},
            "a.yaml",
        )
    assert str(refused.value).startswith(f"a.yaml: {said}")
    assert "\n" not in str(refused.value)


def test_a_deeper_one_predicts_x():
    run = {"dataset": "digits", "models": ["Mine"], "seeds": [1], "training": {"steps": 10}}
    models = {"Mine": {"like": "DiffEnc-2-1", "prediction": "x", "layers": 3}}
    study = parse_study({"name": "small", "title": "", "models": models, "runs": [run]}, "study.yaml")
    shape = study.shape(study.all_runs[0])
    assert (shape.prediction, shape.layers, shape.width, shape.encoder) == ("x", 3, 32, "unet")


def test_an_unknown_schedule():
    run = {"dataset": "digits", "models": ["VDMv-2"], "seeds": [1], "schedule": "wavy", "training": {"steps": 10}}
    with pytest.raises(UserError, match="unknown schedule 'wavy'; known: fixed, learned"):
        parse_study({"name": "small", "title": "", "runs": [run]}, "study.yaml")


def test_a_home_is_found_and_variables_are_refused(monkeypatch):
    """A folder that is literally called ~ would have to be removed by somebody."""
    monkeypatch.setenv("HOME", "/home/ada")
    run = {"dataset": "digits", "models": ["VDMv-2"], "seeds": [1], "training": {"steps": 10}}
    study = {"name": "small", "title": "", "runs": [run]}
    assert parse_study(study | {"files": "~/datasets"}, "study.yaml").files == "/home/ada/datasets"
    own = {"own_data": {"mine": {"title": "", "train": "${SCRATCH}/train.npy", "test": "test.npy"}}}
    for given, key in (({"files": "$HOME/x"}, "files: $HOME/x"), (own, "own_data.mine.train: ${SCRATCH}/train.npy")):
        with pytest.raises(UserError) as refused:
            parse_study(study | given, "study.yaml")
        assert str(refused.value).startswith(f"study.yaml: {key}: variables are not filled in; write the path itself")
