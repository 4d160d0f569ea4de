"""Gaussian data has an exact likelihood: with the optimal denoiser in place of the network, so must the terms."""

import math

import numpy as np
import pytest
import torch
from gaussian import (
    GAMMA_0,
    GAMMA_1,
    SLOPE,
    D,
    alpha2,
    diffusion_term,
    draw,
    gaussian_model,
    randomised,
    sigma2,
)
from scipy.integrate import quad

from diffenc.data.catalog import DATASETS
from diffenc.models.encoders import Identity, NonTrainable
from diffenc.models.schedules import FixedSchedule, LearnedSchedule, MonotoneSchedule
from diffenc.zoo.build import build


def assert_mean(values, expected):
    error = values.std().item() / math.sqrt(len(values))
    assert abs(values.mean().item() - expected) < 4 * error
    assert error < 0.01 * abs(expected)


@pytest.mark.parametrize("schedule", [FixedSchedule, LearnedSchedule, MonotoneSchedule])
@pytest.mark.parametrize("prediction", ["v", "epsilon"])
@pytest.mark.parametrize("s", [0.3, 1.0, 2.5])
def test_diffusion_term_of_vdm(s, prediction, schedule):
    x, t, eps = draw(s, 20_000)
    with torch.no_grad():
        terms = diffusion_term(gaussian_model(s, Identity(), prediction, schedule), x, t, eps)
    exact = D / 2 * (math.log1p(s**2 * math.exp(-GAMMA_0)) - math.log1p(s**2 * math.exp(-GAMMA_1)))
    assert_mean(terms, exact)


@pytest.mark.parametrize("s", [0.3, 1.0, 2.5])
def test_diffusion_term_of_the_non_trainable_encoder(s):
    def integrand(t):
        gamma = GAMMA_0 + SLOPE * t
        a2, s2 = alpha2(gamma), sigma2(gamma)
        variance = a2**2 * s**2 * s2 / (a2**3 * s**2 + s2)  # Var(x_t | z_t) of one dimension
        return 0.5 * SLOPE * a2 * (1 / math.sqrt(s2) + math.sqrt(s2)) ** 2 * D * variance

    x, t, eps = draw(s, 20_000)
    with torch.no_grad():
        terms = diffusion_term(gaussian_model(s, NonTrainable()), x, t, eps)
    assert_mean(terms, quad(integrand, 0, 1)[0])


@pytest.mark.parametrize("encoder", [Identity(), NonTrainable()])
def test_latent_term(encoder):
    s = 1.3
    x, _, _ = draw(s, 20_000)
    model = gaussian_model(s, encoder)
    a2, s2 = alpha2(GAMMA_1), sigma2(GAMMA_1)
    second_moment = s**2 * (a2**2 if isinstance(encoder, NonTrainable) else 1)
    terms = model.latent(model.encode(x, torch.full((len(x),), GAMMA_1, dtype=x.dtype)))
    assert_mean(terms, D / 2 * (a2 * second_moment + s2 - math.log(s2) - 1))


@pytest.mark.parametrize("encoder", [Identity(), NonTrainable()])
@pytest.mark.parametrize("s", [0.4, 1.5])
def test_ancestral_sampling_gives_the_variance_back(s, encoder):
    model, steps, count = gaussian_model(s, encoder), 500, 4000
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        z = torch.randn(count, 1, 4, 4, generator=generator, dtype=torch.float64)
        for i in reversed(range(steps)):
            eps = torch.randn(z.shape, generator=generator, dtype=torch.float64)
            z = model.sample_step(z, i / steps, (i + 1) / steps, eps)
    x = z / math.sqrt(alpha2(GAMMA_0))
    error = s**2 * math.sqrt(2 / x.numel())
    # besides the Monte Carlo error, time steps of finite length leave a bias of order 1 / T
    assert x.square().mean().item() == pytest.approx(s**2, abs=4 * error + 5 * s**2 / steps)


def inputs(model, channels=1, side=8, count=3):
    generator = torch.Generator().manual_seed(5)
    images = torch.randint(0, model.levels, (count, channels, side, side), generator=generator, dtype=torch.uint8)
    noise = [torch.randn(images.shape, generator=generator, dtype=torch.float64) for _ in range(2)]
    return images, torch.tensor([0.1, 0.5, 0.95], dtype=torch.float64)[:count], *noise


