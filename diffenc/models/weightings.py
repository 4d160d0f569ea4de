"""Weightings omega(gamma) of the diffusion term: L_omega = integral of omega m dgamma, the bound where omega is 1.

Each is a loss of the literature written as a weight on the bound's, up to a factor (Kingma and Gao, Understanding
Diffusion Objectives as the ELBO). One that does not fall with gamma = -log SNR is monotone: then the loss is the
expected bound of data to which Gaussian noise of a random strength was added.
"""

import inspect
import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

EDM_PEAK = 3.307777515710584  # gamma at which EDM's weighting is highest
_EDM_MEAN, _EDM_STD = 2.4, 2.4  # of -gamma, twice those of -log sigma
_EDM_DATA = 0.25  # the variance of its data


class Weighting(NamedTuple):
    """omega(gamma) >= 0, and whether it never falls with gamma."""

    omega: Callable[[Tensor], Tensor]
    monotone: bool

    def __call__(self, gamma: Tensor) -> Tensor:
        """omega, like gamma of any shape."""
        return self.omega(gamma)


def _elbo() -> Weighting:
    return Weighting(torch.ones_like, True)


def _eps_cosine() -> Weighting:
    """Epsilon's squared error under the cosine schedule."""
    return Weighting(_sech_half, False)


def _v_cosine() -> Weighting:
    """The squared error of v under the cosine schedule."""
    return Weighting(lambda gamma: torch.exp(gamma / 2), True)


def _indi() -> Weighting:
    """e^gamma sech^2(gamma / 4)."""
    return Weighting(lambda gamma: 4 * torch.exp(gamma / 2) * torch.sigmoid(gamma / 2).square(), True)


def _edm(monotonic: bool = False) -> Weighting:
    """N(-gamma; 2.4, 2.4^2) (e^gamma + 1/4); the monotonic one stays at its peak."""

    def omega(gamma: Tensor) -> Tensor:
        gamma = gamma.clamp(max=EDM_PEAK) if monotonic else gamma
        density = torch.exp(-(((gamma + _EDM_MEAN) / _EDM_STD) ** 2) / 2) / (_EDM_STD * math.sqrt(2 * math.pi))
        return density * (torch.exp(gamma) + _EDM_DATA)

    return Weighting(omega, monotonic)


def _p2(y: float = 1.0) -> Weighting:
    """sech(gamma / 2) / (1 + e^-gamma)^y."""
    return Weighting(lambda gamma: _sech_half(gamma) * torch.sigmoid(gamma) ** y, False)


def _min_snr(y: float = 5.0, cosine: bool = True) -> Weighting:
    """min(1, y e^gamma), times sech(gamma / 2) with times of the cosine schedule: the error of x by min(SNR, y)."""
    return Weighting(lambda gamma: _times(gamma, cosine) * (y * torch.exp(gamma)).clamp(max=1), not cosine)


def _soft_min_snr(y: float = 5.0, cosine: bool = True) -> Weighting:
    """sigmoid(gamma + log y), likewise: the error of x by SNR y / (SNR + y)."""
    return Weighting(lambda gamma: _times(gamma, cosine) * torch.sigmoid(gamma + math.log(y)), not cosine)


def _sigmoid(k: float = 2.0) -> Weighting:
    """sigmoid(gamma + k)."""
    return Weighting(lambda gamma: torch.sigmoid(gamma + k), True)


WEIGHTINGS: dict[str, Callable[..., Weighting]] = {
    "elbo": _elbo,
    "eps_cosine": _eps_cosine,
    "v_cosine": _v_cosine,
    "flow_ot": _v_cosine,  # flow matching with uniform times along the optimal transport path is the same loss
    "indi": _indi,
    "edm": _edm,
    "edm_monotonic": lambda: _edm(monotonic=True),
    "p2": _p2,
    "min_snr": _min_snr,
    "soft_min_snr": _soft_min_snr,
    "sigmoid": _sigmoid,
}


def weighting(name: str, **parameters: float) -> Weighting:
    """The weighting of that name with its parameters: sigmoid's k, the y of p2, min_snr and soft_min_snr.

    Raises:
        ValueError: there is none, or it has no such parameter.
    """
    if name not in WEIGHTINGS:
        raise ValueError(f"unknown weighting {name!r}; known: {', '.join(WEIGHTINGS)}")
    known = inspect.signature(WEIGHTINGS[name]).parameters
    if unknown := sorted({*parameters} - {*known}):
        raise ValueError(f"{name}: has no parameter {unknown[0]}; it has {', '.join(known) or 'none'}")
    return WEIGHTINGS[name](**parameters)


def _sech_half(gamma: Tensor) -> Tensor:
    """sech(gamma / 2) = 2 alpha sigma."""
    return 2 * (torch.sigmoid(gamma) * torch.sigmoid(-gamma)).sqrt()


def _times(gamma: Tensor, cosine: bool) -> Tensor:
    """The density of gamma, up to a factor: that of the cosine schedule, or uniform."""
    return _sech_half(gamma) if cosine else torch.ones_like(gamma)
