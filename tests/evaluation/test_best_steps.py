"""The best steps: against all ways there are, against Gaussian data's exact costs, and against steps even in t."""

import itertools

import numpy as np
import pytest
import torch
from gaussian import GAMMA_0, GAMMA_1, SLOPE, D, gaussian_model, randomised

from diffenc.data.catalog import DATASETS
from diffenc.evaluation.best_steps import BestSteps, cheapest, fit
from diffenc.evaluation.finite_depth import finite_depth
from diffenc.evaluation.noise import draw
from diffenc.evaluation.samples import ancestral, draw_samples
from diffenc.models import noise
from diffenc.models.encoders import Identity, NonTrainable
from diffenc.models.finite_depth import kl, posterior_error
from diffenc.study.settings import Depth, Samples
from diffenc.zoo.build import build

CPU = torch.device("cpu")


def test_the_cheapest_way_is_that_of_all_ways():
    rng = np.random.default_rng(0)
    for steps in (1, 2, 3, 5):
        cost = np.where(np.triu(np.ones((7, 7)), 1) > 0, rng.random((7, 7)), np.inf)
        ways = [(0, *between, 6) for between in itertools.combinations(range(1, 6), steps - 1)]
        best = min(ways, key=lambda way: sum(cost[s, t] for s, t in itertools.pairwise(way)))
        assert cheapest(cost, steps).tolist() == list(best)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).integers(0, 17, (6, 1, 8, 8)).astype(np.uint8)


@pytest.mark.parametrize("name", ["VDMv-2", "DiffEnc-2-nt", "DiffEnc-2-1", "MDM-CLD-2"])
def test_a_pairs_cost_is_that_of_its_step(name, images):
    model = randomised(build(name, DATASETS["digits"], "monotone"))
    found = fit(model, images, 3, 4, CPU)
    assert found.gammas[[0, -1]] == pytest.approx([end.item() for end in model.ends()])
    assert (found.q[np.tril_indices(121)] == 0).all()
    x, eps = model.scale(torch.from_numpy(images)), draw(3, 0, torch.arange(6), (1, 8, 8), model.noises)[2]
    for s, t in ((0, 1), (30, 90), (119, 120)):
        gammas = (torch.full((6,), found.gammas[i], dtype=torch.float64) for i in (s, t))
        with torch.no_grad():
            difference, variance = posterior_error(model, x, *gammas, eps)
        q = (difference.square().flatten(1).mean(1) / variance).mean().item()
        # the small network's y_s - y_t is a difference of float32 numbers here
        assert found.q[s, t] == pytest.approx(q, rel=1e-3)


def gaussian_q(s):
    """E q of all pairs of 121 levels for data of variance s^2 and its best denoiser."""
    gammas = GAMMA_0 + SLOPE * np.linspace(0, 1, 121)
    a2, s2 = 1 / (1 + np.exp(gammas)), 1 / (1 + np.exp(-gammas))
    error = s**2 * s2 / (a2 * s**2 + s2)  # E (x - x_hat)^2 a dimension
    m = -np.expm1(gammas[:, None] - gammas[None, :])
    return np.triu((a2 / s2)[:, None] * m * error[None, :], 1)


@pytest.mark.parametrize("s", [0.3, 1.0])
def test_gaussian_data(s, monkeypatch):
    model = gaussian_model(s, Identity())
    pixels = np.zeros((400, 1, 4, 4), np.uint8)
    x = s * np.random.default_rng(0).standard_normal(pixels.shape)
    monkeypatch.setattr(model, "scale", lambda chunk: torch.from_numpy(x[: len(chunk)]))
    found, exact = fit(model, pixels, 0, 400, CPU), gaussian_q(s)
    np.testing.assert_allclose(found.q, exact, rtol=6 * (2 / D / 400) ** 0.5)
    # with the best sigma_P the bound of Gaussian data is the same in any steps; with sigma_Q it is not
    exactly = BestSteps(found.gammas, exact)
    for best_sigma in (False, True):
        ratios = 1 / (1 + exact) if best_sigma else np.ones_like(exact)
        cost = np.where(exact > 0, kl(ratios, exact), np.inf)
        steps = exactly.of(10, best_sigma)
        best = np.searchsorted(exactly.gammas, steps.gammas)
        assert steps.ratios.tolist() == ratios[best[:-1], best[1:]].tolist()
        even, least = (cost[way[:-1], way[1:]].sum() for way in (np.arange(0, 121, 12), best))
        assert least <= even * (1 + 1e-9)
        assert (least > 0.999 * even) == best_sigma


