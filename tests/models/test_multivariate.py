"""Multivariate models: their three terms against 60 digits, VDM itself, and Gaussian data's variance in samples."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from torch import nn

from diffenc.models import euler_maruyama as euler
from diffenc.models.diffusion import Diffusion
from diffenc.models.encoders import Identity
from diffenc.models.finite_depth import posterior_error
from diffenc.models.mdm import LinearProcess
from diffenc.models.multivariate import Multivariate
from diffenc.models.processes import Fixed, Learned
from diffenc.models.schedules import FixedSchedule

FOLDER = Path(__file__).parents[1] / "parity/mdm"
PROCESSES = ["vp", "cld", "malda", "learned"]


class Linear(nn.Module):
    """(W + t V) u + b in each dimension, as the vectors were made."""

    def __init__(self, arrays, ends):
        super().__init__()
        self.W, self.V, self.b = (torch.tensor(arrays[f"net_{name}"]) for name in "WVb")
        self.ends = ends

    def forward(self, u, gamma, keys=None):
        t = (gamma - self.ends[0]) / (self.ends[1] - self.ends[0])
        u = u.unflatten(1, (len(self.b), -1))
        found = torch.einsum("ij,bj...->bi...", self.W, u)
        found = found + t[:, None, None, None, None] * torch.einsum("ij,bj...->bi...", self.V, u)
        return (found + self.b[:, None, None, None]).flatten(1, 2)


class OfStatistic(nn.Module):
    """VDM's v of z, whatever the other channels: 0.3 z - 0.1, as the vectors were made."""

    def __init__(self, channels=1):
        super().__init__()
        self.channels = channels

    def forward(self, state, gamma, keys=None):
        return 0.3 * state[:, : self.channels] - 0.1


def scheduled(gamma_0, gamma_1):
    schedule = FixedSchedule(gamma_0, gamma_1)
    schedule.gamma_0 = torch.tensor(gamma_0, dtype=torch.float64)
    schedule.slope = torch.tensor(gamma_1 - gamma_0, dtype=torch.float64)
    return schedule


def process_of(name):
    if name != "learned":
        return Fixed(LinearProcess.named(name))
    made = Learned(2)
    made.initialise(torch.Generator().manual_seed(3))
    return made


def turned(model, gamma, eps):
    """The noise (xi, r) that makes this eps, by an inverse rather than by the reflection's symmetry."""
    axes = model.at(gamma).kernel.axes()
    return torch.linalg.solve(axes, eps.flatten(2)).reshape(eps.shape).flatten(1, 2)


@pytest.mark.parametrize("time", ["matched", "vp"])
@pytest.mark.parametrize("name", ["vp", "cld", "learned_2"])
def test_the_three_terms(name, time):
    arrays = np.load(FOLDER / f"bound_{name}.npz")
    Q, D, stationary, images, t, eps_0, eps_t = (
        torch.tensor(arrays[key]) for key in ("Q", "D", "stationary", "images", "t", "eps_0", "eps_t")
    )
    ends = [float(arrays[f"{time}/gamma_{i}"]) for i in (0, 1)]
    process, levels = Fixed(LinearProcess(Q, D, stationary, float(arrays["init"]))), int(arrays["levels"])
    given = (scheduled(*ends), process)
    model = Multivariate(*given, Linear(arrays, ends), levels, matched=time == "matched")
    gamma, slope = model.schedule.at(t)
    noise = turned(model, gamma, eps_t)
    terms = model.terms_at(images, gamma, slope, eps_0, noise)
    for found, term in zip(terms, ("reconstruction", "latent", "diffusion"), strict=True):
        np.testing.assert_allclose(found.numpy(), arrays[f"{time}/{term}"], rtol=1e-10)
    np.testing.assert_allclose(model.at(gamma).tau.numpy(), arrays[f"{time}/tau"], rtol=1e-11)
    other = Multivariate(*given, OfStatistic(images.shape[1]), levels, "v", time == "matched")
    found = other.terms_at(images, gamma, slope, eps_0, noise).diffusion
    np.testing.assert_allclose(found.numpy(), arrays[f"{time}/diffusion_v"], rtol=1e-10)


