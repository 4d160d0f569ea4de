"""Multivariate diffusion models (MDM): the bound as VDM's three terms, in matched time, and the exact ancestral step.

gamma is -log rho, so that a process has VDM's signal-to-noise ratio at the same t. The network is the paper's: the
state u goes in, K C epsilons come out, u = m x + L eps.
"""

import torch
from torch import Tensor, nn

from diffenc.models import likelihood
from diffenc.models.encoders import Identity
from diffenc.models.mdm import Kernel, LinearProcess
from diffenc.models.model import LossTerms, Model
from diffenc.models.schedules import Schedule


class Multivariate(Model):
    """K variables a dimension; a state z_t is (B, K C, H, W), the data's channels first.

    Args:
        schedule: of gamma, which is -log rho.
        process: mixes the variables.
        denoiser: (B, K C, H, W), gamma_t (B,), dropout keys -> as many epsilons.
        levels: K of a pixel.
    """

    def __init__(self, schedule: Schedule, process: LinearProcess, denoiser: nn.Module, levels: int) -> None:
        super().__init__()
        self.schedule, self.denoiser, self.levels = schedule, denoiser, levels
        self.encoder = Identity()  # the data does not move
        # they follow the model from device to device; the run's configuration says what they are
        for name in ("Q", "D", "stationary", "init"):
            self.register_buffer(f"process_{name}", getattr(process, name), persistent=False)

    @property
    def process(self) -> LinearProcess:
        """What mixes the variables, on the model's device."""
        buffers = (getattr(self, f"process_{name}").double() for name in ("Q", "D", "stationary", "init"))
        return LinearProcess.unchecked(*buffers)

    def compute_in(self, precision: torch.dtype) -> None:
        """Let the denoiser's activations and products have this precision; the process has float64."""
        self.denoiser.precision = precision

    def ends(self) -> tuple[Tensor, Tensor]:
        """gamma_0 and gamma_1, both ()."""
        return self.schedule.ends()

    def gammas(self, z: Tensor, *times: float) -> Tensor:
        """gamma at these times, (len(times),), on z's device and in its precision."""
        return self.schedule(torch.tensor(times, dtype=z.dtype, device=z.device))

    def state_shape(self, images: tuple[int, ...]) -> tuple[int, ...]:
        """(K C, H, W)."""
        return (self.process.variables * images[0], *images[1:])

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
        """The negative ELBO; of eps_0, the decoder's noise, the first C channels are used."""
        gamma_0, gamma_1 = self.ends()
        x = likelihood.scale(images, self.levels, gamma_0.dtype)
        noisy = x + torch.exp(gamma_0 / 2) * eps_0[:, : x.shape[1]]
        reconstruction = -likelihood.log_prob(images, noisy, gamma_0, self.levels)
        diffusion = self.diffusion(x, gamma, slope, eps_t, keys)
        return LossTerms(reconstruction, self.latent(x, gamma_1), diffusion)

    def latent(self, x: Tensor, gamma_1: Tensor) -> Tensor:
        """KL(q(u_1 | x) || N(0, Lambda)): (B,) nats."""
        k, stationary = self._kernel(gamma_1[None]), self.process.stationary
        spread = (torch.diagonal(k.covariance[0]) / stationary).sum() - self.process.variables
        spread = spread + stationary.log().sum() - 2 * torch.diagonal(k.cholesky[0]).log().sum()
        pull = (k.mean[0].square() / stationary).sum()
        found = 0.5 * (x[0].numel() * spread + pull * x.double().square().flatten(1).sum(1))
        return found.to(x.dtype)

    def diffusion(self, x: Tensor, gamma: Tensor, slope: Tensor, eps: Tensor, keys: Tensor | None = None) -> Tensor:
        """1/2 gamma' (eps - eps_hat)^T G (eps - eps_hat), G = L^-1 2D L^-T dtau/dgamma: (B,) nats."""
        k, eps = self._kernel(gamma), self._parted(eps)
        u = k.mean[:, :, None, None, None] * x[:, None].double() + _mixed(k.cholesky, eps)
        error = eps - self._parted(self.denoiser(u.flatten(1, 2).to(x.dtype), gamma, keys))
        half = torch.linalg.solve_triangular(k.cholesky, (2 * self.process.D).expand_as(k.cholesky), upper=False)
        weight = torch.linalg.solve_triangular(k.cholesky, half.mT, upper=False)
        form = (error * _mixed(weight, error)).flatten(1).sum(1) * k.rho / k.minus_drho_dtau
        return (0.5 * slope * form).to(x.dtype)

    def step_between(self, z_t: Tensor, gamma_s: Tensor, gamma_t: Tensor, eps: Tensor) -> Tensor:
        """u_s ~ N(m_s x_hat + g (u_t - m_t x_hat), V), exact for any K, from z_t at gamma_t to gamma_s, both ()."""
        tau = self.process.tau_of_gamma(torch.stack([gamma_s, gamma_t]).double())
        below, above = (self.process.kernel(one[None]) for one in tau)
        R, N = (one[0] for one in self.process.transition((tau[1] - tau[0])[None]))
        S = below.covariance[0]
        g = torch.linalg.solve(above.covariance[0], R @ S).T  # S R^T Sigma_t^-1
        u = self._parted(z_t)
        eps_hat = self._parted(self.denoiser(z_t, gamma_t.expand(len(z_t))))
        x_hat = self._x_hat(u, above, eps_hat)
        mean = below.mean[0][:, None, None, None] * x_hat[:, None]
        mean = mean + _mixed(g[None], u - above.mean[0][:, None, None, None] * x_hat[:, None])
        left = torch.eye(len(S), dtype=S.dtype, device=S.device) - g @ R
        V = left @ S @ left.T + g @ N @ g.T  # Joseph's form stays definite
        noise = _mixed(torch.linalg.cholesky_ex(V).L[None], self._parted(eps))
        return (mean + noise).flatten(1, 2).to(z_t.dtype)

    def decode(self, z_0: Tensor) -> Tensor:
        """z_0 (B, K C, H, W) -> the most likely pixels (B, C, H, W) uint8."""
        gamma_0, _ = self.ends()
        x = self._x_hat(self._parted(z_0), self._kernel(gamma_0[None]))
        return likelihood.most_likely(x.to(gamma_0.dtype), gamma_0, self.levels)

    def _kernel(self, gamma: Tensor) -> Kernel:
        return self.process.kernel(self.process.tau_of_gamma(gamma.double()))

    def _parted(self, state: Tensor) -> Tensor:
        """(B, K C, H, W) -> (B, K, C, H, W) in float64."""
        return state.unflatten(1, (self.process.variables, -1)).double()

    def _x_hat(self, u: Tensor, k: Kernel, eps_hat: Tensor | None = None) -> Tensor:
        """m^T Sigma^-1 (u - L eps_hat) / rho: what the epsilons leave of x; without them u's sufficient statistic."""
        if eps_hat is not None:
            u = u - _mixed(k.cholesky, eps_hat)
        pull = torch.linalg.solve(k.covariance[0], k.mean[0])
        return torch.einsum("i,bi...->b...", pull, u) / k.rho[0]


def _mixed(matrices: Tensor, variables: Tensor) -> Tensor:
    """(B or 1, K, K), (B, K, ...) -> (B, K, ...)."""
    return torch.einsum("bij,bj...->bi...", matrices.expand(len(variables), -1, -1), variables)
