"""Multivariate models in the zoo: their size by formula, a training that goes on, and what is refused of them."""

import json
from dataclasses import replace

import pytest
from short_training import history, killed_before_its_end, same_weights, train

from diffenc import data
from diffenc.cli.main import main
from diffenc.data.catalog import DATASETS
from diffenc.io.errors import UserError
from diffenc.study.load import parse_study
from diffenc.study.settings import Training
from diffenc.training.artifacts import load_model
from diffenc.training.step import optimizer_for
from diffenc.zoo.build import build, create, parameters
from diffenc.zoo.configs import MODELS, adapted
from diffenc.zoo.flops import flops
from diffenc.zoo.flops import parameters as by_formula

DIGITS = DATASETS["digits"]
GROUP = {"dataset": "digits", "models": ["MDM-CLD-2"], "seeds": [1], "training": {"steps": 2}}


def own(name, **changes):
    """A study's model of its own, and a run of it."""
    group = {**GROUP, "models": [name]}
    return {"models": {name: {"like": "MDM-CLD-2", **changes}}, "runs": [group]}


PLAIN = {"name": "x", "title": "x", "tables": ["components"], "figures": ["samples"]}


@pytest.mark.parametrize("name", ["MDM-VP-2", "MDM-CLD-2", "MDM-MALDA-2", "MDM-learned2-2"])
def test_sizes(name):
    shape = adapted(MODELS[name], DIGITS)
    assert parameters(build(name, DIGITS, "fixed")) == by_formula(shape, DIGITS, "fixed")
    vdm = adapted(MODELS["VDM-2"], DIGITS)
    assert 1 <= flops(shape, DIGITS).training / flops(vdm, DIGITS).training < 1.1
    twice = flops(replace(shape, bound="logits"), DIGITS)  # the offset is a pass of its own
    assert twice.training == 2 * flops(shape, DIGITS).training


def test_trained_cut_short_evaluated_sampled_and_what_is_not_there(tmp_path, capsys):
    data.prepare("digits", tmp_path / "digits", tmp_path)
    train(tmp_path / "digits", tmp_path / "whole", "MDM-CLD-2")
    with killed_before_its_end():
        train(tmp_path / "digits", tmp_path / "cut", "MDM-CLD-2", checkpoint_steps=4)
    train(tmp_path / "digits", tmp_path / "cut", "MDM-CLD-2")
    assert history(tmp_path / "cut") == history(tmp_path / "whole")
    assert same_weights(tmp_path / "cut", tmp_path / "whole")
    on = ["--model", str(tmp_path / "cut"), "--data", str(tmp_path / "digits")]
    main(["evaluate", *on, "--passes", "1", "--images", "4", "--out", str(tmp_path / "evaluation.json")])
    main(["sample", *on, "--count", "2", "--steps", "2", "--out", str(tmp_path / "samples.npz")])
    main(
        [
            "sample",
            *on,
            "--count",
            "2",
            "--steps",
            "2",
            "--sampler",
            "euler_maruyama",
            "--out",
            str(tmp_path / "e.npz"),
        ]
    )
    main(["process", *on, "--images", "4", "--passes", "2", "--out", str(tmp_path / "process.npz")])
    main(["levels", *on, "--images", "4", "--passes", "2", "--bins", "4", "--out", str(tmp_path / "levels.npz")])
    main(["depth", *on, "--images", "4", "--passes", "1", "--depths", "3", "--out", str(tmp_path / "depth.json")])
    bounds = json.loads((tmp_path / "depth.json").read_text())
    measured = json.loads((tmp_path / "evaluation.json").read_text())
    assert bounds["continuous"]["total"]["mean"] == pytest.approx(measured["bpd"]["total"]["mean"], rel=1e-6)
    capsys.readouterr()
    for command in ("encode", "inspect", "bits", "likelihood"):
        with pytest.raises(SystemExit):
            main([command, *on, "--out", str(tmp_path / "x.json")])
        said = capsys.readouterr().err
        assert f"{command} is not there for multivariate models; take another run" in said
        assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"tables": ["depth"], **own("Odd", bound="logits")},
            "tables: depth is of univariate and multivariate models, here is none; take it out",
        ),
        ({"figures": ["compression"]}, "figures: compression is of univariate models, here is none; take it out"),
        (
            {"samples": {"steps": 5, "fit": 10}, **own("Odd", bound="logits")},
            "samples.fit: is not there for dequantised models (Odd)",
        ),
        (
            {"samples": {"sampler": "euler_maruyama"}, "runs": [{**GROUP, "models": ["VDMv-2"]}]},
            "samples.sampler: is there for multivariate models, VDMv-2 is none; take one out",
        ),
        (
            own("Odd", encoder="non_trainable"),
            "models.Odd.encoder: none goes with a multivariate process (docs/mdm.md)",
        ),
        (own("Odd", variables=3), "models.Odd.variables: cld has 2, not 3"),
        (own("Odd", process="malda", variables=9), "models.Odd.variables: malda has 2 to 8, not 9"),
        (own("Odd", process="alda", variables=3, time="vp"), "models.Odd.time: alda loses all digits in vp time"),
        (own("Odd", stationary=0), "models.Odd.stationary: Input should be greater than or equal to 0.001"),
        (own("Odd", bound="logits", prediction="v"), "models.Odd.bound: the paper's, on logits, goes with"),
        (
            {"models": {"Odd": {"like": "VDMv-2", "variables": 2}}},
            "models.Odd.variables: goes with a multivariate process; take it out, or name one",
        ),
    ],
)
def test_what_a_study_may_not_ask(changes, said):
    with pytest.raises(UserError) as error:
        parse_study({**PLAIN, "runs": [GROUP], **changes}, "x.yaml")
    assert said in str(error.value)


