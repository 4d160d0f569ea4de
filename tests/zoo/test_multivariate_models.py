"""Multivariate models in the zoo: their size by formula, a training that goes on, and what is refused of them."""

import pytest
from short_training import history, killed_before_its_end, same_weights, train

from diffenc import data
from diffenc.cli.main import main
from diffenc.data.catalog import DATASETS
from diffenc.io.errors import UserError
from diffenc.study.load import parse_study
from diffenc.zoo.build import build, parameters
from diffenc.zoo.configs import MODELS, adapted
from diffenc.zoo.flops import flops
from diffenc.zoo.flops import parameters as by_formula

DIGITS = DATASETS["digits"]
GROUP = {"dataset": "digits", "models": ["MDM-2-cld"], "seeds": [1], "training": {"steps": 2}}
PLAIN = {"name": "x", "title": "x", "tables": ["components"], "figures": ["samples"]}


@pytest.mark.parametrize("name", ["MDM-2-vp", "MDM-2-cld", "MDM-2-malda"])
def test_sizes(name):
    shape = adapted(MODELS[name], DIGITS)
    assert parameters(build(name, DIGITS, "fixed")) == by_formula(shape, DIGITS, "fixed")
    vdm = adapted(MODELS["VDM-2"], DIGITS)
    assert 1 <= flops(shape, DIGITS).training / flops(vdm, DIGITS).training < 1.1


def test_trained_cut_short_evaluated_sampled_and_what_is_not_there(tmp_path, capsys):
    data.prepare("digits", tmp_path / "digits", tmp_path)
    train(tmp_path / "digits", tmp_path / "whole", "MDM-2-cld")
    with killed_before_its_end():
        train(tmp_path / "digits", tmp_path / "cut", "MDM-2-cld", checkpoint_steps=4)
    train(tmp_path / "digits", tmp_path / "cut", "MDM-2-cld")
    assert history(tmp_path / "cut") == history(tmp_path / "whole")
    assert same_weights(tmp_path / "cut", tmp_path / "whole")
    on = ["--model", str(tmp_path / "cut"), "--data", str(tmp_path / "digits")]
    main(["evaluate", *on, "--passes", "1", "--images", "4", "--out", str(tmp_path / "evaluation.json")])
    main(["sample", *on, "--count", "2", "--steps", "2", "--out", str(tmp_path / "samples.npz")])
    main(["levels", *on, "--images", "4", "--passes", "2", "--bins", "4", "--out", str(tmp_path / "levels.npz")])
    capsys.readouterr()
    for command in ("depth", "encode", "inspect", "bits", "likelihood"):
        with pytest.raises(SystemExit):
            main([command, *on, "--out", str(tmp_path / "x.json")])
        said = capsys.readouterr().err
        assert f"{command} is not there for multivariate models; take another run" in said
        assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tables": ["depth"]}, "tables: depth is not there for multivariate models (MDM-2-cld)"),
        ({"figures": ["compression"]}, "figures: compression is not there for multivariate models (MDM-2-cld)"),
        ({"tables": ["likelihood"]}, "tables: likelihood is not there for multivariate models (MDM-2-cld)"),
        ({"samples": {"steps": 5, "fit": 10}}, "samples.fit: is not there for multivariate models (MDM-2-cld)"),
        (
            {"models": {"Odd": {"like": "MDM-2-cld", "encoder": "non_trainable"}}},
            "models.Odd.encoder: none goes with a multivariate process (docs/MATH.md)",
        ),
    ],
)
def test_what_a_study_may_not_ask(changes, said):
    with pytest.raises(UserError) as error:
        parse_study({**PLAIN, "runs": [GROUP], **changes}, "x.yaml")
    assert said in str(error.value)


def test_a_study_of_them():
    assert parse_study({**PLAIN, "runs": [GROUP]}, "x.yaml").all_runs[0].model == "MDM-2-cld"
