"""The MDM paper's own bound: pixels dequantised with uniform noise U, a density of their logits.

    y = (k + U) / levels,   x = logit(0.05 + 0.9 y),   log p(k) >= E[log p(x) + log |dx / dy|] - d log levels
    log p(x) >= -KL(q(u_1 | x) || N(0, Lambda)) - diffusion - H(q(u_0 | x)) + H(q(v_0)) + offset

Only what the network takes part in is drawn. The authors draw more, in one of two forms of the integrand, `dsm` and
`ism`; their means are the same, and they are here so that numbers can be compared on the authors' terms.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.special import ndtr

from diffenc.models.mdm import Kernel, LinearProcess, mixed
from diffenc.models.model import LossTerms
from diffenc.models.multivariate import Multivariate

EDGE, INSIDE = 0.05, 0.9  # of (0, 1) for y, so that logits are finite


class Dequantised(Multivariate):
    """As its base, of logits. Of a state's noise (xi, r) and, for the offset, v_0 and eps_0; a network of epsilons.

    `reconstruction` is all that the bound has beside its latent and its diffusion term.
    """

    kind = "dequantised"

    @property
    def noises(self) -> int:
        """3K - 1 a dimension."""
        return 3 * self.variables - 1

    def terms_at(
        self,
        images: Tensor,
        gamma: Tensor,
        slope: Tensor,
        eps_0: Tensor,
        eps_t: Tensor,
        keys: Tensor | None = None,
        relief: Tensor | None = None,
    ) -> LossTerms:
        """The negative bound; U is the normal distribution function of eps_0."""
        x, log_slope = logits(images, ndtr(eps_0), self.levels)
        noise, v_0, eps = (one.flatten(1, 2) for one in self._apart(eps_t))
        ends = torch.stack(self.ends()).to(gamma.dtype)
        at, process, d = self.at(torch.cat([ends, gamma])), self.process(), x[0].numel()
        first = at.part(slice(0, 1))
        start = torch.cat([x, process.init.sqrt().to(x.dtype) * v_0], 1)
        S = process.transition(first.tau)[1]
        u = mixed(first.kernel.E, self.parted(start)) + mixed(torch.linalg.cholesky_ex(S).L, self.parted(eps))
        eps_hat = self.parted(self.seen(u.flatten(1, 2), first, keys))
        gap = offset(process, first.tau, first.kernel, self.parted(eps), eps_hat)
        known = d * (math.log(self.levels) + entropy(first.kernel)[0] - entropy_of_start(process))
        rest = (known - log_slope.double() - gap.double()).to(x.dtype)
        diffusion = self.diffusion(x, at.part(slice(2, None)), slope, noise, keys)
        return LossTerms(rest, self.latent(x, at.kernel.part(slice(1, 2))), diffusion)

    def data(self, images: Tensor, eps_0: Tensor) -> Tensor:
        """Logits of the dequantised pixels."""
        return logits(images, ndtr(eps_0), self.levels)[0]

    def decode(self, z_0: Tensor) -> Tensor:
        """z_0 (B, K C, H, W) -> the pixels (B, C, H, W) uint8 in whose cell its data's mean lies."""
        k = self.at(self.ends()[0][None]).kernel
        x = self.parted(z_0)[:, 0] / k.mean[0, 0].to(z_0.dtype)
        y = (torch.sigmoid(x) - EDGE) / INSIDE
        return (y * self.levels).floor().clamp(0, self.levels - 1).to(torch.uint8)

    def _apart(self, noise: Tensor) -> tuple[Tensor, ...]:
        K = self.variables
        return noise.unflatten(1, (self.noises, -1)).split([K, K - 1, K], dim=1)


def logits(images: Tensor, U: Tensor, levels: int) -> tuple[Tensor, Tensor]:
    """Pixels (B, C, H, W) and uniform U like them -> x (B, C, H, W), and log |dx / dy| (B,), summed, in nats."""
    y = (images.to(U.dtype) + U) / levels
    p = EDGE + INSIDE * y
    slope = math.log(INSIDE) - p.log() - torch.log1p(-p)
    return torch.logit(p), slope.flatten(1).sum(1)


def entropy(k: Kernel) -> Tensor:
    """H(q(u | x)) of one dimension: (B,) nats."""
    K = k.mean.shape[1]
    return K / 2 * math.log(2 * math.pi * math.e) + torch.diagonal(k.cholesky, dim1=1, dim2=2).log().sum(1)


def entropy_of_start(process: LinearProcess) -> Tensor:
    """H(q(v_0)) of one dimension, () nats."""
    return (process.variables - 1) / 2 * torch.log(2 * math.pi * math.e * process.init)


def offset(process: LinearProcess, tau: Tensor, k: Kernel, eps: Tensor, eps_hat: Tensor) -> Tensor:
    """log p(u_0 | u) - log q(u | u_0) at tau (1,), u = E u_0 + L_S eps; the network's there eps_hat: (B,) nats.

    tau tr(A) d - 1/2 ||eps - L_S^T L^-T eps_hat||^2 + 1/2 ||eps||^2, S the covariance given u_0: no density is taken
    at a point, where float32 would lose it.

    Args:
        process: of u.
        tau: where u is, (1,).
        k: the kernel there.
        eps: (B, K, C, H, W).
        eps_hat: like it.
    """
    L_S = torch.linalg.cholesky_ex(process.transition(tau)[1]).L
    back = L_S.mT @ torch.linalg.inv(k.cholesky).mT
    missed = eps - mixed(back, eps_hat)
    d = eps[0, 0].numel()
    drift = tau[0] * torch.trace(process.A) * d
    return drift + 0.5 * (eps.square() - missed.square()).flatten(1).sum(1)


def dsm(process: LinearProcess, k: Kernel, beta: Tensor, eps: Tensor, eps_hat: Tensor) -> Tensor:
    """The denoising form of the bound's integrand at t, (B,) nats, for gg = 2 D beta and u = m x + L eps:

    d/2 tr(gg Sigma^-1) - 1/2 (eps_hat - eps)^T L^-1 gg L^-T (eps_hat - eps) + beta tr(A) d. Of a kernel given x and
    v_0 likewise.
    """
    gg = 2 * process.D * beta[:, None, None]
    half = torch.linalg.solve_triangular(k.cholesky, gg, upper=False)
    G = torch.linalg.solve_triangular(k.cholesky, half.mT, upper=False)
    d, error = eps[0, 0].numel(), eps_hat - eps
    form = (error * mixed(G, error)).flatten(1).sum(1)
    return d / 2 * torch.diagonal(G, dim1=1, dim2=2).sum(1) - form / 2 + beta * torch.trace(process.A) * d


def ism(process: LinearProcess, beta: Tensor, u: Tensor, score: Callable[[Tensor], Tensor], probe: Tensor) -> Tensor:
    """The implicit form, -1/2 ||s||^2_gg - div(gg s) + beta tr(A) d, (B,) nats; div by one probe, like u."""
    gg = 2 * process.D * beta[:, None, None]
    s, turned = torch.func.jvp(score, (u,), (probe,))
    d = u[0, 0].numel()
    norm, divergence = ((one * mixed(gg, other)).flatten(1).sum(1) for one, other in ((s, s), (probe, turned)))
    return -norm / 2 - divergence + beta * torch.trace(process.A) * d