def test_ends_that_a_process_does_not_have():
    shape = replace(MODELS["MDM-ALDA-2"], stationary=0.25, gamma_max=13.0)
    # the lower end is one of rounding: it differs by processor
    with pytest.raises(UserError, match=r"alda has noise levels from -12\d\.\d to 12.44, not -7.9 to 13; change"):
        create(adapted(shape, DIGITS), DIGITS, "fixed")


@pytest.mark.parametrize("changes", [{}, {"time": "vp", "bound": "logits"}])
def test_a_learned_process_is_trained_undecayed_and_goes_on(changes, tmp_path):
    """Its matrices move, with the model's other weights; and a run that is killed ends as one that is not."""
    data.prepare("digits", tmp_path / "digits", tmp_path)
    shape = replace(MODELS["MDM-learned2-2"], **changes)
    model = create(adapted(shape, DIGITS), DIGITS, "fixed", seed=1)
    undecayed = optimizer_for(model, Training(steps=1)).param_groups[1]
    assert undecayed["weight_decay"] == 0
    for one in (model.process.q, model.process.d):
        assert any(one is parameter for parameter in undecayed["params"])
    train(tmp_path / "digits", tmp_path / "whole", "MDM-learned2-2", shape=shape)
    with killed_before_its_end():
        train(tmp_path / "digits", tmp_path / "cut", "MDM-learned2-2", checkpoint_steps=4, shape=shape)
    train(tmp_path / "digits", tmp_path / "cut", "MDM-learned2-2", shape=shape)
    assert history(tmp_path / "cut") == history(tmp_path / "whole")
    assert same_weights(tmp_path / "cut", tmp_path / "whole")
    trained, _ = load_model(tmp_path / "whole")
    assert (trained.process.d - model.process.d).abs().min() > 1e-5
    on = ["--model", str(tmp_path / "whole"), "--data", str(tmp_path / "digits")]
    main(["evaluate", *on, "--passes", "1", "--images", "4", "--out", str(tmp_path / "evaluation.json")])
    main(["sample", *on, "--count", "2", "--steps", "2", "--out", str(tmp_path / "samples.npz")])


def test_a_study_of_them():
    assert parse_study({**PLAIN, "runs": [GROUP]}, "x.yaml").all_runs[0].model == "MDM-CLD-2"