def test_samples_in_few_best_steps_have_the_datas_variance(monkeypatch):
    """p(z_s | z_t) of Gaussian data, its best denoiser and the best sigma_P is exact, however long a step is."""
    s, model, generator = 1.0, gaussian_model(1.0, Identity()), torch.Generator().manual_seed(0)
    monkeypatch.setattr(model, "decode", lambda z: z)
    exact, spread = BestSteps(GAMMA_0 + SLOPE * np.linspace(0, 1, 121), gaussian_q(s)), {}
    for best_sigma in (False, True):
        noise = torch.randn(6, 20_000, 1, 1, 1, generator=generator, dtype=torch.float64)
        with torch.no_grad():
            spread[best_sigma] = ancestral(model, exact.of(5, best_sigma), noise.__getitem__).var().item()
    error = (2 / 20_000) ** 0.5
    assert spread[True] == pytest.approx(s**2, abs=4 * error)
    assert spread[False] < s**2 - 40 * error


@pytest.mark.parametrize("name", ["VDMv-2", "DiffEnc-2-1"])
def test_samples_take_the_steps_that_training_images_fit(name, images):
    model = randomised(build(name, DATASETS["digits"], "fixed"))
    asked = Samples(count=3, steps=4, seed=2, fit=5)
    drawn = draw_samples(model, (1, 8, 8), asked, CPU, train=images)
    steps = fit(model, images[:5], 2, 5, CPU).of(4, best_sigma=True)

    def noise_of(i):
        return noise.normal(noise.keys(noise.stream(2, noise.Purpose.SAMPLE, i), torch.arange(3)), (1, 8, 8))

    with torch.no_grad():
        z = noise_of(4)
        for i in (3, 2, 1, 0):
            gammas = torch.tensor(steps.gammas[i : i + 2], dtype=torch.float32)
            z = model.step_between(z, *gammas, noise_of(i) / float(steps.ratios[i]) ** 0.5)
        assert np.abs(model.decode(z).numpy().astype(int) - drawn).max() <= 1
    assert (drawn != draw_samples(model, (1, 8, 8), asked.model_copy(update={"fit": None}), CPU)).mean() > 0.2


def test_more_steps_than_can_be_fitted_are_refused():
    with pytest.raises(ValueError, match="fit: of more than 60 steps the best are not fitted; take fewer, or no fit"):
        Samples(steps=61, fit=100)


def test_the_bound_in_the_best_steps_is_lower_and_in_even_ones_what_it_was(images):
    model = gaussian_model(0.6, NonTrainable())
    pixels = np.random.default_rng(2).integers(0, 256, (300, 1, 4, 4)).astype(np.uint8)
    plain = Depth(depths=[4, 10, 100], ratios=[], passes=2, images=100)
    without = finite_depth(model, pixels[200:], plain, 100, CPU, pixels[:200])
    fitted = finite_depth(model, pixels[200:], plain.model_copy(update={"fit": 150}), 100, CPU, pixels[:200])
    assert fitted["fitted_on"] == 150
    for before, now in zip(without["depths"], fitted["depths"], strict=True):
        assert {name: now["bounds"][name] for name in before["bounds"]} == before["bounds"]
        assert ("gammas" in now) == (now["T"] <= 60)
    for at in fitted["depths"][:2]:
        mean = {name: bound["diffusion"]["mean"] for name, bound in at["bounds"].items()}
        assert mean["best_steps"] < 0.97 * mean["sigma_Q"]
        # with a Gaussian's denoiser the best sigma_P leaves the steps little to do
        assert mean["best_steps_and_sigma_P"] < 1.01 * mean["best"]
        for gammas in at["gammas"].values():
            assert len(gammas) == at["T"] + 1
            assert (np.diff(gammas) > 0).all()
            assert [gammas[0], gammas[-1]] == pytest.approx([GAMMA_0, GAMMA_1], rel=1e-6)
