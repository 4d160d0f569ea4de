"""Evaluation: every image, every pass, the same noise for every model, and an error that is the spread it claims."""

import math

import numpy as np
import pytest
import torch

from diffenc.data.catalog import DATASETS
from diffenc.evaluation.elbo import evaluate, summarise
from diffenc.evaluation.noise import draw, draw_as_authors, given_noise
from diffenc.io.errors import UserError
from diffenc.study.settings import Evaluation
from diffenc.zoo.build import build

CPU = torch.device("cpu")
AUTHORS_BATCH = DATASETS["digits"].batch


@pytest.fixture(scope="module")
def model():
    model = build("VDMv-2", DATASETS["digits"], "fixed", seed=0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
    return model


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 17, (50, 1, 8, 8)).astype(np.uint8)


def test_every_image_is_measured_whatever_the_batch(model, images):
    settings = Evaluation(passes=2)
    whole, parts = (evaluate(model, images, settings, batch, CPU) for batch in (50, 16))
    assert whole["diffusion"].shape == (2, 50)
    for name in whole:
        np.testing.assert_allclose(whole[name], parts[name], rtol=1e-4)


def test_an_images_terms_do_not_depend_on_the_other_images(model, images):
    all_of_them = evaluate(model, images, Evaluation(passes=2), 50, CPU)
    some = evaluate(model, images, Evaluation(passes=1, images=20), 50, CPU)
    for name in some:
        np.testing.assert_allclose(some[name][0], all_of_them[name][0, :20], rtol=1e-4)


def test_noise_is_fresh_in_every_pass_and_for_every_image():
    indices = torch.arange(400)
    passes = [draw(0, p, indices, (1, 8, 8)) for p in range(2)]
    (t, *noise), (other_t, *other_noise) = passes
    assert (t - other_t).abs().min() > 0
    for first, second in zip(noise, other_noise, strict=True):
        assert abs(np.corrcoef(first.flatten(), second.flatten())[0, 1]) < 4 / math.sqrt(first.numel())
    for t, eps_0, eps_t in passes:
        counts = np.histogram(t, bins=20, range=(0, 1))[0]
        assert counts.min() >= 18
        assert counts.max() <= 22
        assert eps_0.std().item() == pytest.approx(1, abs=0.02)
        assert not torch.equal(eps_0, eps_t)
    assert not torch.equal(draw(1, 0, indices, (1, 8, 8))[1], passes[0][1])


def test_one_image_meets_all_times_over_many_passes():
    t = torch.cat([draw(0, p, torch.tensor([7]), (1, 1, 1))[0] for p in range(2000)])
    assert np.histogram(t, bins=10, range=(0, 1))[0].min() > 140


