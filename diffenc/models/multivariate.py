"""Multivariate diffusion models (MDM): the bound as VDM's three terms, and the exact ancestral step.

The state is u = m x + L eps (`diffenc.models.mdm`) at the noise level -log rho. Two networks: the paper's, from u to
K C epsilons (`prediction` epsilon), and one that sees what u knows of x, VDM's z = alpha x + sigma xi, beside the
K - 1 directions of noise, and predicts VDM's v (or x). Two times: matched, in which gamma is -log rho whatever the
process, and vp, the paper's, in which tau = softplus(gamma).
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from diffenc.models import likelihood
from diffenc.models.encoders import Identity, over_pixels
from diffenc.models.mdm import Kernel, mixed
from diffenc.models.model import LossTerms, Model
from diffenc.models.parameterizations import PARAMETERIZATIONS
from diffenc.models.processes import Process
from diffenc.models.schedules import Schedule, alpha, sigma


class At(NamedTuple):
    """The process at noise levels, B of them: its kernel, tau, -log rho, dtau / dgamma, and the schedule's gamma."""

    kernel: Kernel
    tau: Tensor
    level: Tensor
    speed: Tensor
    gamma: Tensor

    def part(self, some: slice) -> "At":
        """Some of the levels."""
        return At(self.kernel.part(some), *(values[some] for values in self[1:]))


