"""The ODE solver against scipy's."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from diffenc.models import solvers


def field(t, y, which=None):
    """A pendulum that is driven: stiff nowhere, with phases of different speed."""
    return torch.stack([y[:, 1], -9 * torch.sin(y[:, 0]) + torch.cos(3 * t)], 1)


START = torch.tensor([0.0, 0.5, 1.0, 3.0], dtype=torch.float64)
END = torch.tensor([4.0, 4.0, 1.0, 3.5], dtype=torch.float64)
Y = torch.tensor([[1.0, 0.0], [2.5, -1.0], [0.3, 0.2], [-1.0, 1.0]], dtype=torch.float64)


def expected():
    def of_one(t, y):
        return field(torch.tensor([t]), torch.tensor(y)[None])[0].numpy()

    solved = [
        solve_ivp(of_one, (a, b), y, method="DOP853", rtol=1e-12, atol=1e-12).y[:, -1] if b > a else y
        for a, b, y in zip(START.tolist(), END.tolist(), Y.numpy(), strict=True)
    ]
    return np.array(solved)


@pytest.mark.parametrize("tolerance", [1e-4, 1e-8])
def test_each_with_its_own_steps(tolerance):
    asked = []

    def counted(t, y, which):
        asked.extend(which.tolist())
        return field(t, y)

    found = solvers.adaptive(counted, Y, START, END, tolerance, (1, 1))
    assert found.y.numpy() == pytest.approx(expected(), abs=100 * tolerance)
    # what of one stood beside others is the same alone
    alone = solvers.adaptive(field, Y[1:2], START[1:2], END[1:2], tolerance, (1, 1))
    assert torch.equal(alone.y[0], found.y[1])
    assert alone.evaluations[0] == found.evaluations[1]
    # nothing to integrate, and a short way
    assert found.evaluations[2] == 1 < found.evaluations[3] < found.evaluations[0]
    # those that have arrived are left out soon
    assert all(asked.count(i) - n.item() <= 6 * solvers.CHECKED for i, n in enumerate(found.evaluations))


def test_order_5():
    true = expected()[:2]
    errors = [np.abs(solvers.even(field, Y[:2], START[:2], END[:2], n).y.numpy() - true).max() for n in (160, 320)]
    assert errors[0] / errors[1] == pytest.approx(32, rel=0.2)


def test_the_largest_part_rules():
    """A part is not hidden by a larger one that is at rest."""

    def fast(t, y, which=None):
        return torch.cat([torch.zeros(len(y), 999, dtype=y.dtype), 20 * torch.cos(20 * t)[:, None]], 1)

    y, start, end = (torch.zeros(1, 1000).double(), torch.zeros(1).double(), torch.ones(1).double())
    found = solvers.adaptive(fast, y, start, end, 1e-6, (999, 1))
    assert found.y[0, -1].item() == pytest.approx(math.sin(20), abs=2e-5)
    hidden = solvers.adaptive(fast, y, start, end, 1e-6, (1000,))
    assert hidden.evaluations[0] < found.evaluations[0]


@pytest.mark.parametrize(
    "broken", [lambda t, y, which: y * torch.nan, lambda t, y, which: y.square()], ids=["nan", "explodes"]
)
def test_what_does_not_arrive_is_said(broken):
    with pytest.raises(ArithmeticError, match="steps"):
        solvers.adaptive(broken, Y[:1] + 1, START[:1], END[:1], 1e-6, (2,))