def test_the_authors_protocol_has_one_noise_and_drops_the_last_batch(model):
    first, second = (draw_as_authors(0, 0, torch.arange(k, k + 4), (1, 8, 8)) for k in (0, 128))
    for a, b in zip(first, second, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    gaps = first[0].sort().values.diff()
    torch.testing.assert_close(gaps, torch.full_like(gaps, 0.25))
    images = np.random.default_rng(0).integers(0, 17, (2 * AUTHORS_BATCH + 5, 1, 8, 8)).astype(np.uint8)
    terms = evaluate(model, images, Evaluation(passes=1, protocol="authors"), AUTHORS_BATCH, CPU)
    assert terms["t"].shape == (1, 2 * AUTHORS_BATCH)
    np.testing.assert_array_equal(terms["t"][0, :AUTHORS_BATCH], terms["t"][0, AUTHORS_BATCH:])


def test_summary_against_plain_numpy(model, images):
    terms = evaluate(model, images, Evaluation(passes=4), 50, CPU)
    summary = summarise(terms)
    total = sum(terms[name].astype(np.float64) for name in ("diffusion", "latent", "reconstruction"))
    assert summary["bpd"]["total"]["mean"] == pytest.approx(total.mean())
    assert summary["bpd"]["total"]["mc_se"] == pytest.approx(np.std(total.mean(axis=1), ddof=1) / 2)
    assert summary["bpd"]["latent"]["mc_se"] == pytest.approx(0, abs=1e-9)
    rows = summary["loss_per_t"]
    assert sum(row["n"] for row in rows) == 200
    assert sum(row["n"] * row["diffusion"] for row in rows) / 200 == pytest.approx(
        terms["diffusion"].mean(), rel=1e-5
    )
    inside = terms["diffusion"][(terms["t"] >= 0.5) & (terms["t"] < 0.55)]
    assert rows[10]["diffusion"] == pytest.approx(inside.mean(), rel=1e-5)
    assert summarise(evaluate(model, images, Evaluation(passes=1), 50, CPU))["bpd"]["total"]["mc_se"] is None


def test_the_monte_carlo_error_is_the_spread_of_repeated_evaluations(model, images):
    claimed, means = [], []
    for seed in range(20):
        total = summarise(evaluate(model, images, Evaluation(passes=2, seed=seed), 50, CPU))["bpd"]["total"]
        claimed.append(total["mc_se"])
        means.append(total["mean"])
    spread = np.std(means, ddof=1)
    # 20 repetitions know their spread to about 16 %, and so do the claims
    assert math.sqrt(np.mean(np.square(claimed))) == pytest.approx(spread, rel=0.6)


GREY, RGB = (1, 4, 5), (3, 4, 5)


def given(folder, shape=RGB, count=3, **other):
    """An .npz of given noise, channels last; `other` replaces arrays of it."""
    rng, (channels, *sides) = np.random.default_rng(0), shape
    arrays = {name: rng.standard_normal((count, *sides, channels)) for name in ("eps_0", "eps_t")}
    np.savez(folder / "noise.npz", **{"t": np.linspace(0, 1, count)} | arrays | other)
    return folder / "noise.npz"


@pytest.mark.parametrize("shape", [GREY, RGB])
def test_given_noise_is_dealt_to_its_images(tmp_path, shape):
    file = given(tmp_path, shape)
    arrays = np.load(file)
    t, *noise = given_noise(file, 3, shape)(0, 0, torch.tensor([2, 0]), shape)
    assert t.tolist() == [1, 0]
    for found, name in zip(noise, ("eps_0", "eps_t"), strict=True):
        assert found.shape == (2, *shape)
        np.testing.assert_array_equal(found[0].numpy(), np.moveaxis(arrays[name][2].astype(np.float32), -1, 0))


def test_given_noise_of_grey_images_needs_no_axis_of_channels(tmp_path):
    file = given(tmp_path, GREY)
    with_axis = given_noise(file, 3, GREY)(0, 0, torch.arange(3), GREY)
    flat = {name: np.load(file)[name][..., 0] for name in ("eps_0", "eps_t")}
    for a, b in zip(
        with_axis, given_noise(given(tmp_path, GREY, **flat), 3, GREY)(0, 0, torch.arange(3), GREY), strict=True
    ):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        # broadcast to all channels without a word
        ({"eps_t": np.zeros((3, 4, 5, 1))}, r"eps_t has shape \(3, 4, 5, 1\); .* one of shape \(3, 4, 5, 3\)"),
        ({"eps_0": np.zeros((3, 3, 4, 5))}, r"eps_0 has shape \(3, 3, 4, 5\)"),
        ({"eps_0": np.zeros((3, 4, 5))}, r"eps_0 has shape \(3, 4, 5\)"),
        ({"eps_0": np.zeros((2, 4, 5, 3))}, r"eps_0 has shape \(2, 4, 5, 3\); for the 3 images"),
        ({"t": np.zeros((3, 1))}, r"t has shape \(3, 1\); .* \(3,\)"),
        ({"t": np.float32(0)}, r"t has shape \(\)"),
        ({"t": np.array([0, np.nan, 1])}, "t has values that are not finite"),
        ({"eps_t": np.full((3, 4, 5, 3), np.inf)}, "eps_t has values that are not finite"),
        ({"t": np.array([0, 0.5, 1.5])}, "t is from 0 to 1.5; give times between 0 and 1"),
        ({"t": np.array([-0.1, 0.5, 1])}, "t is from -0.1 to 1;"),
        ({"t": np.array(["a", "b", "c"])}, "cannot be read"),
        ({"eps_0": np.zeros((3, 4, 5, 3), complex)}, "cannot be read"),
    ],
)
def test_given_noise_that_does_not_fit_is_refused(tmp_path, other, message):
    with pytest.raises(UserError, match=rf"noise\.npz: {message}") as error:
        given_noise(given(tmp_path, **other), 3, RGB)
    assert "\n" not in str(error.value)


def test_given_noise_that_is_no_npz_is_refused(tmp_path):
    for file in (tmp_path / "none.npz", tmp_path / "text.npz", tmp_path / "one.npy"):
        if file.name == "text.npz":
            file.write_text("no arrays")
        if file.name == "one.npy":
            np.save(file, np.zeros(3))
        with pytest.raises(UserError, match=r"cannot be read .*; give an \.npz of t, eps_0, eps_t"):
            given_noise(file, 3, RGB)
