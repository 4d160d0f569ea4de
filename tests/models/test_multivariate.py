"""Multivariate models: their three terms against 60 digits, and sampling against Gaussian data's variance."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from diffenc.models.mdm import LinearProcess
from diffenc.models.multivariate import Multivariate
from diffenc.models.schedules import FixedSchedule

FOLDER = Path(__file__).parents[1] / "parity/mdm"


class Linear(nn.Module):
    """(W + t V) u + b in each dimension, as the vectors were made."""

    def __init__(self, arrays):
        super().__init__()
        self.W, self.V, self.b = (torch.tensor(arrays[f"net_{name}"]) for name in "WVb")
        self.ends = [float(arrays[f"matched/gamma_{i}"]) for i in (0, 1)]

    def forward(self, u, gamma, keys=None):
        t = (gamma - self.ends[0]) / (self.ends[1] - self.ends[0])
        u = u.unflatten(1, (len(self.b), -1))
        found = torch.einsum("ij,bj...->bi...", self.W, u)
        found = found + t[:, None, None, None, None] * torch.einsum("ij,bj...->bi...", self.V, u)
        return (found + self.b[:, None, None, None]).flatten(1, 2)


def scheduled(gamma_0, gamma_1):
    schedule = FixedSchedule(gamma_0, gamma_1)
    schedule.gamma_0 = torch.tensor(gamma_0, dtype=torch.float64)
    schedule.slope = torch.tensor(gamma_1 - gamma_0, dtype=torch.float64)
    return schedule


@pytest.mark.parametrize("name", ["vp", "cld", "learned_2"])
def test_the_three_terms(name):
    arrays = np.load(FOLDER / f"bound_{name}.npz")
    Q, D, stationary, images, t, eps_0, eps_t = (
        torch.tensor(arrays[key]) for key in ("Q", "D", "stationary", "images", "t", "eps_0", "eps_t")
    )
    process, net = LinearProcess(Q, D, stationary, float(arrays["init"])), Linear(arrays)
    model = Multivariate(scheduled(*net.ends), process, net, int(arrays["levels"]))
    terms = model.terms_at(images, *model.schedule.at(t), eps_0, eps_t.flatten(1, 2))
    for found, term in zip(terms, ("reconstruction", "latent", "diffusion"), strict=True):
        np.testing.assert_allclose(found.numpy(), arrays[f"matched/{term}"], rtol=1e-10)


class Best(nn.Module):
    """The best epsilons for data N(0, s^2): eps_hat = L^T C^-1 u, C = E diag(s^2, c, ..) E^T + F."""

    def __init__(self, process, s):
        super().__init__()
        self.process, self.s = process, s

    def forward(self, u, gamma, keys=None):
        process = self.process
        tau = process.tau_of_gamma(gamma[:1].double())
        k = process.kernel(tau)
        C = k.covariance[0] + self.s**2 * k.mean[0][:, None] * k.mean[0]
        best = k.cholesky[0].T @ torch.linalg.inv(C)
        return torch.einsum("ij,bj...->bi...", best, u.unflatten(1, (process.variables, -1))).flatten(1, 2)


@pytest.mark.parametrize(("steps", "short"), [(20, -0.345), (100, -0.086)])
@pytest.mark.parametrize("name", ["vp", "cld", "malda"])
def test_ancestral_samples_of_gaussian_data(name, steps, short):
    """Their variance falls short of the data's by as much as VDM's does, whatever the process."""
    process, s, count = LinearProcess.named(name), 0.4, 8000
    model = Multivariate(scheduled(-13.3, 5.0), process, Best(process, s), 256)
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(count, process.variables, 1, 1, generator=generator, dtype=torch.float64)
    z = z * process.stationary.sqrt()[None, :, None, None]
    gammas = model.gammas(z, *(i / steps for i in range(steps + 1)))
    for i in reversed(range(steps)):
        eps = torch.randn(z.shape, generator=generator, dtype=torch.float64)
        z = model.step_between(z, gammas[i], gammas[i + 1], eps)
    x = model._x_hat(model._parted(z), model._kernel(gammas[:1]))
    assert x.var().item() / s**2 - 1 == pytest.approx(short, abs=4 * (2 / count) ** 0.5)
