"""Linear multivariate diffusions (MDM): K variables a dimension, mixed by K x K matrices that all dimensions share.

Each dimension of x has u = (z, v_1 .. v_(K-1)), z the data's. In intrinsic time tau

    dy = A y dtau + sqrt(2 D) dB,   A = -(Q + D) Lambda^-1,   Q = -Q^T,   D = D^T >= 0,   y_0 = (x, v_0)

with v_0 ~ N(0, c) and the stationary distribution N(0, Lambda); given x, u at tau is N(m x, Sigma), v_0 integrated
out. Everything is in float64, differentiable, and on the device: nothing in a kernel makes the host wait.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

STEPS = 16  # doublings
ORDER = 8  # of the series before them
NEWTON = 3  # steps; two do but for oscillating processes such as ALDA
# log tau between which a noise level is sought, and in how many steps at first
TABLE = (-23.0, 6.0, 1200)


class Kernel(NamedTuple):
    """u at tau given x, for B times.

    Attributes:
        E: (B, K, K), exp(tau A).
        mean: (B, K), m = E[:, :, 0].
        covariance: (B, K, K), Sigma.
        cholesky: (B, K, K), L, lower, Sigma = L L^T.
        rho: (B,), the signal-to-noise ratio m^T Sigma^-1 m; -log of it is the gamma of a VDM.
        minus_drho_dtau: (B,), m^T Sigma^-1 2 D Sigma^-1 m.
    """

    E: Tensor
    mean: Tensor
    covariance: Tensor
    cholesky: Tensor
    rho: Tensor
    minus_drho_dtau: Tensor

    def part(self, some: slice) -> "Kernel":
        """At some of the times."""
        return Kernel(*(values[some] for values in self))

    def axes(self) -> Tensor:
        """(B, K, K), orthogonal: e = L^-1 m / sqrt(rho), then K - 1 directions of noise that know nothing of x.

        By the reflection I - 2 v v^T / v^T v with v = e + sign(e_0) (1, 0, ..), which takes (1, 0, ..) to -+e.
        """
        e = torch.linalg.solve_triangular(self.cholesky, self.mean[..., None], upper=False)[..., 0]
        e = e / self.rho.sqrt()[:, None]
        sign = torch.where(e[:, :1] < 0, -1.0, 1.0).to(e)
        v = torch.cat([e[:, :1] + sign, e[:, 1:]], dim=1)
        H = -2 * v[:, :, None] * (v / v.square().sum(1, keepdim=True))[:, None]
        H = H + torch.eye(e.shape[1], dtype=e.dtype, device=e.device)
        return torch.cat([-sign[:, :, None] * H[:, :, :1], H[:, :, 1:]], dim=2)


def mixed(matrices: Tensor, variables: Tensor) -> Tensor:
    """(B or 1, K, K), (B, K, ...) -> (B, K, ...), in the latter's precision."""
    return torch.einsum("bij,bj...->bi...", matrices.to(variables.dtype).expand(len(variables), -1, -1), variables)


class Table(NamedTuple):
    """Noise levels of a process at times: gamma = -log rho, log tau, and d log tau / d gamma, (N,) each."""

    gamma: Tensor
    log_tau: Tensor
    slope: Tensor

    def log_tau_of(self, gamma: Tensor) -> Tensor:
        """Between the times by cubics, (B,) -> (B,)."""
        place = torch.searchsorted(self.gamma, gamma.contiguous()).clamp(1, len(self.gamma) - 1)
        low, high = (Table(*(values[i] for values in self)) for i in (place - 1, place))
        wide = high.gamma - low.gamma
        u = ((gamma - low.gamma) / wide).nan_to_num(0.5).clamp(0, 1)
        between = torch.lerp(low.log_tau, high.log_tau, u)
        rise = high.log_tau - low.log_tau
        bend = u * (1 - u) * ((1 - u) * (low.slope * wide - rise) - u * (high.slope * wide - rise))
        return between + bend.nan_to_num(0.0, 0.0, 0.0)


