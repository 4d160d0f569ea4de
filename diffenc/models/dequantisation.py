"""From pixels to a z_0 whose density an ODE can tell: three ways, each with a bound of its own on log p(x).

With w = p(x | z_0) p(z_0) / q(z_0 | x), E log w <= log p(x), and so is the expected log of a mean of K draws of w
(importance weighting), which rises with K. K' = 2 / K is a level's width in x, D the number of dimensions.

| way | q(z_0 given x) | p(x given z_0) |
| --- | --- | --- |
| uniform | z_0 / alpha_0 even in the level's cell, x - K'/2 to x + K'/2 | 1 in that cell |
| truncated_normal | N(alpha_0 x, sigma_0^2) inside the cell (Zheng et al. 2023, i-DODE) | 1 in that cell |
| variational | N(alpha_0 x_0, sigma_0^2), the diffusion's own | the decoder's softmax |

Cells are those of x and not of the encoder's x_0, which is x but for sigma_0^2 (y - x): they must not overlap.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from diffenc.models import likelihood, noise
from diffenc.models.diffusion import Diffusion
from diffenc.models.schedules import alpha, sigma


class Drawn(NamedTuple):
    """z_0 (B, C, H, W), and log p(x | z_0) - log q(z_0 | x), (B,) float64 nats."""

    z: Tensor
    log_ratio: Tensor


def uniform(model: Diffusion, images: Tensor, keys: Tensor) -> Drawn:
    """By noise that is even in the level's cell; images (B, C, H, W) uint8, noise keys (B,)."""
    a, width = alpha(model.ends()[0]), 2 / model.levels
    inside = noise.uniforms(keys, images.shape[1:]) - 0.5
    z = a * (model.scale(images) + (width * inside).to(a.dtype))
    return Drawn(z, images[0].numel() * (a.double() * width).log().expand(len(images)))


def truncated_normal(model: Diffusion, images: Tensor, keys: Tensor) -> Drawn:
    """By the diffusion's noise, cut off at the level's cell: at tau = alpha_0 / (K sigma_0) standard deviations."""
    a, s = (root(model.ends()[0]).double() for root in (alpha, sigma))
    tau = a / (model.levels * s)
    mass = torch.erf(tau / math.sqrt(2))
    below = torch.special.ndtr(-tau)
    eps = torch.special.ndtri(below + mass * noise.uniforms(keys, images.shape[1:]))
    z = a * model.scale(images).double() + s * eps
    return Drawn(z.to(model.ends()[0].dtype), -log_normal(eps, s) + images[0].numel() * mass.log())


def variational(model: Diffusion, images: Tensor, keys: Tensor) -> Drawn:
    """By the decoder: z_0 as in the bound's reconstruction term."""
    gamma_0, _ = model.ends()
    eps = noise.normal(keys, images.shape[1:]).to(gamma_0.dtype)
    x_0 = model.encode(model.scale(images), gamma_0.expand(len(images)))
    rescaled = x_0 + torch.exp(gamma_0 / 2) * eps
    decoded = likelihood.log_prob(images, rescaled, gamma_0, model.levels).double()
    return Drawn(alpha(gamma_0) * rescaled, decoded - log_normal(eps.double(), sigma(gamma_0).double()))


def log_normal(eps: Tensor, s: Tensor) -> Tensor:
    """log of N(m, s^2 I) at m + s eps: eps (B, ...), s () or (B, 1, 1, 1) -> (B,) nats."""
    return -(0.5 * eps.square() + 0.5 * math.log(2 * math.pi) + s.log()).flatten(1).sum(1)


DEQUANTISATIONS: dict[str, Callable[[Diffusion, Tensor, Tensor], Drawn]] = {
    "uniform": uniform,
    "truncated_normal": truncated_normal,
    "variational": variational,
}