class Multivariate(Model):
    """K variables a dimension; a state z_t is (B, K C, H, W), the data's channels first.

    Noise of a state comes as (xi, r): xi, VDM's noise, along the direction of eps that hides x, r along the others.

    Args:
        schedule: of gamma.
        process: mixes the variables.
        denoiser: (B, K C, H, W), gamma_t (B,), dropout keys -> as many epsilons, or (B, C, H, W).
        levels: K of a pixel.
        prediction: epsilon for the paper's network, v or x for the other.
        matched: whether gamma is -log rho; else tau = softplus(gamma).
    """

    kind = "multivariate"

    def __init__(
        self,
        schedule: Schedule,
        process: Process,
        denoiser: nn.Module,
        levels: int,
        prediction: str = "epsilon",
        matched: bool = True,
    ) -> None:
        super().__init__()
        self.schedule, self.process, self.denoiser, self.levels = schedule, process, denoiser, levels
        self.encoder = Identity()  # the data does not move
        self.of_state, self.matched = prediction == "epsilon", matched
        self.parameterization, self.variables = PARAMETERIZATIONS[prediction], process.variables

    def compute_in(self, precision: torch.dtype) -> None:
        """Let the denoiser's activations and products have this precision; the process has float64."""
        self.denoiser.precision = precision

    def undecayed(self) -> list[nn.Parameter]:
        """The schedule's, and what is learned of the process."""
        return [*super().undecayed(), *self.process.parameters()]

    def start(self, noise: Tensor) -> Tensor:
        """z_1 ~ N(0, Lambda)."""
        spread = self.process().stationary.sqrt().to(noise.dtype)
        return (spread[:, None, None, None] * self.parted(noise)).flatten(1, 2)

    def encode(self, x: Tensor, gamma: Tensor, keys: Tensor | None = None) -> Tensor:
        """x, whatever gamma_t."""
        return x

    def level(self, gamma: Tensor) -> Tensor:
        """-log rho where the schedule has gamma, (B,) -> (B,)."""
        return gamma if self.matched else self.at(gamma).level.to(gamma.dtype)

    def at(self, gamma: Tensor) -> At:
        """The process where the schedule has gamma (B,)."""
        process = self.process()
        if self.matched:
            tau = process.tau_of_gamma(gamma)
            k = process.kernel(tau)
            return At(k, tau, gamma, k.rho / k.minus_drho_dtau, gamma)
        tau = softplus(gamma.double())
        k = process.kernel(tau)
        return At(k, tau, -k.rho.log(), torch.sigmoid(gamma.double()), gamma)

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
        """The negative ELBO."""
        ends = torch.stack(self.ends())
        at = self.at(torch.cat([ends.to(gamma.dtype), gamma]))
        x = self.data(images, eps_0)
        reconstruction = self.reconstruction(images, x, at.part(slice(0, 1)), eps_0)
        diffusion = self.diffusion(x, at.part(slice(2, None)), slope, eps_t, keys)
        return LossTerms(reconstruction, self.latent(x, at.kernel.part(slice(1, 2))), diffusion)

    def reconstruction(self, images: Tensor, x: Tensor, first: At, eps_0: Tensor) -> Tensor:
        """-log p(x | u_0), by x + rho_0^-1/2 xi alone: (B,) nats."""
        level = first.level[0].to(x.dtype)
        return -likelihood.log_prob(images, x + torch.exp(level / 2) * eps_0, level, self.levels)

    def latent(self, x: Tensor, last: Kernel) -> Tensor:
        """KL(q(u_1 | x) || N(0, Lambda)): (B,) nats."""
        stationary = self.process().stationary
        spread = (torch.diagonal(last.covariance[0]) / stationary).sum() - self.variables
        spread = spread + stationary.log().sum() - 2 * torch.diagonal(last.cholesky[0]).log().sum()
        pull = (last.mean[0].square() / stationary).sum()
        found = 0.5 * (x[0].numel() * spread + pull * x.double().square().flatten(1).sum(1))
        return found.to(x.dtype)

    def diffusion(self, x: Tensor, at: At, slope: Tensor, noise: Tensor, keys: Tensor | None = None) -> Tensor:
        """1/2 gamma' (eps - eps_hat)^T G (eps - eps_hat), G = L^-1 2D L^-T dtau/dgamma; where the network sees what u
        knows of x, VDM's 1/2 gamma' ||xi - xi_hat||^2, gamma' that of -log rho: (B,) nats."""
        if self.of_state:
            error = self._error_of_state(x, at, noise, keys)
            form = error * mixed(self.weight(at), error)
            return 0.5 * slope * form.flatten(1).sum(1)
        if not self.matched:
            slope = slope * (at.speed * at.kernel.minus_drho_dtau / at.kernel.rho).to(x.dtype)
        a, s = self._roots(at, x)
        xi = noise[:, : x.shape[1]]
        output = self._output(a * x + s * xi, noise, at, keys)
        return 0.5 * slope * self.parameterization.error(x, xi, output, a, s).square().flatten(1).sum(1)

    def weight(self, at: At) -> Tensor:
        """G, (B, K, K) in float64; e^T G e is d -log rho / d gamma, 1 in matched time."""
        L = at.kernel.cholesky
        half = torch.linalg.solve_triangular(L, (2 * self.process().D).expand_as(L), upper=False)
        return torch.linalg.solve_triangular(L, half.mT, upper=False) * at.speed[:, None, None]

    def weights(self, gamma: Tensor) -> Tensor:
        """The eigenvalues of G at gamma (B,): (B, K), ascending, in float64."""
        return torch.linalg.eigvalsh(self.weight(self.at(gamma)))

    def matrices(self) -> tuple[Tensor, Tensor]:
        """Q and D, both (K, K), in float64."""
        process = self.process()
        return process.Q, process.D

    def data(self, images: Tensor, eps_0: Tensor) -> Tensor:
        """What the process carries: x (B, C, H, W)."""
        return self.scale(images)

    def own_error(self, images: Tensor, gamma: Tensor, slope: Tensor, eps_0: Tensor, eps_t: Tensor) -> Tensor:
        """The network's own: what it misses of the noise that the state itself tells, r: (B,) nats.

        (eps - eps_hat)^T G (eps - eps_hat) is rho d(-log rho)/dgamma ||x - x_hat||^2 and this, which is not negative
        and could be 0 whatever the data. Where the network sees r, and is not asked for it, it is.
        """
        if not self.of_state:
            return torch.zeros_like(gamma)
        x, at = self.data(images, eps_0), self.at(gamma)
        error = self._error_of_state(x, at, eps_t[:, : self.variables * x.shape[1]])
        along = torch.einsum("bi,bi...->b...", self._pull(at).to(x.dtype), error)
        rate = (at.speed * at.kernel.minus_drho_dtau).to(x.dtype)  # rho d(-log rho)/dgamma
        whole = (error * mixed(self.weight(at), error)).flatten(1).sum(1)
        return 0.5 * slope * (whole - rate * along.square().flatten(1).sum(1))

    def missed(self, x_t: Tensor, gamma: Tensor, eps: Tensor) -> Tensor:
        """x - x_hat (B, C, H, W) at gamma_t (B,), with noise (B, K C, H, W); in x_t's precision but for the network.

        Of K epsilons x_hat is what they say of x in the norm that they are trained in, G's.
        """
        at, noise, precision = self.at(gamma), eps.to(x_t.dtype), self.ends()[0].dtype
        if self.of_state:
            error = self._error_of_state(x_t, at, noise, precision=precision)
            return -torch.einsum("bi,bi...->b...", self._pull(at).to(x_t.dtype), error)
        a, s = self._roots(at, x_t)
        xi = noise[:, : x_t.shape[1]]
        output = self._output((a * x_t + s * xi).to(precision), noise.to(precision), at).to(x_t.dtype)
        return self.parameterization.missed(x_t, xi, output, a, s)

    def step_between(
        self, z_t: Tensor, gamma_s: Tensor, gamma_t: Tensor, eps: Tensor, spread: Tensor | float = 1.0
    ) -> Tensor:
        """u_s ~ N(m_s x_hat + g (u_t - m_t x_hat), V), exact for any K, from z_t at gamma_t to gamma_s, both ().

        `spread` is sigma_P / sigma_Q along m_s - g m_t, the one direction in which x moves the mean.
        """
        at = self.at(torch.stack([gamma_s, gamma_t]))
        below, above, process = at.kernel.part(slice(0, 1)), at.kernel.part(slice(1, 2)), self.process()
        R, N = (one[0] for one in process.transition((at.tau[1] - at.tau[0])[None]))
        S = below.covariance[0]
        g = torch.linalg.solve(above.covariance[0], R @ S).T  # S R^T Sigma_t^-1
        left = torch.eye(len(S), dtype=S.dtype, device=S.device) - g @ R
        V = left @ S @ left.T + g @ N @ g.T  # Joseph's form stays definite
        root, moves = torch.linalg.cholesky_ex(V).L, (below.mean[0] - g @ above.mean[0])[:, None]
        along = torch.linalg.solve_triangular(root, moves, upper=False)
        root = root + (spread - 1) * (root @ along) @ along.T / along.square().sum()
        x_hat = self.x_hat(z_t, at.part(slice(1, 2)))
        mean = moves.to(x_hat.dtype)[..., None, None] * x_hat[:, None]
        return (mean + mixed(g[None], self.parted(z_t)) + mixed(root[None], self.parted(eps))).flatten(1, 2)

    def x_hat(self, z_t: Tensor, at: At) -> Tensor:
        """What the network takes x to be at z_t (B, K C, H, W), at one level: (B, C, H, W)."""
        u, k = self.parted(z_t), at.kernel
        white = mixed(torch.linalg.inv(k.cholesky), u)
        if self.of_state:
            return self._said(white - self.parted(self.seen(z_t, at)), at)
        a, s = self._roots(at, u)
        directed = mixed(k.axes().mT, white)  # sqrt(rho) x + xi, and r
        z = s * directed[:, 0]
        return self.parameterization.x_hat(z, self._output(z, directed.flatten(1, 2), at), a, s)

    def decode(self, z_0: Tensor) -> Tensor:
        """z_0 (B, K C, H, W) -> the most likely pixels (B, C, H, W) uint8."""
        first = self.at(self.ends()[0][None])
        k = first.kernel
        pull = torch.linalg.solve(k.covariance[0], k.mean[0]) / k.rho[0]
        x = torch.einsum("i,bi...->b...", pull.to(z_0.dtype), self.parted(z_0))
        return likelihood.most_likely(x, first.level[0].to(z_0.dtype), self.levels)

    def _error_of_state(
        self, x: Tensor, at: At, noise: Tensor, keys: Tensor | None = None, precision: torch.dtype | None = None
    ) -> Tensor:
        """eps - eps_hat, (B, K, C, H, W)."""
        k = at.kernel
        eps = mixed(k.axes(), self.parted(noise))
        u = k.mean.to(x.dtype)[:, :, None, None, None] * x[:, None] + mixed(k.cholesky, eps)
        return eps - self.parted(self.seen(u.flatten(1, 2).to(precision or x.dtype), at, keys)).to(x.dtype)

    def _pull(self, at: At) -> Tensor:
        """L^-1 m G / m^T L^-T G L^-1 m, (B, K): what an error of the epsilons makes x_hat miss."""
        k = at.kernel
        w = torch.linalg.solve_triangular(k.cholesky, k.mean[..., None], upper=False)
        weighted = (self.weight(at) @ w)[..., 0]
        return weighted / (weighted * w[..., 0]).sum(1, keepdim=True)

    def _said(self, left: Tensor, at: At) -> Tensor:
        """x_hat from L^-1 u - eps_hat."""
        return torch.einsum("bi,bi...->b...", self._pull(at).to(left.dtype).expand(len(left), -1), left)

    def _output(self, z: Tensor, noise: Tensor, at: At, keys: Tensor | None = None) -> Tensor:
        """Of the network that sees z (B, C, H, W) and the noise behind xi."""
        return self.seen(torch.cat([z, noise[:, z.shape[1] :].to(z.dtype)], 1), at, keys)

    def seen(self, state: Tensor, at: At, keys: Tensor | None = None) -> Tensor:
        """The denoiser's output for states (B, its channels, H, W) at levels, B or 1."""
        return self.denoiser(state, at.gamma.to(state.dtype).expand(len(state)), keys)

    def _roots(self, at: At, like: Tensor) -> tuple[Tensor, Tensor]:
        """alpha and sigma of the level, in the precision of `like`."""
        level = at.level.to(like.dtype)
        return over_pixels(alpha(level)), over_pixels(sigma(level))

    def parted(self, state: Tensor) -> Tensor:
        """(B, K C, H, W) -> (B, K, C, H, W)."""
        return state.unflatten(1, (self.variables, -1))
