"""The monotone schedule's shape: what it descends, and that it reaches the least variance of Gaussian data."""

import math

import pytest
import torch
from gaussian import GAMMA_0, GAMMA_1, diffusion_term, draw, gaussian_model, randomised

from diffenc.cli.check_model import of_many_steps
from diffenc.data.catalog import DATASETS
from diffenc.models.encoders import Identity, NonTrainable
from diffenc.models.schedules import MonotoneSchedule, _Units
from diffenc.zoo.build import build

D = 64


def test_its_written_out_derivatives():
    generator = torch.Generator().manual_seed(0)
    t, *leaves = (torch.rand(5, generator=generator, dtype=torch.float64) for _ in range(4))
    leaves = [(4 * leaf - 1).requires_grad_() for leaf in leaves]
    assert torch.autograd.gradcheck(lambda *given: _Units.apply(t, *given), leaves)


def test_the_rate_is_the_derivative():
    schedule = randomised(MonotoneSchedule(GAMMA_0, GAMMA_1).double())
    t, h = torch.linspace(0.01, 0.99, 50, dtype=torch.float64), 1e-5
    slope = (schedule(t + h) - schedule(t - h)) / (2 * h)
    torch.testing.assert_close(schedule.dgamma_dt(t), slope, rtol=1e-5, atol=1e-5)
    assert (schedule(t).diff() > 0).all()


@pytest.mark.parametrize("encoder", [Identity, NonTrainable])
def test_its_gradient_is_that_of_the_second_moment(encoder):
    model = gaussian_model(1.0, encoder(), schedule=MonotoneSchedule)
    randomised(model.schedule)
    x, t, eps = draw(1.0, 32)

    def losses(gamma, slope):
        return model.diffusion(*model.encoder.with_mean_shift(x, gamma), gamma, slope, eps)

    losses(*(of(t) for of in (model.schedule, model.schedule.dgamma_dt))).square().mean().backward()
    plain = [parameter.grad.clone() for parameter in model.schedule.parameters()]
    model.schedule.zero_grad()
    found = losses(*model.schedule.at(t))
    model.schedule.hear(found)
    found.mean().backward()
    for parameter, expected in zip(model.schedule.parameters(), plain, strict=True):
        torch.testing.assert_close(parameter.grad, expected, rtol=1e-9, atol=1e-9 * expected.abs().max().item())


def variance_and_mean(schedule, count=4000):
    """Of L = gamma' v chi^2_d / 2, v = 1 / (1 + e^gamma), the best denoiser's on Gaussian data, over even times."""
    t = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    with torch.no_grad():
        gamma, slope = schedule.at(t)
    v = slope / (1 + gamma.exp())
    mean = (v * D / 2).mean()
    return (v.square() * (D**2 + 2 * D) / 4).mean() - mean**2, mean


def test_it_learns_the_shape_of_least_variance():
    schedule, generator = MonotoneSchedule(GAMMA_0, GAMMA_1), torch.Generator().manual_seed(0)
    exact = D / 2 * (math.log1p(math.exp(-GAMMA_0)) - math.log1p(math.exp(-GAMMA_1)))
    first, mean = variance_and_mean(schedule)
    assert first > 5 * 2 * exact**2 / D
    assert mean.item() == pytest.approx(exact, rel=1e-4)
    optimizer = torch.optim.AdamW(schedule.shape_parameters(), lr=0.03, weight_decay=0.0)
    for _ in range(800):
        t = (torch.rand((), generator=generator) + torch.arange(64) / 64) % 1
        gamma, slope = schedule.at(t)
        m = torch.randn(64, D, generator=generator).square().sum(1) / 2 / (1 + gamma.exp())
        losses = slope * m / (D * math.log(2))
        schedule.hear(losses)
        optimizer.zero_grad()
        losses.mean().backward()
        optimizer.step()
    last, after = variance_and_mean(schedule)
    assert last < 1.25 * 2 * exact**2 / D
    assert after.item() == pytest.approx(exact, rel=1e-4)


def test_the_diffusion_term_does_not_depend_on_the_shape():
    """To the error of the rule that takes the integral over t."""
    means = []
    for scale in (0.0, 0.05):
        model = gaussian_model(0.5, Identity(), schedule=MonotoneSchedule)
        randomised(model.schedule, scale=scale)
        x, t, eps = (one.repeat(2000, 1, 1, 1) if one.ndim == 4 else one for one in draw(0.5, 1))
        t = (torch.arange(2000, dtype=torch.float64) + 0.5) / 2000
        with torch.no_grad():
            means.append(diffusion_term(model, x, t, eps).mean())
    assert means[1].item() == pytest.approx(means[0].item(), rel=1e-6)


@pytest.mark.parametrize("name", ["VDMv-2", "DiffEnc-2-nt", "DiffEnc-2-1"])
def test_the_bound_is_the_limit_of_many_steps(name):
    digits = DATASETS["digits"]
    model = randomised(build(name, digits, "monotone_learned").double())
    x = 2 * torch.rand(3, *digits.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) - 1
    assert of_many_steps(model, x).holds
