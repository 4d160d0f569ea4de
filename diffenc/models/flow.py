"""The probability-flow ODE of a diffusion with an encoder: its velocity, divergence and density.

With the counterterm in the place of the mean shift, and ' the derivative by gamma (docs/equations.md derives it):

    z' = alpha sigma v_hat / 2 - alpha sigma^2 x_hat,                                the latter with an encoder only.

In gamma neither the schedule nor its slope enters, and the flow is not stiff where noise is small: z' is there half
of z_t - x_hat, by the angle arctan(sigma / alpha) that over sigma. With v_hat nothing cancels in float32.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from diffenc.models import solvers
from diffenc.models.diffusion import Diffusion
from diffenc.models.encoders import over_pixels
from diffenc.models.schedules import alpha, sigma


class Precision(NamedTuple):
    """How the ODE is solved: to a tolerance, or in so many even steps of gamma.

    To a tolerance, a step is at most the part `longest` of the interval: where little happens, steps would grow until
    they miss what comes.
    """

    tolerance: float = 1e-4
    steps: int | None = None
    longest: float = 1 / 16

    @property
    def finer(self) -> "Precision":
        """What it is compared with, to see how far it is off: a tenth of the tolerance, or twice the steps."""
        return Precision(self.tolerance / 10, self.steps and 2 * self.steps, self.longest / 2)


class Density(NamedTuple):
    """log p(z), (B, P) nats, P times by P probes or once with the exact trace; evaluations of the network (B,)."""

    log_prob: Tensor
    evaluations: Tensor


def velocity(model: Diffusion, z: Tensor, gamma: Tensor) -> Tensor:
    """dz / dgamma (B, C, H, W) at z_t (B, C, H, W) and gamma_t (B,)."""
    a, s = (over_pixels(root(gamma)) for root in (alpha, sigma))
    output = model.denoise(z, gamma)
    moved = 0.5 * a * s * model.parameterization.v(z, output, a, s)
    if not model.encoder.is_identity:  # the counterterm
        moved = moved - a * s.square() * model.parameterization.x_hat(z, output, a, s)
    return moved


def with_products(model: Diffusion, z: Tensor, gamma: Tensor, probes: Tensor) -> tuple[Tensor, Tensor]:
    """The velocity (B, C, H, W) and e^T J e (B, P) for probes e (P, B, C, H, W), J = d velocity / dz.

    One pass of the network forward and P backward.
    """
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        moved = velocity(model, z, gamma)
        pulled = [torch.autograd.grad(moved, z, probe, retain_graph=True)[0] for probe in probes]
    products = [(one * probe).flatten(1).sum(1) for one, probe in zip(pulled, probes, strict=True)]
    return moved.detach(), torch.stack(products, 1)


def unit_vectors(like: Tensor) -> Tensor:
    """The probes of the exact trace, whose products are its D diagonal elements: (B, C, H, W) -> (D, B, C, H, W)."""
    shape, dimensions = like.shape[1:], like[0].numel()
    return torch.eye(dimensions, dtype=like.dtype, device=like.device).view(-1, 1, *shape).expand(-1, *like.shape)


def log_density(
    model: Diffusion, z: Tensor, gamma: Tensor, precision: Precision, probes: Tensor | None = None
) -> Density:
    """log p_t(z_t) of the flow from N(0, I) at gamma_1 back to gamma_t.

    log p_t(z_t) = log N(z_1; 0, I) + the integral of the divergence from gamma_t to gamma_1, the divergence being the
    trace of J, or Hutchinson's estimate e^T J e of it, with the same e all the way.

    Args:
        model: whose flow it is.
        z: (B, C, H, W).
        gamma: (B,) gamma_t, not above gamma_1.
        precision: of the solver.
        probes: (P, B, C, H, W), of values -1 and 1; None: the exact trace, by D products.

    Raises:
        ArithmeticError: the solver does not arrive.
    """
    dimensions, count = z[0].numel(), 1 if probes is None else len(probes)

    def field(gamma: Tensor, states: Tensor, which: Tensor) -> Tensor:
        z_t = states[:, :dimensions].view(-1, *z.shape[1:])
        vectors = unit_vectors(z_t) if probes is None else probes[:, which]
        moved, products = with_products(model, z_t, gamma.to(z.dtype), vectors)
        divergence = products.sum(1, keepdim=True) if probes is None else products
        # per dimension, so that one tolerance fits both
        return torch.cat([moved.flatten(1), divergence / dimensions], 1)

    state = torch.cat([z.flatten(1), z.new_zeros(len(z), count)], 1)
    start = gamma.double()
    end = model.ends()[1].double().expand_as(start)
    if precision.steps:
        solved = solvers.even(field, state, start, end, precision.steps)
    else:
        solved = solvers.adaptive(
            field, state, start, end, precision.tolerance, (dimensions, count), precision.longest
        )
    z_1, integral = solved.y.double().tensor_split((dimensions,), dim=1)
    prior = -0.5 * (z_1.square() + math.log(2 * math.pi)).sum(1, keepdim=True)
    return Density(prior + dimensions * integral, solved.evaluations)
