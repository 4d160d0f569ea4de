"""Gaussian data, for which the optimal denoiser is known; and models whose weights are not the zeros of new ones."""

import math

import torch
from torch import nn

from diffenc.models.diffusion import Diffusion
from diffenc.models.encoders import NonTrainable
from diffenc.models.schedules import FixedSchedule

GAMMA_0, GAMMA_1 = -13.3, 5.0
D = 16
SLOPE = GAMMA_1 - GAMMA_0


def alpha2(gamma):
    return 1 / (1 + math.exp(gamma))


def sigma2(gamma):
    return 1 / (1 + math.exp(-gamma))


class Optimal(nn.Module):
    """E[x_t | z_t] for x ~ N(0, s^2 I), as v or epsilon; x_t = x, or alpha^2 x."""

    def __init__(self, s, encoded, prediction):
        super().__init__()
        self.s, self.encoded, self.prediction = s, encoded, prediction

    def forward(self, z, gamma, keys=None):
        a2, s2 = (torch.sigmoid(sign * gamma)[:, None, None, None] for sign in (-1, 1))
        prior = self.s**2 * (a2**2 if self.encoded else 1)
        x_hat = a2.sqrt() * prior * z / (a2 * prior + s2)
        if self.prediction == "epsilon":
            return (z - a2.sqrt() * x_hat) / s2.sqrt()
        return (a2.sqrt() * z - x_hat) / s2.sqrt()


def gaussian_model(s, encoder, prediction="v", schedule=FixedSchedule):
    denoiser = Optimal(s, isinstance(encoder, NonTrainable), prediction)
    return Diffusion(schedule(GAMMA_0, GAMMA_1), encoder, denoiser, 256, prediction).double()


def diffusion_term(model, x, t, eps):
    """The diffusion term of images that are not pixels, (B,) nats."""
    gamma = model.schedule(t)
    return model.diffusion(*model.encoder.with_mean_shift(x, gamma), gamma, model.schedule.dgamma_dt(t), eps)


def draw(s, count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x, eps = (torch.randn(count, 1, 4, 4, generator=generator, dtype=torch.float64) for _ in range(2))
    return s * x, (torch.arange(count, dtype=torch.float64) + 0.5) / count, eps


def randomised(model, seed=3, scale=0.05):
    """The zero kernels of a new network hide everything; fill them."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(scale * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype))
    return model