def test_a_trainable_encoder_with_y_zero_is_the_non_trainable_one():
    trainable, fixed = (build(name, DATASETS["digits"], "fixed").double() for name in ("DiffEnc-2-1", "DiffEnc-2-nt"))
    randomised(trainable.denoiser)
    fixed.denoiser.load_state_dict(trainable.denoiser.state_dict())
    batch = inputs(trainable)
    for ours, theirs in zip(trainable.loss_terms(*batch), fixed.loss_terms(*batch), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=0)


@pytest.mark.parametrize(("name", "dataset"), [("DiffEnc-2-1", "digits"), ("DiffEnc-8-4", "mnist")])
@pytest.mark.parametrize("dropout", [False, True])
def test_encoder_motion_is_the_finite_difference(name, dataset, dropout):
    model = randomised(build(name, DATASETS[dataset], "fixed", dropout=0.1).double())
    side = {"digits": 8, "mnist": 28}[dataset]
    x = model.scale(inputs(model, side=side)[0])
    gamma, h = torch.tensor([-6.0, -1.0, 3.0], dtype=torch.float64), 1e-6
    keys = torch.arange(5, 8) if dropout else None  # with 0, 1, 2 a maximum changes places within h
    with torch.no_grad():
        x_t, r = model.encoder.with_mean_shift(x, gamma, keys)
        slope = (model.encode(x, gamma + h, keys) - model.encode(x, gamma - h, keys)) / (2 * h)
        torch.testing.assert_close(x_t, model.encode(x, gamma, keys))
    from_jvp = -torch.sigmoid(gamma)[:, None, None, None] * r
    assert (from_jvp - slope).abs().max() < 1e-7 * slope.abs().max() + 1e-8
    assert slope.abs().max() > 1e-3


def test_gradient_of_the_loss_is_the_finite_difference():
    model = randomised(build("DiffEnc-2-1", DATASETS["digits"], "learned").double())
    batch = inputs(model)
    parameters = list(model.parameters())
    generator = torch.Generator().manual_seed(7)
    direction = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in parameters]
    model.loss_terms(*batch).total.sum().backward()
    from_backward = sum((p.grad * d).sum().item() for p, d in zip(parameters, direction, strict=True))

    def moved(h):
        with torch.no_grad():
            for p, d in zip(parameters, direction, strict=True):
                p.add_(h * d)
            value = model.loss_terms(*batch).total.sum().item()
            for p, d in zip(parameters, direction, strict=True):
                p.sub_(h * d)
        return value

    h = 1e-7
    assert from_backward == pytest.approx((moved(h) - moved(-h)) / (2 * h), rel=1e-4)


@pytest.mark.parametrize("side", [5, 7, 12])
@pytest.mark.parametrize("name", ["VDM-8", "DiffEnc-8-2", "DiffEnc-8-4"])
def test_any_image_size(name, side):
    model = build(name, DATASETS["cifar10"], "fixed")
    images, t, *noise = inputs(model, channels=3, side=side, count=1)
    with torch.no_grad():
        terms = model.loss_terms(images, t.float(), *(eps.float() for eps in noise))
    assert all(torch.isfinite(term).all() for term in terms)


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_decoder_is_the_softmax_over_levels(levels):
    from scipy.special import log_softmax

    from diffenc.models import likelihood

    rng, gamma_0 = np.random.default_rng(0), -4.0
    images, z = rng.integers(0, levels, (2, 1, 3, 3)), rng.normal(size=(2, 1, 3, 3))
    values = 2 * (np.arange(levels) + 0.5) / levels - 1
    expected = log_softmax(-((z[..., None] - values) ** 2) * np.exp(-gamma_0) / 2, axis=-1)
    picked = np.take_along_axis(expected, images[..., None], -1).sum((1, 2, 3, 4))
    ours = likelihood.log_prob(torch.tensor(images), torch.tensor(z), torch.tensor(gamma_0).double(), levels)
    np.testing.assert_allclose(ours, picked, rtol=1e-10)
    best = likelihood.most_likely(torch.tensor(z), torch.tensor(gamma_0), levels)
    np.testing.assert_array_equal(best, expected.argmax(-1))


@pytest.mark.parametrize(
    ("name", "dataset", "count"),
    [("VDMv-8", "cifar10", 8_905_219), ("DiffEnc-8-2", "cifar10", 10_811_462)],
)
def test_parameter_counts(name, dataset, count):
    from diffenc.zoo.build import parameters

    assert parameters(build(name, DATASETS[dataset], "fixed")) == count
