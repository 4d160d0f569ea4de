"""The MDM paper's bound, against what the authors' published code computes, and against Gaussian data's own."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from torch import nn

from diffenc.models import logits as bound
from diffenc.models.mdm import Kernel, LinearProcess, mixed
from diffenc.models.processes import Fixed
from diffenc.models.schedules import FixedSchedule

FOLDER = Path(__file__).parents[1] / "parity/mdm"
NAMES = ["vpsde", "cld", "malda", "learned_2", "learned_3"]


class Published:
    """Their arrays, and the process made again from its configuration."""

    def __init__(self, name):
        arrays, self.config = np.load(FOLDER / f"{name}.npz"), json.loads((FOLDER / f"{name}.json").read_text())
        self.a = {key: torch.tensor(arrays[key]) for key in arrays.files}

    @property
    def process(self):
        """Made anew, with a graph of its own."""
        learned = [self.a[key] for key in ("q_raw", "d_raw") if key in self.a]
        M, c = (self.config[key] for key in ("stationary_aux_var", "init_aux_var"))
        kind = self.config["sde_type"].replace("vpsde", "vp")
        return LinearProcess.learned(*learned, M, c) if learned else LinearProcess.named(kind, None, M, c)

    def kernel_given_v(self, tau):
        """Of u given x and v_0."""
        E, F = self.process.transition(tau)
        L = torch.linalg.cholesky_ex(F).L
        return Kernel(E, E[:, :, 0], F, L, None, None)

    def network(self, u, t):
        W = self.a["net_W"] + t.reshape(-1, 1, 1) * self.a["net_V"]
        return torch.einsum("bij,bj...->bi...", W, u) + self.a["net_b"][:, None, None, None]


@pytest.fixture(params=NAMES)
def published(request):
    return Published(request.param)


def close(found, expected, rtol=1e-10):
    np.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), rtol=rtol)


def test_logits(published):
    a = published.a
    x, log_slope = bound.logits(a["images"], a["dequantisation"].reshape(a["images"].shape), 256)
    close(x, a["x"])
    close(log_slope, a["log_jacobian"])


def test_both_forms(published):
    a, process = published.a, published.process
    k = process.kernel(a["beta_integral"])
    u = k.mean[:, :, None, None, None] * a["x"][:, None] + mixed(k.cholesky, a["eps_t"])
    close(u, a["u_t"])
    close(bound.dsm(process, k, a["beta"], a["eps_t"], published.network(u, a["t"])), a["dsm"])

    def score(u):
        return -mixed(torch.linalg.inv(k.cholesky).mT, published.network(u, a["t"]))

    close(score(u), a["score"])
    close(bound.ism(process, a["beta"], u, score, a["hutchinson"]), a["ism"])
    if "v_0" in a:
        given = published.kernel_given_v(a["beta_integral"])
        u = mixed(given.E, torch.cat([a["x"][:, None], a["v_0"]], 1)) + mixed(given.cholesky, a["eps_t"])
        close(u, a["u_t_given_v"])
        close(bound.dsm(process, given, a["beta"], a["eps_t"], published.network(u, a["t"])), a["dsm_given_v"])


def elbo(published, with_offset):
    """As they add it up, their factor 0.999 included."""
    a, process = published.a, published.process
    t = a["importance_t"]
    tau, beta = 0.1 * t + 4.95 * t**2, 0.1 + 9.9 * t
    k, last = process.kernel(tau), process.kernel(torch.tensor([0.1 + 4.95], dtype=torch.float64))
    u = k.mean[:, :, None, None, None] * a["x"][:, None] + mixed(k.cholesky, a["eps_t"])
    found = 0.999 * bound.dsm(process, k, beta, a["eps_t"], published.network(u, t)) / a["importance_density"]
    u_T = last.mean[0][:, None, None, None] * a["x"][:, None] + mixed(last.cholesky, a["eps_T"])
    variances = process.stationary[:, None, None, None]
    found = found - 0.5 * (u_T.square() / variances + torch.log(2 * torch.pi * variances)).flatten(1).sum(1)
    if "v_0" in a:
        c = process.init
        found = found + 0.5 * (a["v_0"].square() / c + torch.log(2 * torch.pi * c)).flatten(1).sum(1)
    if with_offset:
        eps_t = torch.tensor([1e-3], dtype=torch.float64)
        early = 0.1 * eps_t + 4.95 * eps_t**2
        v_0 = a.get("v_0", a["x"][:, None][:, :0])
        given, k = published.kernel_given_v(early), process.kernel(early)
        u = mixed(given.E, torch.cat([a["x"][:, None], v_0], 1)) + mixed(given.cholesky, a["eps_offset"])
        found = found + bound.offset(process, early, k, a["eps_offset"], published.network(u, eps_t))
    return found


def test_their_bound_and_its_gradients(published):
    a = published.a
    for key, with_offset in (("elbo_weighted_no_offset", False), ("elbo_weighted", True)):
        # their offset is two densities at a point
        close(elbo(published, with_offset), a[key], 1e-9 if with_offset else 1e-10)
    bpd = -(elbo(published, True) + a["log_jacobian"]) / (a["x"][0].numel() * np.log(2)) + 8
    close(bpd, a["bpd"], 1e-9)
    leaves = {name: a[name].requires_grad_() for name in ("net_W", "net_V", "net_b", "q_raw", "d_raw") if name in a}
    for group, with_offset in (("grad_no_offset", False), ("grad_offset", True)):
        found = torch.autograd.grad(-elbo(published, with_offset).mean(), list(leaves.values()))
        for name, gradient in zip(leaves, found, strict=True):
            np.testing.assert_allclose(gradient.numpy(), a[f"{group}/{name}"].numpy(), rtol=1e-6, atol=1e-7)


class Noisy(nn.Module):
    def forward(self, u, gamma, keys=None):
        return torch.sin(2 * u) + 0.3 * u.roll(1, 1) + 0.01 * gamma[:, None, None, None]


@pytest.mark.parametrize("name", ["vp", "cld"])
def test_the_models_terms_are_the_authors_with_all_integrals_done(name):
    """The prior's mean, and the integral of what the integrand has without a network, by quadrature."""
    schedule, process = FixedSchedule(-9.162, 5.044).double(), LinearProcess.named(name)
    model, K = bound.Dequantised(schedule, Fixed(process), Noisy(), 256, matched=False), process.variables
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (3, 1, 2, 2), generator=generator, dtype=torch.uint8)
    t, eps_0 = torch.rand(3, generator=generator).double(), torch.randn(3, 1, 2, 2, generator=generator).double()
    noise = torch.randn(3, model.noises, 2, 2, generator=generator).double()
    total = model.loss_terms(images, t, eps_0, noise).total

    x, log_slope = bound.logits(images, torch.special.ndtr(eps_0), 256)
    d, gamma_0, gamma_1 = 4, *(end[None] for end in model.ends())
    first, last, at = model.at(gamma_0), model.at(gamma_1), model.at(schedule(t))

    def known(gamma):
        at = model.at(torch.tensor([gamma], dtype=torch.float64))
        drift = torch.trace(2 * process.D @ torch.linalg.inv(at.kernel.covariance[0])) / 2 + torch.trace(process.A)
        return (at.speed[0] * drift).item()

    k, slope = last.kernel, schedule.slope
    spread = (torch.diagonal(k.covariance[0]) / process.stationary).sum() * d
    far = spread + (k.mean[0].square() / process.stationary).sum() * x.square().flatten(1).sum(1)
    prior = -0.5 * (far + d * torch.log(2 * torch.pi * process.stationary).sum())
    mix = at.kernel.axes() @ noise[:, :K].flatten(2)
    eps = mix.reshape(3, K, 1, 2, 2)
    u = mixed(at.kernel.cholesky, eps) + at.kernel.mean[:, :, None, None, None] * x[:, None]
    eps_hat = model.parted(Noisy()(u.flatten(1, 2), at.gamma))
    ones = torch.ones_like(t)
    drawn = bound.dsm(process, at.kernel, ones, eps, eps_hat) - bound.dsm(process, at.kernel, ones, eps, eps)
    v_0, eps = noise[:, K : 2 * K - 1, None] * 0.1, noise[:, 2 * K - 1 :, None]
    E, S = process.transition(first.tau)
    u = mixed(E, torch.cat([x[:, None], v_0], 1)) + mixed(torch.linalg.cholesky(S), eps)
    gap = bound.offset(process, first.tau, first.kernel, eps, model.parted(Noisy()(u.flatten(1, 2), gamma_0)))
    integral = quad(known, gamma_0.item(), gamma_1.item(), epsabs=1e-10, epsrel=1e-10, limit=200)[0] * d
    of_v_0 = d * (K - 1) / 2 * np.log(2 * np.pi * np.e * 0.01)
    lower = prior + integral + drawn * slope * at.speed + of_v_0 + gap + log_slope - d * np.log(256)
    np.testing.assert_allclose(-lower.numpy(), total.numpy(), rtol=1e-8)


