"""What a training under a weighting descends: the weighted loss, and the bound itself for a trainable encoder."""

import pytest
import torch
from gaussian import randomised
from short_training import CPU, history, train

from diffenc import data
from diffenc.data.catalog import DATASETS
from diffenc.io.errors import UserError
from diffenc.models.model import bits_per_dimension
from diffenc.models.weightings import weighting
from diffenc.study.load import load_study
from diffenc.study.settings import Objective
from diffenc.training.objective import Loss
from diffenc.zoo.build import build
from diffenc.zoo.configs import WEIGHTINGS

DIGITS = DATASETS["digits"]
SIGMOID = Objective(weighting="sigmoid", k=1.0)


def batch(count=6):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, DIGITS.levels, (count, *DIGITS.shape), dtype=torch.uint8, generator=generator)
    noise = torch.randn(2, count, *DIGITS.shape, dtype=torch.float64, generator=generator)
    return images, torch.linspace(0.05, 0.95, count, dtype=torch.float64), *noise


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("encoder", ["bound", "weighted"])
@pytest.mark.parametrize("name", ["VDMv-2", "DiffEnc-2-nt", "DiffEnc-2-1"])
def test_gradients_are_those_of_the_weighted_loss_and_of_the_bound(name, encoder):
    model, given = randomised(build(name, DIGITS, "fixed").double()), batch()
    terms, omega = model.loss_terms(*given), weighting("sigmoid", k=1.0)
    gamma_0, gamma_1 = model.ends()
    weighted = omega(gamma_0) * terms.reconstruction + omega(gamma_1) * terms.latent
    weighted = weighted + omega(model.schedule(given[1])) * terms.diffusion
    loss, bound = (bits_per_dimension(of.mean(), 64) for of in (weighted, model.loss_terms(*given).total))
    expected = gradients(model, loss)
    of_bound = gradients(model, bound)
    found, means = Loss(model, Objective(weighting="sigmoid", k=1.0, encoder=encoder), CPU)(*given)
    assert found.item() == pytest.approx(loss.item(), rel=1e-12)
    assert means.sum().item() == pytest.approx(bound.item(), rel=1e-12)
    for leaf, gradient in gradients(model, found).items():
        by_bound = leaf.startswith("encoder") and encoder == "bound"
        torch.testing.assert_close(gradient, (of_bound if by_bound else expected)[leaf], rtol=1e-8, atol=1e-12)


def test_the_weighting_elbo_is_the_bound():
    model, given = randomised(build("DiffEnc-2-1", DIGITS, "monotone").double()), batch()
    plain = gradients(model, Loss(model, None, CPU)(*given)[0])
    for leaf, gradient in gradients(model, Loss(model, Objective(weighting="elbo"), CPU)(*given)[0]).items():
        torch.testing.assert_close(gradient, plain[leaf], rtol=1e-9, atol=1e-13)


def test_its_history_is_of_the_bound(tmp_path):
    data.prepare("digits", tmp_path / "digits", tmp_path)
    lines = [
        history(train(tmp_path / "digits", tmp_path / name, steps=20, learning_rate=3e-3, **more))
        for name, more in {"plain": {}, "weighted": {"objective": SIGMOID}}.items()
    ]
    # of the weights before the first step, the same in both
    assert lines[0][0]["reconstruction"] == lines[1][0]["reconstruction"]
    assert lines[1][-1]["total"] < 0.8 * lines[1][0]["total"]
    assert lines[0][-1]["total"] != lines[1][-1]["total"]


STUDY = """
name: weighted
title: Weighted
models: {Sigmoid: {like: VDMv-2}}
runs:
  - {dataset: digits, models: [VDMv-2], seeds: [1], training: {steps: 2}}
  - {dataset: digits, models: [Sigmoid], seeds: [1], training: {steps: 2}, OBJECTIVE}
"""


def text(given, folder):
    (folder / "study.yaml").write_text(STUDY.replace("OBJECTIVE", given))
    return folder / "study.yaml"


def test_a_group_of_runs_has_its_objective(tmp_path):
    study = load_study(text("objective: {weighting: sigmoid, k: 1.0}", tmp_path))
    plain, weighted = study.training.values()
    assert weighted.objective == SIGMOID
    assert "objective" not in plain.results()
    assert weighted.results()["objective"] == {"weighting": "sigmoid", "k": 1.0, "encoder": "bound"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("objective: {weighting: sigmund}", "weighting: Input should be 'elbo', 'eps_cosine'"),
        (
            "objective: {weighting: sigmoid, y: 2.0}",
            "y: is no parameter of sigmoid, which has k; take",
        ),
        ("objective: elbo", "training.objective: Input should be a valid dictionary"),
        ("schedule: learned, objective: {weighting: sigmoid}", "objective: goes with schedules whose ends are fixed"),
    ],
)
def test_what_does_not_go_together_is_said(tmp_path, given, said):
    with pytest.raises(UserError, match=said):
        load_study(text(given, tmp_path))


@pytest.mark.parametrize("cosine", [None, True, False])
@pytest.mark.parametrize("name", WEIGHTINGS)
def test_it_says_of_itself_what_is_so(name, cosine):
    given = {"cosine": cosine} if cosine is not None and "cosine" in WEIGHTINGS[name] else {}
    objective = Objective(weighting=name, **given)
    assert objective.monotone == weighting(name, **given).monotone
    assert ("not monotone" in str(objective)) != objective.monotone
    assert str(Objective(weighting="sigmoid", k=2.0, encoder="weighted")) == "sigmoid, k = 2, encoder too"


def test_the_study_knows_the_weightings_and_their_parameters():
    from inspect import signature

    from diffenc.models import weightings

    assert {name: tuple(signature(of).parameters) for name, of in weightings.WEIGHTINGS.items()} == {
        **WEIGHTINGS,
        "edm": ("monotonic",),
    }
