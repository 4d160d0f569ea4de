"""Kernels of multivariate diffusions: against 60 digits, closed forms, finite differences, and VDM's own."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from diffenc.models.mdm import LinearProcess
from diffenc.models.schedules import alpha_squared

FOLDER = Path(__file__).parents[1] / "parity/mdm"
NAMES = ["vp", "cld", "malda", "learned_2", "learned_3_full"]
TAU = torch.tensor([1e-6, 1e-4, 0.01, 0.3, 2.0, 5.0, 12.0], dtype=torch.float64)


def of(name):
    arrays = np.load(FOLDER / f"transitions_{name}.npz")
    Q, D, stationary = (torch.tensor(arrays[key]) for key in ("Q", "D", "stationary"))
    return LinearProcess(Q, D, stationary, float(arrays["init"])), arrays


def near(found, expected, within):
    """Relative to each matrix's largest number."""
    found, expected = found.numpy(), np.asarray(expected)
    axes = tuple(range(1, expected.ndim))
    size = np.abs(expected).max(axis=axes, keepdims=True) if axes else np.abs(expected)
    assert (np.abs(found - expected) / size).max() <= within


@pytest.mark.parametrize("name", NAMES)
def test_the_vectors(name):
    process, arrays = of(name)
    kernel = process.kernel(torch.tensor(arrays["tau"]))
    for found, key in (
        (kernel.E, "E"),
        (kernel.mean, "E"),
        (kernel.covariance, "cov_given_x"),
        (kernel.cholesky, "L_given_x"),
        (kernel.rho, "rho"),
        (kernel.minus_drho_dtau, "minus_drho_dtau"),
    ):
        near(found, arrays[key][:, :, 0] if found is kernel.mean else arrays[key], 1e-12)
    near(process.tau_of_gamma(torch.tensor(arrays["gamma"])), arrays["tau_of_gamma"], 1e-12)
    near(process.transition(torch.tensor(arrays["tau"]))[1], arrays["cov_given_x_v"], 1e-12)