class LinearProcess:
    """One process.

    Args:
        Q: (K, K), skew.
        D: (K, K), symmetric, positive semidefinite.
        stationary: (K,), the diagonal of Lambda.
        init: c, the variance of each auxiliary variable at tau = 0.

    Raises:
        ValueError: they do not fit together.
    """

    _table: Table | None = None

    def __init__(self, Q: Tensor, D: Tensor, stationary: Tensor, init: float) -> None:
        self._set(Q, D, stationary, init)
        self._check()

    def _set(self, Q: Tensor, D: Tensor, stationary: Tensor, init: float | Tensor) -> None:
        self.Q, self.D, self.stationary = Q.double(), D.double(), stationary.double()
        self.init = init if isinstance(init, Tensor) else self.D.new_tensor(init)
        K = self.variables
        if self.Q.shape != (K, K) or self.D.shape != (K, K):
            raise ValueError(f"Q and D are {tuple(self.Q.shape)} and {tuple(self.D.shape)}, of {K} variables")
        self.A = -(self.Q + self.D) / self.stationary

    @classmethod
    def named(cls, name: str, K: int | None = None, M: float = 1.0, init: float = 0.01) -> "LinearProcess":
        """vp, cld, alda, or malda of K variables (3); M is the auxiliary variables' stationary variance.

        Raises:
            ValueError: there is no such process, or K or M is none of its.
        """
        sizes = {"vp": 1, "cld": 2, "alda": 3, "malda": 3 if K is None else K}
        if name not in sizes:
            raise ValueError(f"process: unknown {name!r}; known: {', '.join(sizes)}")
        if K is not None and (K < 2 if name == "malda" else sizes[name] != K):
            raise ValueError(f"variables: {name} has {'two or more' if name == 'malda' else sizes[name]}, not {K}")
        if not M > 0:
            raise ValueError(f"M: a variance is above 0, not {M}")
        count = sizes[name]
        Q, D = torch.zeros(2, count, count, dtype=torch.float64, device="cpu")
        if name == "vp":
            D[0, 0] = 0.5
        elif name == "alda":
            Q[0, 1], Q[1, 0], Q[1, 2], Q[2, 1], D[2, 2] = -M, M, -1.0, 1.0, M
        else:
            Q = torch.tril(torch.ones_like(Q), -1)
            Q = Q - Q.T
            D[range(1, count), range(1, count)] = 2 * math.sqrt(M)
        stationary = torch.tensor([1.0] + [M] * (count - 1), dtype=torch.float64, device="cpu")
        return cls(Q, D, stationary, init)

    @classmethod
    def learned(cls, q: Tensor, d: Tensor, M: float = 1.0, init: float = 0.01) -> "LinearProcess":
        """Q = q - q^T; D = diag(softplus(d) + 1e-3) for d (K,), and d d^T + 1e-3 for d (K, K)."""
        q, d = q.double(), d.double()
        if d.ndim == 1:
            D = torch.diag(torch.nn.functional.softplus(d) + 1e-3)
        else:
            D = d @ d.T + 1e-3 * torch.eye(len(d), dtype=torch.float64, device=d.device)
        stationary = torch.ones(len(q), dtype=torch.float64, device=q.device)
        stationary[1:] = M
        return cls.unchecked(q - q.T, D, stationary, init)

    @classmethod
    def unchecked(
        cls, Q: Tensor, D: Tensor, stationary: Tensor, init: float | Tensor, table: Table | None = None
    ) -> "LinearProcess":
        """One that is right by construction: a check would make the host wait. `table` is its own, if known."""
        made = cls.__new__(cls)
        made._set(Q, D, stationary, init)
        made._table = table
        return made

    @property
    def variables(self) -> int:
        """K."""
        return len(self.stationary)

    def kernel(self, tau: Tensor) -> Kernel:
        """u's distribution given x at tau (B,), float64."""
        E, F = self.transition(tau)
        # E Sigma_0 E^T with Sigma_0 = diag(0, c, .., c)
        covariance = F + self.init * E[:, :, 1:] @ E[:, :, 1:].mT
        L = torch.linalg.cholesky_ex(covariance).L
        mean = E[:, :, 0]
        white = torch.linalg.solve_triangular(L, mean[..., None], upper=False)
        pull = torch.linalg.solve_triangular(L.mT, white, upper=True)
        rate = (pull.mT @ (2 * self.D) @ pull)[:, 0, 0]
        return Kernel(E, mean, covariance, L, white.square().sum((1, 2)), rate)

    def transition(self, tau: Tensor) -> tuple[Tensor, Tensor]:
        """exp(tau A), and the noise F = int_0^tau exp(r A) 2D exp(r A^T) dr, both (B, K, K), at tau (B,).

        By a series at tau / 2^16 and doublings, the first half of them of E - 1, the others of E itself: right at
        every tau, where a difference of Lambda and E Lambda E^T loses its digits at small ones.
        """
        h = tau.double()[:, None, None] / 2**STEPS
        eye = torch.eye(self.variables, dtype=torch.float64, device=h.device)
        power, W = eye, 2 * self.D
        less, F = torch.zeros_like(h), torch.zeros_like(h)  # E - 1
        factor = torch.ones_like(h)  # h^n / n!
        for n in range(ORDER + 1):
            if n:
                power, W = self.A @ power, self.A @ W + W @ self.A.T
                less = less + factor * power
            factor = factor * h / (n + 1)
            F = F + factor * W
        for _ in range(STEPS // 2):
            moved = less @ F
            F, less = 2 * F + moved + moved.mT + moved @ less.mT, 2 * less + less @ less
        E = eye + less
        for _ in range(STEPS // 2):
            F, E = F + E @ F @ E.mT, E @ E
        return E, F

    @torch.no_grad()
    def table(self) -> Table:
        """Its noise levels from tau = e^-23 to e^6."""
        log_tau = torch.linspace(*TABLE, dtype=torch.float64, device=self.A.device)
        k = self.kernel(log_tau.exp())
        gamma = -k.rho.log()
        # where rho is nothing but rounding, the table ends
        rising = gamma.isfinite() & (torch.cummax(gamma.nan_to_num(-math.inf), 0).values == gamma)
        slope = k.rho / (log_tau.exp() * k.minus_drho_dtau)
        return Table(torch.where(rising, gamma, math.inf), log_tau, slope)

    def tau_of_gamma(self, gamma: Tensor) -> Tensor:
        """The tau at which rho = e^-gamma, (B,) -> (B,): matched time.

        Newton's steps in log tau from the table; the last one carries the gradient by Q and D.
        """
        gamma = gamma.double()
        with torch.no_grad():
            x = (self._table or self.table()).log_tau_of(gamma)
            for _ in range(NEWTON - 1):
                x = self._newton(x, gamma)
        return self._newton(x, gamma).exp()

    def _newton(self, x: Tensor, gamma: Tensor) -> Tensor:
        """One step of log tau towards -log rho = gamma."""
        tau = x.exp()
        k = self.kernel(tau)
        slope = (tau * k.minus_drho_dtau / k.rho).detach()
        return x + (gamma + k.rho.log()) / slope

    def reach(self) -> tuple[float, float]:
        """The lowest and the highest gamma of `table`."""
        gamma = self.table().gamma
        low, high = gamma[gamma.isfinite()][[0, -1]].tolist()
        return low, high

    def _check(self) -> None:
        Q, D = self.Q.detach().cpu().numpy(), self.D.detach().cpu().numpy()
        if not np.allclose(Q, -Q.T, rtol=0, atol=1e-12):
            raise ValueError("Q: is not skew; give one of Q = -Q^T")
        if not np.allclose(D, D.T, rtol=0, atol=1e-12) or np.linalg.eigvalsh(D).min() < -1e-12:
            raise ValueError("D: is not symmetric and positive semidefinite")
        if not (self.stationary > 0).all() or self.init < 0:
            raise ValueError("stationary and init: variances are above 0, and not negative")