def hermite(dimensions):
    """Nodes (n, dimensions) and weights (n,) of three points a dimension: exact for quadratic functions of noise."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(3)
    points = np.stack(np.meshgrid(*[nodes] * dimensions, indexing="ij"), -1).reshape(-1, dimensions)
    products = np.stack(np.meshgrid(*[weights] * dimensions, indexing="ij"), -1).reshape(-1, dimensions)
    return torch.tensor(points), torch.tensor(products.prod(1) / (2 * np.pi) ** (dimensions / 2))


@pytest.mark.parametrize("name", ["cld", "malda", "learned_2"])
@pytest.mark.parametrize("t", [0.05, 0.6])
def test_the_three_forms_have_one_mean(name, t):
    """Denoising given x, denoising given x and v_0, implicit: of one image of one pixel, their network."""
    published = Published(name)
    a, process, K = published.a, published.process, int(published.config["n_vars"])
    tau, x = torch.tensor([0.1 * t + 4.95 * t**2], dtype=torch.float64), 0.7
    k, given = process.kernel(tau), published.kernel_given_v(tau)

    def network(u):
        shift = a["net_W"] + t * a["net_V"]
        return torch.einsum("ij,bj...->bi...", shift, u) + a["net_b"][:, None, None, None]

    def score(u):
        return -mixed(torch.linalg.inv(k.cholesky).mT, network(u))

    def mean(integrand, points, weights):
        return (integrand(points) * weights).sum()

    def of_x(eps):
        beta, eps = torch.full((len(eps),), 0.1 + 9.9 * t).double(), eps[:, :, None, None, None]
        u = k.mean[:, :, None, None, None] * x + mixed(k.cholesky, eps)
        many = Kernel(*(one.expand(len(eps), *one.shape[1:]) for one in k))
        return bound.dsm(process, many, beta, eps, network(u))

    def of_x_and_v(noise):
        beta, noise = torch.full((len(noise),), 0.1 + 9.9 * t).double(), noise[:, :, None, None, None]
        start = torch.cat([torch.full_like(noise[:, :1], x), 0.1 * noise[:, : K - 1]], 1)
        u = mixed(given.E, start) + mixed(given.cholesky, noise[:, K - 1 :])
        many = Kernel(*(one if one is None else one.expand(len(noise), *one.shape[1:]) for one in given))
        return bound.dsm(process, many, beta, noise[:, K - 1 :], -mixed(given.cholesky.mT, score(u)))

    def implicit(eps):
        beta, eps = torch.full((len(eps),), 0.1 + 9.9 * t).double(), eps[:, :, None, None, None]
        u = k.mean[:, :, None, None, None] * x + mixed(k.cholesky, eps)
        probes = [torch.zeros_like(u).index_fill_(1, torch.tensor([i]), 1.0) for i in range(K)]
        each = [bound.ism(process, beta, u, score, probe) for probe in probes]
        none = bound.ism(process, beta, u, score, torch.zeros_like(u))
        return none + sum(one - none for one in each)  # the trace, a probe a direction

    with torch.no_grad():
        expected = mean(of_x, *hermite(K))
        for form, dimensions in ((of_x_and_v, 2 * K - 1), (implicit, K)):
            assert mean(form, *hermite(dimensions)).item() == pytest.approx(expected.item(), rel=1e-10)