def drawn(K, count=4):
    generator = torch.Generator().manual_seed(5)
    images = torch.randint(0, 17, (count, 1, 3, 3), generator=generator, dtype=torch.uint8)
    t = torch.rand(count, generator=generator, dtype=torch.float64)
    eps_0 = torch.randn(count, 1, 3, 3, generator=generator, dtype=torch.float64)
    return images, t, eps_0, torch.randn(count, K, 3, 3, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("name", PROCESSES)
def test_in_matched_time_every_process_is_vdm_where_the_network_sees_what_the_state_knows(name):
    process, schedule = process_of(name), scheduled(-7.9, 5.0)
    images, t, eps_0, noise = drawn(process.variables)
    vdm = Diffusion(schedule, Identity(), OfStatistic(), 17, "v")
    mdm = Multivariate(schedule, process, OfStatistic(), 17, "v")
    expected, found = vdm.loss_terms(images, t, eps_0, noise[:, :1]), mdm.loss_terms(images, t, eps_0, noise)
    for term in ("reconstruction", "diffusion"):
        torch.testing.assert_close(getattr(found, term), getattr(expected, term), rtol=1e-10, atol=0)
    x, gamma_t = vdm.scale(images), schedule(t)
    ways = [posterior_error(model, x, gamma_t - 0.3, gamma_t, noise[:, :C]) for model, C in ((vdm, 1), (mdm, 99))]
    torch.testing.assert_close(ways[0], ways[1], rtol=1e-10, atol=1e-14)


class Noisy(nn.Module):
    """Some function of all of a state's channels, one output each."""

    def forward(self, u, gamma, keys=None):
        return torch.sin(2 * u) + 0.3 * u.roll(1, 1) + 0.01 * gamma[:, None, None, None]


def test_vp_of_epsilon_is_vdm():
    schedule, (images, t, eps_0, noise) = scheduled(-7.9, 5.0), drawn(1)
    expected = Diffusion(schedule, Identity(), Noisy(), 17, "epsilon").loss_terms(images, t, eps_0, noise)
    for matched in (True, False):
        model = Multivariate(schedule, process_of("vp"), Noisy(), 17, matched=matched)
        found = model.loss_terms(images, t, eps_0, noise)
        torch.testing.assert_close(tuple(found), tuple(expected), rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", ["cld", "malda", "learned"])
def test_what_epsilons_say_of_x(name):
    """The weighted error is rho ||x - x_hat||^2 and a rest that is not negative; x_hat is what a step uses."""
    process, schedule = process_of(name), scheduled(-7.9, 5.0)
    K = process.variables
    model = Multivariate(schedule, process, Noisy(), 17)
    images, t, _, noise = drawn(K)
    x, gamma = model.scale(images), schedule(t)
    with torch.no_grad():
        at = model.at(gamma)
        missed = model.missed(x, gamma, noise)
        diffusion = model.diffusion(x, at, torch.ones_like(t), noise)
        own = 0.5 * torch.exp(-gamma) * missed.square().flatten(1).sum(1)
        assert (diffusion - own > -1e-12).all()
        found = model.own_error(images, gamma, torch.ones_like(t), None, noise)
        torch.testing.assert_close(found, diffusion - own, rtol=1e-9, atol=1e-12)
        k = at.kernel.part(slice(0, 1))
        eps = torch.einsum("ij,j...->i...", k.axes()[0], noise[0].unflatten(0, (K, 1)))
        u = k.mean[0][:, None, None, None] * x[0] + torch.einsum("ij,j...->i...", k.cholesky[0], eps)
        x_hat = model.x_hat(u.flatten(0, 1)[None], at.part(slice(0, 1)))
        torch.testing.assert_close(x[:1] - x_hat, missed[:1], rtol=1e-9, atol=1e-9)
        if name == "cld":  # the score of the data's channel has no weight, its epsilons are not asked for
            deaf = Multivariate(
                schedule, process, lambda u, *_: Noisy()(u, *_) * torch.tensor([1e3, 1])[:, None, None], 17
            )
            torch.testing.assert_close(deaf.missed(x, gamma, noise), missed, rtol=1e-9, atol=1e-9)


class Best(nn.Module):
    """The best epsilons for data N(0, s^2): eps_hat = L^T C^-1 u, C = E diag(s^2, c, ..) E^T + F."""

    def __init__(self, process, s, matched=True):
        super().__init__()
        self.model, self.s = Multivariate(scheduled(-13.3, 5.0), process, nn.Identity(), 256, matched=matched), s

    def forward(self, u, gamma, keys=None):
        k = self.model.at(gamma[:1]).kernel
        C = k.covariance[0] + self.s**2 * k.mean[0][:, None] * k.mean[0]
        best = k.cholesky[0].T @ torch.linalg.inv(C)
        return torch.einsum("ij,bj...->bi...", best, self.model.parted(u)).flatten(1, 2)


def sampled(model, gammas, count, step):
    generator = torch.Generator().manual_seed(0)
    z = model.start(torch.randn(count, model.variables, 1, 1, generator=generator, dtype=torch.float64))
    for i in reversed(range(len(gammas) - 1)):
        eps = torch.randn(z.shape, generator=generator, dtype=torch.float64)
        z = step(z, gammas[i], gammas[i + 1], eps if i or step == model.step_between else 0 * eps)
    return z


@pytest.mark.parametrize(("steps", "short"), [(20, -0.345), (100, -0.086)])
@pytest.mark.parametrize("name", ["vp", "cld", "malda"])
def test_ancestral_samples_of_gaussian_data(name, steps, short):
    """Their variance falls short of the data's by as much as VDM's does, whatever the process."""
    process, s, count = Fixed(LinearProcess.named(name, M=1.0 if name == "vp" else 0.5)), 0.4, 8000
    model = Multivariate(scheduled(-13.3, 5.0), process, Best(process, s), 256)
    z = sampled(
        model,
        model.gammas(torch.zeros((), dtype=torch.float64), *(i / steps for i in range(steps + 1))),
        count,
        model.step_between,
    )
    first = model.at(model.ends()[0][None]).kernel
    pull = torch.linalg.solve(first.covariance[0], first.mean[0]) / first.rho[0]
    x = torch.einsum("i,bi...->b...", pull, model.parted(z))
    assert x.var().item() / s**2 - 1 == pytest.approx(short, abs=4 * (2 / count) ** 0.5)


@pytest.mark.parametrize("name", ["cld", "malda"])
def test_few_steps_with_the_best_sigma_have_the_datas_variance(name):
    """As for VDM: the best ratio 1 / (1 + q) makes p(u_s | u_t) of Gaussian data exact, however long a step is."""
    process, s, count = process_of(name), 0.4, 20_000
    model = Multivariate(scheduled(-13.3, 5.0), process, Best(process, s), 256)
    gammas = torch.linspace(-13.3, 5, 6, dtype=torch.float64)
    rho = torch.exp(-gammas)
    q = (rho[:-1] - rho[1:]) * s**2 / (1 + s**2 * rho[1:])
    generator = torch.Generator().manual_seed(0)
    z = model.start(torch.randn(count, model.variables, 1, 1, generator=generator, dtype=torch.float64))
    for i in reversed(range(5)):
        eps = torch.randn(z.shape, generator=generator, dtype=torch.float64)
        z = model.step_between(z, gammas[i], gammas[i + 1], eps, (1 + q[i]).sqrt())
    first = model.at(model.ends()[0][None]).kernel
    pull = torch.linalg.solve(first.covariance[0], first.mean[0]) / first.rho[0]
    x = torch.einsum("i,bi...->b...", pull, model.parted(z))
    assert x.var().item() == pytest.approx(s**2, rel=4 * (2 / count) ** 0.5)


@pytest.mark.parametrize(("name", "excess"), [("vp", 0.020), ("cld", 0.027), ("malda", 0.036)])
def test_euler_maruyama_of_gaussian_data(name, excess):
    """The paper's sampler: 100 steps over its own time, dense near 0."""
    process, s, count = process_of(name), 0.4, 20_000
    model = Multivariate(scheduled(-9.162, 5.044), process, Best(process, s, matched=False), 256, matched=False)
    gammas = euler.levels(model, 100)
    z = sampled(model, gammas, count, partial(euler.step, model))
    assert model.parted(z)[:, 0].var().item() / s**2 - 1 == pytest.approx(excess, abs=4 * (2 / count) ** 0.5)


@pytest.mark.parametrize("name", ["vpsde", "cld", "malda", "learned_2"])
def test_the_authors_own_euler_maruyama_step(name):
    """At one of their times, with the network of their vectors; their grid of 10 steps too."""
    arrays = np.load(FOLDER / f"{name}.npz")
    a = {key: torch.tensor(arrays[key]) for key in arrays.files}
    if "q_raw" in a:
        process = Learned(2)
        process.q.data, process.d.data = a["q_raw"], a["d_raw"]
    else:
        process = Fixed(LinearProcess.named(name.replace("vpsde", "vp")))

    def gamma_of(t):
        return torch.log(torch.expm1(0.1 * t + 4.95 * t**2))

    times = 1 - a["sampling_times"].flip(0)
    net = Linear(arrays, [0, 1])  # of t, which the test gives in gamma's place
    ends = gamma_of(times)[[0, -1]].tolist()
    model = Multivariate(scheduled(*ends), process, net, 256, matched=False)
    gammas = euler.levels(model, 10)
    torch.testing.assert_close(gammas, gamma_of(times), rtol=1e-9, atol=1e-9)
    t = 1 - a["sampling_times"][a["em_i"]]
    net.ends = [gammas[-1 - a["em_i"]].item() - t.item(), gammas[-1 - a["em_i"]].item() - t.item() + 1]
    u, noise = (a[key].flatten(1, 2) for key in ("em_u", "em_noise"))
    at = -1 - int(a["em_i"])
    for key, eps in (("em_mean", torch.zeros_like(noise)), ("em_next", noise)):
        found = euler.step(model, u, gammas[at - 1], gammas[at], eps)
        np.testing.assert_allclose(found.detach().numpy(), a[key].flatten(1, 2).numpy(), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("matched", [True, False])
def test_gradients_of_what_is_learned(matched):
    """Of all three terms by q and d, against differences."""
    process, (images, t, eps_0, noise) = process_of("learned").double(), drawn(2)
    model = Multivariate(scheduled(-7.9, 5.0), process, Noisy(), 17, matched=matched)

    def total():
        return sum(term.sum() for term in model.loss_terms(images, t, eps_0, noise))

    total().backward()
    for one in process.parameters():
        for at in np.ndindex(*one.shape):
            ways = []
            for sign in (1, -1):
                with torch.no_grad():
                    one[at] += sign * 1e-5
                    ways.append(total())
                    one[at] -= sign * 1e-5
            assert one.grad[at].item() == pytest.approx(((ways[0] - ways[1]) / 2e-5).item(), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("name", PROCESSES)
@pytest.mark.parametrize("s", [0.3, 2.0])
def test_the_diffusion_integral_of_gaussian_data_is_the_same_for_every_process(name, s):
    """1/2 [log1p(s^2 rho_0) - log1p(s^2 rho_1)] a dimension, by the weight and the best epsilons' covariance."""
    process = process_of(name).double()
    model = Multivariate(scheduled(-7.9, 5.0), process, Best(process, s), 17)

    @torch.no_grad()
    def integrand(gamma):
        at = model.at(torch.tensor([gamma], dtype=torch.float64))
        k = at.kernel
        L, m = k.cholesky[0], k.mean[0][:, None]
        eye = torch.eye(model.variables, dtype=torch.float64)
        best = L.T @ torch.linalg.inv(k.covariance[0] + s**2 * m @ m.T)
        # eps - eps_hat = (1 - best L) eps - best m x
        error = (eye - best @ L) @ (eye - best @ L).T + s**2 * best @ m @ m.T @ best.T
        return 0.5 * torch.trace(model.weight(at)[0] @ error).item()

    found = quad(integrand, -7.9, 5.0, epsrel=1e-9)[0]
    assert found == pytest.approx(0.5 * (np.log1p(s**2 * np.exp(7.9)) - np.log1p(s**2 * np.exp(-5.0))), rel=1e-7)
