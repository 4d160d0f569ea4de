"""Adaptive times: the least variance of Gaussian data, the same integral, and the same run however it is cut."""

import numpy as np
import pytest
import torch
from gaussian import GAMMA_0, GAMMA_1
from scipy.integrate import quad
from short_training import CPU, history, killed_before_its_end, same_weights, train

from diffenc import data
from diffenc.io.errors import UserError
from diffenc.models.schedules import FixedSchedule, LearnedSchedule
from diffenc.models.weightings import weighting
from diffenc.runtime.processes import Processes
from diffenc.study.load import parse_study
from diffenc.training.times import AdaptiveTimes

D, BATCH = 64, 32
SPAN = GAMMA_1 - GAMMA_0
GAUSSIAN = {"elbo": {}, "sigmoid": {"k": 2.0}}


def adaptive(schedule=FixedSchedule, batch=BATCH):
    return AdaptiveTimes(schedule(GAMMA_0, GAMMA_1), batch, Processes(CPU))


def per_gamma(gamma, omega):
    """omega v / 2 a dimension, v = 1 / (1 + e^gamma), of which the best denoiser's m is chi^2_d times."""
    return omega(gamma) / (1 + gamma.exp()) / 2


def teach(times, steps, omega):
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        t = (torch.rand((), generator=generator) + torch.arange(BATCH) / BATCH) % 1
        gamma, slope = times.at(t)
        chi2 = torch.randn(BATCH, D, generator=generator).square().sum(1)
        times.hear(slope * per_gamma(gamma, omega) * chi2)
        times.learn()
    return times


def integral(of):
    return quad(lambda gamma: of(torch.tensor(gamma, dtype=torch.float64)).item(), GAMMA_0, GAMMA_1, limit=200)[0]


@pytest.mark.parametrize("name", GAUSSIAN)
def test_the_variance_falls_to_its_least_and_the_mean_stays(name):
    omega = weighting(name, **GAUSSIAN[name])
    mean = integral(lambda gamma: D * per_gamma(gamma, omega))
    # E[(chi^2_d)^2] = d^2 + 2 d
    least = (D**2 + 2 * D) / D**2 * mean**2 - mean**2
    times = teach(adaptive(), 400, omega)
    gamma, slope = times.at((torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000)
    one = slope * per_gamma(gamma, omega)
    assert (D * one.mean()).item() == pytest.approx(mean, rel=1e-4)
    assert (one.square().mean() * (D**2 + 2 * D) - mean**2).item() < 1.2 * least
    even = SPAN * per_gamma(torch.linspace(GAMMA_0, GAMMA_1, 100_000, dtype=torch.float64), omega)
    assert (even.square().mean() * (D**2 + 2 * D) - mean**2).item() > 4 * least


def test_before_it_heard_anything_it_is_the_line():
    t = torch.linspace(0, 1, 11, dtype=torch.float64)
    gamma, slope = adaptive().at(t)
    torch.testing.assert_close(gamma, GAMMA_0 + SPAN * t, rtol=0, atol=2e-6)  # the ends are in float32
    torch.testing.assert_close(slope, torch.full_like(t, SPAN), rtol=1e-6, atol=0)


def test_the_slope_is_the_derivative():
    times = teach(adaptive(), 20, weighting("elbo"))
    t, h = torch.rand(200, generator=torch.Generator().manual_seed(1), dtype=torch.float64), 1e-7
    apart = (times.at(t + h)[0] - times.at(t - h)[0]) / (2 * h)
    slope = times.at(t)[1]
    across = (times.at(t + h)[1] != slope) | (times.at(t - h)[1] != slope)  # two bins
    assert across.sum() < 10
    torch.testing.assert_close(apart[~across], slope[~across], rtol=1e-6, atol=0)
    ends = times.at(torch.tensor([0.0, 1.0], dtype=torch.float64))[0]
    torch.testing.assert_close(ends, ends.new_tensor([GAMMA_0, GAMMA_1]), rtol=1e-6, atol=0)


def test_a_learned_end_gets_the_lines_gradient():
    times = adaptive(LearnedSchedule)
    gamma, slope = times.at(torch.tensor([0.25]))
    (gamma + 3 * slope).sum().backward()
    assert times.schedule.b.grad.item() == pytest.approx(1, rel=1e-6)
    assert times.schedule.w.grad.item() == pytest.approx(0.25 + 3, rel=1e-6)


def test_its_means_are_those_of_one_image_after_the_other():
    times, generator = adaptive(batch=50), np.random.default_rng(0)
    sums, mass = np.zeros(100), np.zeros(100)
    for _ in range(3):
        t = torch.from_numpy(generator.random(50) ** 3)
        gamma, slope = times.at(t)
        values = generator.random(50)
        for where, value in zip((gamma.numpy() - GAMMA_0) / SPAN, values / (slope.numpy() / SPAN), strict=True):
            k = int(where * 100)
            sums[k], mass[k] = 0.999 * sums[k] + 0.001 * value, 0.999 * mass[k] + 0.001
        times.hear(torch.from_numpy(values))
        times.learn()
        seen = mass > 0
        assert 0 < seen.sum() < 100
        expected = np.interp(np.arange(100), np.arange(100)[seen], (sums / np.maximum(mass, 1e-300))[seen])
        expected += 0.01 * expected.mean()
        np.testing.assert_allclose(times.density().numpy(), expected / expected.mean(), rtol=1e-12)


def test_interrupted_and_run_again_equals_undisturbed(tmp_path):
    data.prepare("digits", tmp_path / "digits", tmp_path)
    protocol = {"times": "adaptive", "steps": 9, "log_every": 3}
    train(tmp_path / "digits", tmp_path / "whole", **protocol)
    with killed_before_its_end():
        train(tmp_path / "digits", tmp_path / "cut", checkpoint_steps=5, **protocol)
    train(tmp_path / "digits", tmp_path / "cut", **protocol)
    assert history(tmp_path / "cut") == history(tmp_path / "whole")
    assert same_weights(tmp_path / "cut", tmp_path / "whole")
    train(tmp_path / "digits", tmp_path / "plain", **protocol | {"times": None})
    # the first step's times are the same
    assert not same_weights(tmp_path / "plain", tmp_path / "whole")


def test_not_with_a_shape_of_the_schedules_own():
    group = {"dataset": "digits", "models": ["VDMv-2"], "seeds": [1], "schedule": "monotone"}
    group["training"] = {"steps": 2, "times": "adaptive"}
    with pytest.raises(
        UserError, match=r"training.times: adaptive ones are in the place of .* take fixed or learned"
    ):
        parse_study({"name": "x", "title": "x", "runs": [group]}, "x.yaml")
