"""Weightings: their formulas written another way, whether they are monotone, and the losses of Gaussian data."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.optimize import minimize_scalar
from scipy.stats import norm

from diffenc.models.weightings import EDM_PEAK, WEIGHTINGS, weighting

GAMMA_0, GAMMA_1 = -13.3, 5.0


def edm(g):
    return norm.pdf(-g, 2.4, 2.4) * (math.exp(g) + 0.25)


FORMULAS = {
    "elbo": lambda g: 1.0,
    "eps_cosine": lambda g: 1 / math.cosh(g / 2),
    "v_cosine": lambda g: math.exp(g / 2),
    "flow_ot": lambda g: (1 + math.exp(g / 2)) ** 2 / (4 * math.cosh(g / 4) ** 2),
    "indi": lambda g: math.exp(g) / math.cosh(g / 4) ** 2,
    "edm": edm,
    "edm_monotonic": lambda g: edm(min(g, EDM_PEAK)),
    "p2": lambda g: 1 / math.cosh(g / 2) / (1 + math.exp(-g)),
    "min_snr": lambda g: min(math.exp(-g), 5.0) * math.exp(g) / math.cosh(g / 2),
    "soft_min_snr": lambda g: math.exp(-g) * 5 / (math.exp(-g) + 5) * math.exp(g) / math.cosh(g / 2),
    "sigmoid": lambda g: 1 / (1 + math.exp(-g - 2)),
}


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_each_is_its_formula_up_to_a_factor(name):
    grid = torch.linspace(-20, 20, 161, dtype=torch.float64)
    found = weighting(name)(grid).numpy()
    ratio = found / np.array([FORMULAS[name](g) for g in grid.tolist()])
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-12)
    assert weighting(name).monotone == bool((np.diff(found) >= 0).all())


@pytest.mark.parametrize("name", ["min_snr", "soft_min_snr"])
def test_with_uniform_times_they_are_monotone(name):
    found = weighting(name, y=3.0, cosine=False)
    values = found(torch.linspace(-20, 20, 161, dtype=torch.float64))
    assert found.monotone
    assert (values.diff() >= 0).all()
    assert values.max() == pytest.approx(1)


def test_edm_s_peak():
    assert minimize_scalar(lambda g: -edm(g), bracket=(1, 3, 5), tol=1e-14).x == pytest.approx(EDM_PEAK, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "parameters", "said"),
    [
        ("sigmod", {}, "unknown weighting 'sigmod'; known: elbo, eps_cosine"),
        ("sigmoid", {"y": 2}, "sigmoid: has no parameter y; it has k"),
        ("elbo", {"k": 2}, "elbo: has no parameter k; it has none"),
    ],
)
def test_what_there_is_not(name, parameters, said):
    with pytest.raises(ValueError, match=said):
        weighting(name, **parameters)


GAUSSIAN = {
    "elbo": (5.4457333826, 6.6466431630, 7.5456660733),
    "sigmoid": (0.4046194276, 1.1531553103, 1.9380821639),
    "v_cosine": (0.4625587269, 1.4876009265, 3.4196905077),
}


@pytest.mark.parametrize("name", GAUSSIAN)
@pytest.mark.parametrize(("s", "place"), [(0.3, 0), (1.0, 1), (2.5, 2)])
def test_the_loss_of_gaussian_data_is_an_integral_of_bounds(name, s, place):
    """Per dimension: m = v / 2 with v = s^2 / (s^2 + e^gamma), and J(gamma) the bound of data noised to gamma."""
    omega = weighting(name)

    def of(gamma):
        return omega(torch.tensor(gamma, dtype=torch.float64)).item()

    def slope(gamma):
        at = torch.tensor(gamma, dtype=torch.float64, requires_grad=True)
        return torch.autograd.grad(omega(at) + 0 * at, at)[0].item()

    def integral(of_gamma):
        return quad(of_gamma, GAMMA_0, GAMMA_1, epsabs=1e-13, epsrel=1e-12, limit=500)[0]

    variance = s**2 / (1 + math.exp(GAMMA_1)) + 1 / (1 + math.exp(-GAMMA_1))
    latent = (variance - 1 - math.log(variance)) / 2

    def bound(gamma):
        return (math.log1p(s**2 * math.exp(-gamma)) - math.log1p(s**2 * math.exp(-GAMMA_1))) / 2 + latent

    loss = integral(lambda gamma: of(gamma) * s**2 / (s**2 + math.exp(gamma)) / 2)
    assert loss == pytest.approx(GAUSSIAN[name][place], abs=2e-10)
    bounds = of(GAMMA_0) * bound(GAMMA_0) + integral(lambda gamma: slope(gamma) * bound(gamma))
    assert loss + of(GAMMA_1) * latent == pytest.approx(bounds, abs=1e-9)
