"""The MDM paper's sampler: Euler-Maruyama's steps of a multivariate model, in the paper's time.

du = [-A u + 2D score] dtau + sqrt(2D) dB, backwards;   tau = 0.1 t + 4.95 t^2, dtau = beta dt, beta = 0.1 + 9.9 t
"""

import torch
from torch import Tensor

from diffenc.models.mdm import mixed
from diffenc.models.multivariate import At, Multivariate


def levels(model: Multivariate, steps: int) -> Tensor:
    """gamma (steps + 1,) of the paper's times, between the ends, dense near 0 by a square; in float64."""
    t_0, t_1 = _time(model.at(torch.stack(model.ends())).tau)
    t = t_0 + (t_1 - t_0) * torch.linspace(0, 1, steps + 1, dtype=t_0.dtype, device=t_0.device) ** 2
    tau = 0.1 * t + 4.95 * t**2
    return -model.process().kernel(tau).rho.log() if model.matched else torch.log(torch.expm1(tau))


def step(model: Multivariate, z_t: Tensor, gamma_s: Tensor, gamma_t: Tensor, eps: Tensor) -> Tensor:
    """From z_t (B, K C, H, W) at gamma_t to gamma_s, both (), with noise like z_t; of width beta(t) (t - s)."""
    at, process = model.at(torch.stack([gamma_s, gamma_t])), model.process()
    s, t = _time(at.tau)
    wide, u = (0.1 + 9.9 * t) * (t - s), model.parted(z_t)
    values, vectors = torch.linalg.eigh(2 * process.D)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    drift = mixed(2 * process.D[None], score(model, z_t, at.part(slice(1, 2)))) - mixed(process.A[None], u)
    return (u + wide.to(u.dtype) * drift + mixed(wide.sqrt() * root[None], model.parted(eps))).flatten(1, 2)


def score(model: Multivariate, z_t: Tensor, at: At) -> Tensor:
    """The network's, (B, K, C, H, W), at one level: -L^-T eps_hat, or -Sigma^-1 (u - m x_hat)."""
    k = at.kernel
    if model.of_state:
        return -mixed(torch.linalg.inv(k.cholesky).mT, model.parted(model.seen(z_t, at)))
    u = model.parted(z_t)
    moved = k.mean.to(u.dtype)[:, :, None, None, None] * model.x_hat(z_t, at)[:, None]
    return -mixed(torch.linalg.inv(k.covariance), u - moved)


def _time(tau: Tensor) -> Tensor:
    """The paper's t of tau."""
    return (torch.sqrt(0.01 + 19.8 * tau) - 0.1) / 9.9
