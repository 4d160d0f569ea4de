"""The diffusion term by noise level, on Gaussian data and on uniform pixels, whose best linear denoiser is known."""

import math

import numpy as np
import pytest
from gaussian import GAMMA_0, GAMMA_1, D, gaussian_model
from scipy.integrate import quad
from short_training import CPU

from diffenc.evaluation.noise_levels import noise_levels
from diffenc.models.encoders import Identity
from diffenc.models.schedules import MonotoneSchedule
from diffenc.results.noise_levels import LEAST, OWN, by_bin, centres, sum_of_bounds, variances, weighted_loss
from diffenc.study.settings import NoiseLevels
from diffenc.zoo.configs import WEIGHTINGS

BPD = 1 / (D * math.log(2))
S = math.sqrt((1 - 1 / 256**2) / 3)  # of uniform pixels, in (-1, 1)
BINS = 40


@pytest.fixture(scope="module")
def found():
    values = np.repeat(np.arange(256), 1000 * D // 256 + 1)[: 1000 * D]
    pixels = np.random.default_rng(0).permutation(values).reshape(1000, 1, 4, 4).astype(np.uint8)
    model = gaussian_model(S, Identity(), schedule=MonotoneSchedule)
    return noise_levels(model, pixels, NoiseLevels(images=1000, passes=8, bins=BINS), 300, CPU)


def v(gamma):
    """The variance of eps given z_t, in units of its own: m is D v / 2 on average."""
    return S**2 / (S**2 + np.exp(gamma))


def test_the_term_at_each_level(found):
    assert found["count"].sum() == 8000
    exact = D / 2 * v(centres(found)) * BPD
    np.testing.assert_allclose(by_bin(found, "m"), exact, rtol=0.2)
    width = (GAMMA_1 - GAMMA_0) / BINS
    whole = quad(lambda gamma: D / 2 * v(gamma) * BPD, GAMMA_0, GAMMA_1)[0]
    assert (by_bin(found, "m") * width).sum() == pytest.approx(whole, rel=0.01)
    np.testing.assert_allclose(found["gamma"][[0, -1]], [GAMMA_0, GAMMA_1], rtol=1e-6)
    slope = np.gradient(found["gamma"], found["t"])
    np.testing.assert_allclose(found["slope"][1:-1], slope[1:-1], rtol=0.05)


def test_weighted_losses_are_integrals_of_bounds(found):
    """From the same draws they are the same to rounding; from others, to the noise."""
    for omega in found["omega"]:
        assert sum_of_bounds(found, omega) == pytest.approx(weighted_loss(found, omega), rel=1e-10)
    edges = found["edges"]
    for name, at in {"sigmoid": lambda g: 1 / (1 + np.exp(-g - 2)), "v_cosine": lambda g: np.exp(g / 2)}.items():
        omega = found["omega"][list(WEIGHTINGS).index(name)]
        np.testing.assert_allclose(omega, at(edges), rtol=1e-9)
        exact = quad(lambda gamma, at=at: at(gamma) * D / 2 * v(gamma) * BPD, GAMMA_0, GAMMA_1)[0]
        exact += at(GAMMA_1) * found["latent"].mean()
        assert weighted_loss(found, omega, slice(0, None, 2)) == pytest.approx(exact, rel=0.05)
        assert sum_of_bounds(found, omega, slice(1, None, 2)) == pytest.approx(exact, rel=0.05)


def exact_levels(d, bins=4000):
    """What Gaussian data of unit variance gives without noise: m = v chi^2_d / 2 with v = 1 / (1 + e^gamma)."""
    edges, t = np.linspace(GAMMA_0, GAMMA_1, bins + 1), np.linspace(0, 1, 201)
    mean = d / 2 / (1 + np.exp((edges[1:] + edges[:-1]) / 2))
    moments = {"m": mean[None], "m_squared": (mean**2 * (1 + 2 / d))[None], "count": np.ones((1, bins))}
    line = {"t": t, "gamma": GAMMA_0 + (GAMMA_1 - GAMMA_0) * t, "slope": np.full(201, GAMMA_1 - GAMMA_0)}
    return {"edges": edges, **moments, **line}


def variance_of(gamma_of_t, d):
    """By an integral over t, with the slope from differences."""
    t = np.linspace(0, 1, 2_000_001)
    gamma = gamma_of_t(t)
    rate, m = np.diff(gamma) / np.diff(t), d / 2 / (1 + np.exp((gamma[1:] + gamma[:-1]) / 2))
    return ((rate * m) ** 2).mean() * (1 + 2 / d) - (rate * m).mean() ** 2


def fitted(shape):
    return lambda t: GAMMA_0 + (GAMMA_1 - GAMMA_0) * (shape(t) - shape(0)) / (shape(1) - shape(0))


def cosine(t):
    first, last = (2 / math.pi * math.atan(math.exp(end / 2)) for end in (GAMMA_0, GAMMA_1))
    return 2 * np.log(np.tan(math.pi / 2 * (first + (last - first) * t)))


@pytest.mark.parametrize("d", [4, 64])
def test_variances_under_schedules(d):
    found = variances(exact_levels(d))
    expected = {
        OWN: lambda t: GAMMA_0 + (GAMMA_1 - GAMMA_0) * t,
        "line": lambda t: GAMMA_0 + (GAMMA_1 - GAMMA_0) * t,
        "beta-linear": fitted(lambda t: np.log(np.expm1(1e-4 + 10 * np.square(t)))),
        "cosine": cosine,
    }
    for name, gamma in expected.items():
        assert found[name] == pytest.approx(variance_of(gamma, d), rel=2e-3), name
    mean = d / 2 * (math.log1p(math.exp(-GAMMA_0)) - math.log1p(math.exp(-GAMMA_1)))
    assert found[LEAST] == pytest.approx(2 * mean**2 / d, rel=1e-5)
