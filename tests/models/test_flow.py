"""The probability-flow ODE: its velocity, divergence and density, where they are known."""

import math

import gaussian
import numpy as np
import pytest
import torch
from gaussian import GAMMA_0, GAMMA_1
from scipy.integrate import quad, solve_ivp
from scipy.stats import norm
from torch import nn

from diffenc.models import flow, noise
from diffenc.models.diffusion import Diffusion
from diffenc.models.encoders import Encoder, Identity, NonTrainable
from diffenc.models.flow import Precision
from diffenc.models.schedules import FixedSchedule
from diffenc.zoo.build import assemble
from diffenc.zoo.configs import MODELS

S = 0.6
FINE = Precision(1e-9)


def starts(count=5, seed=0):
    """z (count, 1, 2, 2) float64, and gammas from GAMMA_0 on."""
    z = torch.randn(count, 1, 2, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return 0.5 * z, torch.linspace(GAMMA_0, 2.0, count, dtype=torch.float64)


@pytest.mark.parametrize("prediction", ["v", "epsilon"])
@pytest.mark.parametrize("encoder", [Identity(), NonTrainable()], ids=["VDM", "nt"])
def test_gaussian_data(encoder, prediction):
    """z_t is N(0, alpha^2 m^2 s^2 + sigma^2); the flow is a multiple, and z_1's prior N(0, 1)."""
    model = gaussian.gaussian_model(S, encoder, prediction)
    z, gamma = starts()
    found = flow.log_density(model, z, gamma, FINE)

    def variance(gamma):
        a2, s2 = gaussian.alpha2(gamma), gaussian.sigma2(gamma)
        return a2 * (a2 if isinstance(encoder, NonTrainable) else 1) ** 2 * S**2 + s2

    for one, at, log_prob in zip(z, gamma.tolist(), found.log_prob[:, 0].tolist(), strict=True):
        std = math.sqrt(variance(at) / variance(GAMMA_1))
        assert log_prob == pytest.approx(norm.logpdf(one.flatten().numpy(), scale=std).sum(), abs=1e-6)


class Fade(Encoder):
    """x_t = (1 - strength sigma^2) x, whose mean shift the counterterm does not match."""

    strength = 0.6

    def forward(self, x, gamma):
        return (1 - self.strength * torch.sigmoid(gamma))[:, None, None, None] * x


class OfFaded(nn.Module):
    """v_hat of a multiple of the posterior mean E[x_t | z_t], or of what the bound is least for."""

    def __init__(self, least, off=1.0):
        super().__init__()
        self.least, self.off = least, off

    def forward(self, z, gamma, keys=None):
        a2, s2 = (torch.sigmoid(sign * gamma)[:, None, None, None] for sign in (-1, 1))
        m = 1 - Fade.strength * s2
        x_hat = a2.sqrt() * m**2 * S**2 * z / (a2 * m**2 * S**2 + s2)
        if self.least == "bound":  # E[x_t - dx_t/dgamma | z_t] / (1 + sigma^2)
            x_hat = x_hat * (1 + Fade.strength * a2 * s2 / m) / (1 + s2)
        return (a2.sqrt() * z - self.off * x_hat) / s2.sqrt()


@pytest.mark.parametrize("least", ["denoising", "bound"])
def test_a_counterterm_that_does_not_match(least):
    """Off by -alpha delta; where the bound is least, by that / 2 (1 + sigma^2) (docs/equations.md)."""
    schedule = FixedSchedule(GAMMA_0, GAMMA_1)
    model = Diffusion(schedule, Fade(), OfFaded(least), 256, "v").double()
    z, _ = starts()
    found = flow.log_density(model, z, torch.full((5,), GAMMA_0, dtype=torch.float64), FINE)

    def variance(gamma):
        return gaussian.alpha2(gamma) * (1 - Fade.strength * gaussian.sigma2(gamma)) ** 2 * S**2 + gaussian.sigma2(
            gamma
        )

    def off(gamma):
        """By how much the log variance rises faster than it should."""
        a2, s2 = gaussian.alpha2(gamma), gaussian.sigma2(gamma)
        m = 1 - Fade.strength * s2
        delta = (s2 - Fade.strength * a2 * s2 / m) * math.sqrt(a2) * m**2 * S**2 / variance(gamma)  # times z
        return -2 * math.sqrt(a2) * delta * (1 if least == "denoising" else 1 / (2 + 2 * s2))

    gathered = quad(off, GAMMA_0, GAMMA_1, epsabs=1e-11)[0]
    std = math.sqrt(variance(GAMMA_0) / variance(GAMMA_1) * math.exp(-gathered))
    expected = norm.logpdf(z.flatten(1).numpy(), scale=std).sum(1)
    assert abs(gathered) > 0.01
    assert found.log_prob[:, 0].numpy() == pytest.approx(expected, abs=1e-6)


def test_what_the_bound_is_least_for():
    """x_hat = E[x_t - dx_t/dgamma | z_t] / (1 + sigma^2), not E[x_t | z_t]."""
    x, _, eps = gaussian.draw(S, 1024)
    t = torch.full((1024,), 0.75, dtype=torch.float64)

    def term(denoiser):
        model = Diffusion(FixedSchedule(GAMMA_0, GAMMA_1), Fade(), denoiser, 256, "v").double()
        return gaussian.diffusion_term(model, x, t, eps).mean().item()

    best = term(OfFaded("bound"))
    assert best < min(term(OfFaded("bound", off)) for off in (0.9, 1.1))
    assert best < term(OfFaded("denoising"))


def small(name, side=4):
    torch.manual_seed(0)
    return gaussian.randomised(assemble(MODELS[name], 1, 17, side, "fixed")).double()


@pytest.mark.parametrize("name", ["VDM-2", "VDMv-2", "DiffEnc-2-1", "DiffEnc-2-nt"])
def test_velocity_of_the_ancestral_step(name):
    """The mean of an infinitesimal step, and half its variance times the score -(z - alpha x_hat) / sigma^2."""
    model = small(name)
    z = torch.randn(3, 1, 4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    gamma = torch.tensor(-1.3, dtype=torch.float64)
    with torch.no_grad():
        drift = -(model._step_mean(z, gamma - 1e-6, gamma) - model._step_mean(z, gamma + 1e-6, gamma)) / 2e-6
        a, s = math.sqrt(gaussian.alpha2(-1.3)), math.sqrt(gaussian.sigma2(-1.3))
        x_hat = model.parameterization.x_hat(z, model.denoise(z, gamma.expand(3)), a, s)
        found = flow.velocity(model, z, gamma.expand(3))
    assert found.numpy() == pytest.approx((drift - (z - a * x_hat) / 2).numpy(), rel=1e-6, abs=1e-8)


def test_divergence():
    model = small("DiffEnc-2-1")
    z = torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    gamma = torch.tensor([-2.0, 1.0], dtype=torch.float64)
    moved, products = flow.with_products(model, z, gamma, flow.unit_vectors(z))
    assert torch.equal(moved, flow.velocity(model, z, gamma).detach())
    # each element by central differences
    h = 1e-5 * torch.eye(16, dtype=torch.float64).view(16, 1, 1, 4, 4)
    with torch.no_grad():
        rises = [(flow.velocity(model, z + e, gamma) - flow.velocity(model, z - e, gamma)) / 2e-5 for e in h]
    diagonal = torch.stack([rise.flatten(1)[:, i] for i, rise in enumerate(rises)], 1)
    assert products.numpy() == pytest.approx(diagonal.numpy(), rel=1e-5, abs=2e-6)


def test_density_of_a_network_by_scipy():
    """The whole of it by another solver, in t rather than gamma, with another way to the trace."""
    model = small("DiffEnc-2-1", side=2)
    z = torch.randn(1, 1, 2, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    start = torch.tensor([0.995], dtype=torch.float64)

    def by_t(t, state):
        gamma = model.schedule(torch.tensor([t], dtype=torch.float64))
        at = torch.tensor(state[:4]).view(1, 1, 2, 2)
        jacobian = torch.autograd.functional.jacobian(lambda z: flow.velocity(model, z, gamma), at).view(4, 4)
        with torch.no_grad():
            moved = flow.velocity(model, at, gamma)
        slope = model.schedule.dgamma_dt(gamma).item()
        return slope * np.append(moved.flatten().numpy(), jacobian.trace().item())

    end = solve_ivp(by_t, (0.995, 1.0), [*z.flatten().tolist(), 0.0], method="DOP853", rtol=1e-6, atol=1e-6).y[:, -1]
    found = flow.log_density(model, z, model.schedule(start), Precision(1e-6))
    assert abs(end[4]) > 0.01
    assert found.log_prob.item() == pytest.approx(norm.logpdf(end[:4]).sum() + end[4], abs=3e-4)


def test_probes_agree_with_the_trace_within_their_error():
    model = small("VDMv-2")
    z = torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    gamma, precision = torch.tensor([-1.0, 1.0], dtype=torch.float64), Precision(steps=1)
    probes = torch.stack([noise.signs(noise.keys(i, torch.arange(2)), (1, 4, 4)).double() for i in range(40)])
    exact = flow.log_density(model, z, gamma, precision).log_prob
    estimates = flow.log_density(model, z, gamma, precision, probes).log_prob
    error = estimates.std(1) / math.sqrt(40)
    assert (error > 1e-4).all()
    assert ((estimates.mean(1) - exact[:, 0]).abs() < 4 * error).all()


def test_signs_and_uniforms():
    keys = noise.keys(3, torch.arange(400))
    signs, uniforms = noise.signs(keys, (5, 5)), noise.uniforms(keys, (5, 5))
    assert set(signs.flatten().tolist()) == {-1.0, 1.0}
    assert abs(signs.mean().item()) < 4 / 100
    assert abs(np.corrcoef(signs.flatten(1).T).sum() - 25) < 25
    counts = np.histogram(uniforms.flatten().numpy(), bins=10, range=(0, 1))[0]
    assert abs(counts - 1000).max() < 5 * math.sqrt(900)