@pytest.mark.parametrize("name", ["vp", "cld", "alda", "malda"])
def test_stationary_and_a_semigroup(name):
    process = LinearProcess.named(name, M=0.25 if name != "vp" else 1.0, init=0.01)
    stays = torch.diag(process.stationary)
    assert (process.A @ stays + stays @ process.A.T + 2 * process.D).abs().max() < 1e-15
    a, b = process.kernel(TAU), process.transition(torch.full_like(TAU, 0.7))
    both = process.kernel(TAU + 0.7)
    torch.testing.assert_close(b[0] @ a.covariance @ b[0].mT + b[1], both.covariance, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(b[0] @ a.E, both.E, rtol=1e-12, atol=1e-13)


def test_vp_is_vdms():
    process, gamma = LinearProcess.named("vp"), torch.linspace(-13.3, 5, 50, dtype=torch.float64)
    tau = process.tau_of_gamma(gamma)
    torch.testing.assert_close(tau, torch.nn.functional.softplus(gamma), rtol=1e-12, atol=0)
    kernel = process.kernel(tau)
    torch.testing.assert_close(kernel.mean[:, 0].square(), alpha_squared(gamma), rtol=1e-12, atol=0)
    torch.testing.assert_close(kernel.covariance[:, 0, 0], torch.sigmoid(gamma), rtol=1e-12, atol=0)


@pytest.mark.parametrize("M", [0.25, 1.0])
def test_clds_closed_form(M):
    kernel, s = LinearProcess.named("cld", M=M).kernel(TAU), TAU / M**0.5
    E = (
        torch.stack([torch.stack([1 + s, TAU / M], -1), torch.stack([-TAU, 1 - s], -1)], -2)
        * (-s).exp()[:, None, None]
    )
    torch.testing.assert_close(kernel.E, E, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ["cld", "alda", "malda"])
def test_an_ode_solver(name):
    process = LinearProcess.named(name, M=0.5)
    A, D, K = process.A.numpy(), process.D.numpy(), process.variables

    def rate(_, y):
        covariance = y.reshape(K, K)
        return (A @ covariance + covariance @ A.T + 2 * D).ravel()

    start = np.diag([0.0] + [0.01] * (K - 1)).ravel()
    found = solve_ivp(rate, (0, 2), start, rtol=1e-11, atol=1e-13).y[:, -1].reshape(1, K, K)
    near(process.kernel(torch.tensor([2.0], dtype=torch.float64)).covariance, found, 1e-9)


@pytest.mark.parametrize("name", ["vp", "cld", "malda", "alda"])
def test_rhos_rate_and_matched_time(name):
    process, tau = LinearProcess.named(name), torch.tensor([0.01, 0.3, 2.0], dtype=torch.float64)
    high, low = (process.kernel(tau * (1 + sign * 1e-4)).rho for sign in (1, -1))
    slope = -(high - low) / (2e-4 * tau)
    torch.testing.assert_close(process.kernel(tau).minus_drho_dtau, slope, rtol=1e-6, atol=0)
    gamma = torch.tensor([-13.3, -7.9, 0.0, 5.0], dtype=torch.float64)
    rho = process.kernel(process.tau_of_gamma(gamma)).rho
    torch.testing.assert_close(-rho.log(), gamma, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("full", [False, True])
def test_gradients_of_a_learned_process(full):
    generator = torch.Generator().manual_seed(0)
    shape = (3, 3) if full else (3,)
    q, d = (torch.rand(s, generator=generator, dtype=torch.float64) * 2 - 1 for s in ((3, 3), shape))

    def value(q, d):
        process = LinearProcess.learned(q, d)
        kernel = process.kernel(process.tau_of_gamma(torch.tensor([-5.0, 2.0], dtype=torch.float64)))
        return kernel.mean.sum() + kernel.cholesky.sum() + kernel.minus_drho_dtau.log().sum()

    given = [one.clone().requires_grad_() for one in (q, d)]
    value(*given).backward()
    for index, one in enumerate(given):
        for place in [(0,), (1,)] if one.ndim == 1 else [(0, 1), (2, 1)]:
            step = torch.zeros_like(one)
            step[place] = 1e-5
            moved = [[q, d], [q, d]]
            moved[0][index], moved[1][index] = one.detach() + step, one.detach() - step
            slope = (value(*moved[0]) - value(*moved[1])) / 2e-5
            assert one.grad[place].item() == pytest.approx(slope.item(), rel=1e-6, abs=1e-9)


def test_any_learned_process_is_one():
    generator = torch.Generator().manual_seed(1)
    for _ in range(300):
        K = int(torch.randint(1, 5, (), generator=generator))
        q, B = torch.randn(2, K, K, generator=generator, dtype=torch.float64)
        scale = 10 ** (torch.rand((), generator=generator) * 2.5 - 2)
        kernel = LinearProcess.learned(q, B * scale).kernel(
            torch.tensor([1e-6, 1e-3, 1.0, 20.0], dtype=torch.float64)
        )
        assert kernel.cholesky.isfinite().all()
        assert (torch.diagonal(kernel.cholesky, dim1=1, dim2=2) > 0).all()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: LinearProcess.named("cdl"), "process: unknown 'cdl'; known: vp, cld, alda, malda"),
        (lambda: LinearProcess.named("cld", K=3), "variables: cld has 2, not 3"),
        (lambda: LinearProcess.named("malda", K=1), "variables: malda has two or more, not 1"),
        (lambda: LinearProcess.named("cld", M=0.0), "M: a variance is above 0, not 0.0"),
        (lambda: LinearProcess(torch.ones(2, 2), torch.eye(2), torch.ones(2), 0.1), "Q: is not skew"),
        (
            lambda: LinearProcess(torch.zeros(2, 2), -torch.eye(2), torch.ones(2), 0.1),
            "D: is not symmetric and positive",
        ),
        (lambda: LinearProcess(torch.zeros(3, 3), torch.eye(2), torch.ones(2), 0.1), "of 2 variables"),
        (lambda: LinearProcess(torch.zeros(2, 2), torch.eye(2), -torch.ones(2), 0.1), "variances are above 0"),
    ],
)
def test_what_does_not_fit_is_said(make, said):
    with pytest.raises(ValueError, match=said):
        make()
