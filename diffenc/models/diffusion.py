"""The variational diffusion model: its negative ELBO as three terms, and the ancestral step (MATH.md).

"Eq." numbers are those of the DiffEnc paper; docs/equations.md has them all.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function

from diffenc.models import likelihood
from diffenc.models.encoders import Encoder, over_pixels
from diffenc.models.model import LossTerms, Model
from diffenc.models.parameterizations import PARAMETERIZATIONS
from diffenc.models.schedules import Schedule, alpha, alpha_squared, sigma, sigma_squared


class Diffusion(Model):
    """Continuous-time variational diffusion of images with K = `levels` values a pixel."""

    def __init__(
        self,
        schedule: Schedule,
        encoder: Encoder,
        denoiser: nn.Module,
        levels: int,
        prediction: str,
    ) -> None:
        super().__init__()
        self.schedule, self.encoder, self.denoiser = schedule, encoder, denoiser
        self.levels, self.parameterization = levels, PARAMETERIZATIONS[prediction]

    def compute_in(self, precision: torch.dtype) -> None:
        """Let the denoiser's activations and products have this precision; all else keeps its own.

        The encoder among it: in bfloat16 dy/dgamma is so coarse that gradients turn away (benchmarks/README.md).
        """
        self.denoiser.precision = precision

    def denoise(self, z: Tensor, gamma: Tensor, keys: Tensor | None = None) -> Tensor:
        """z_t (B, C, H, W), gamma_t (B,) -> the prediction (B, C, H, W), as v or epsilon."""
        return self.denoiser(z, gamma, keys)

    def encode(self, x: Tensor, gamma: Tensor, keys: Tensor | None = None) -> Tensor:
        """x (B, C, H, W) in (-1, 1), gamma_t (B,) -> x_t (B, C, H, W)."""
        return self.encoder.at_times(x, gamma, keys)

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
        """The negative ELBO of the hierarchical model (Eq. 1, 5), the diffusion term in continuous time."""
        x_0, x_1, x_t, r = self._encoded(self.scale(images), gamma, keys, relief)
        diffusion = self.diffusion(x_t, r, gamma, slope, eps_t, keys)
        return LossTerms(self.reconstruction(images, x_0, eps_0), self.latent(x_1), diffusion)

    def encoder_parameters(self) -> list[nn.Parameter]:
        """The encoder's."""
        return list(self.encoder.parameters())

    def _encoded(
        self, x: Tensor, gamma: Tensor, keys: Tensor | None, relief: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """x_0, x_1, x_t and its r, in one pass of the encoder."""
        ends = torch.stack(self.ends()).repeat_interleave(len(x))
        encoded, r = self.encoder.with_mean_shift(x, torch.cat([ends, gamma]), keys)
        if relief is not None:
            encoded, r = Relieved.apply(encoded, relief), Relieved.apply(r, relief[-len(x) :])
        return *encoded.chunk(3), r

    def reconstruction(self, images: Tensor, x_0: Tensor, eps_0: Tensor) -> Tensor:
        """-log p(x | z_0) (App. D) with z_0 / alpha_0 = x_0 + exp(gamma_0 / 2) eps_0: (B,) nats."""
        gamma_0, _ = self.ends()
        return -likelihood.log_prob(images, x_0 + torch.exp(gamma_0 / 2) * eps_0, gamma_0, self.levels)

    def latent(self, x_1: Tensor) -> Tensor:
        """KL(q(z_1 | x) || N(0, I)) (App. D): (B,) nats."""
        _, gamma_1 = self.ends()
        variance = sigma_squared(gamma_1)
        kl = 0.5 * (alpha_squared(gamma_1) * x_1.square() + variance - variance.log() - 1)
        return kl.flatten(1).sum(1)

    def diffusion(
        self,
        x_t: Tensor,
        r: Tensor | None,
        gamma: Tensor,
        slope: Tensor,
        eps: Tensor,
        keys: Tensor | None = None,
    ) -> Tensor:
        """1/2 gamma' ||eps - eps_hat + alpha sigma c||^2 at gamma_t with gamma' = `slope`: (B,) nats.

        c = x_hat - r is what the counterterm leaves of the encoder's mean shift (`diffenc.models.encoders`). Eq. 8
        without an encoder (r None), else Eq. 14 with the counterterm: Eq. 18, and with v Eq. 19 for the trainable
        and Eq. 20 for the non-trainable encoder, times alpha^2 gamma' / 2.
        """
        a, s = (over_pixels(root(gamma)) for root in (alpha, sigma))
        z = a * x_t + s * eps  # Eq. 2, and with an encoder Eq. 10
        output = self.denoise(z, gamma, keys)
        error = self.parameterization.error(x_t, eps, output, a, s)
        if r is not None:
            error = error + a * s * (self.parameterization.x_hat(z, output, a, s) - r)
        return 0.5 * slope * error.square().flatten(1).sum(1)

    def missed(self, x_t: Tensor, gamma: Tensor, eps: Tensor) -> Tensor:
        """x_t - x_hat (B, C, H, W) at gamma_t (B,), with noise eps in z_t; in x_t's precision but for the network."""
        a, s = (over_pixels(root(gamma)) for root in (alpha, sigma))
        precision, eps = self.ends()[0].dtype, eps.to(x_t.dtype)
        output = self.denoise((a * x_t + s * eps).to(precision), gamma.to(precision)).to(x_t.dtype)
        return self.parameterization.missed(x_t, eps, output, a, s)

    def step_mean(self, z_t: Tensor, s: float, t: float) -> Tensor:
        """mu_P, the mean of p(z_s | z_t) for z_t (B, C, H, W) at time t and s < t (Eq. 6, 17); like z_t."""
        return self._step_mean(z_t, *self.gammas(z_t, s, t))

    def _step_mean(self, z_t: Tensor, gamma_s: Tensor, gamma_t: Tensor) -> Tensor:
        output = self.denoise(z_t, gamma_t.expand(len(z_t)))
        x_hat = self.parameterization.x_hat(z_t, output, alpha(gamma_t), sigma(gamma_t))
        shrink = torch.expm1(gamma_s - gamma_t)
        mean = alpha(gamma_s) / alpha(gamma_t) * (shrink + 1) * z_t - alpha(gamma_s) * shrink * x_hat
        if not self.encoder.is_identity:  # the counterterm
            mean = mean - alpha(gamma_s) * (gamma_s - gamma_t) * sigma_squared(gamma_t) * x_hat
        return mean

    def sample_step(self, z_t: Tensor, s: float, t: float, eps: Tensor) -> Tensor:
        """One ancestral step from z_t (B, C, H, W) at time t to z_s at s < t, with noise eps (B, C, H, W)."""
        return self.step_between(z_t, *self.gammas(z_t, s, t), eps)

    def step_between(
        self, z_t: Tensor, gamma_s: Tensor, gamma_t: Tensor, eps: Tensor, spread: Tensor | float = 1.0
    ) -> Tensor:
        """`sample_step` from gamma_t to gamma_s, both (), with `spread` sigma_P / sigma_Q."""
        # sigma_Q of Eq. 4, which an encoder does not change (Eq. 13)
        sigma_q = sigma(gamma_s) * torch.sqrt(-torch.expm1(gamma_s - gamma_t))
        return self._step_mean(z_t, gamma_s, gamma_t) + sigma_q * (spread * eps)

    def decode(self, z_0: Tensor) -> Tensor:
        """z_0 (B, C, H, W) -> the most likely pixels (B, C, H, W) uint8."""
        gamma_0, _ = self.ends()
        return likelihood.most_likely(z_0 / alpha(gamma_0), gamma_0, self.levels)


class Relieved(Function):
    """Values (N, C, H, W) as they are; their gradient, image by image, times factors (N,)."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, factors: Tensor) -> Tensor:
        """The values."""
        ctx.save_for_backward(factors)
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Theirs."""
        (factors,) = ctx.saved_tensors
        return gradient * over_pixels(factors), None
