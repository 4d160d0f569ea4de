"""The log likelihood of the probability-flow ODE beside the bound, on the same test images.

The ODE is the model's own, with its counterterm: another generative model than the bound's, so that its number may be
below or above the bound (docs/equations.md). Every way from pixels to z_0 gives a bound on log p of that model, with
the ODE's density exact but for what is told apart here, all in bits per dimension:

- dequantisation: the standard error over draws of z_0;
- probes: the same over probes, where the divergence is Hutchinson's estimate; all draws and models have the same;
- solver: the mean over images of the absolute difference to a finer solution for their first draw, at a tenth of the
  tolerance, or in twice the steps.

At a time t, both say how far the model's z_t are from the image's, E log q(z_t | x) - log p(z_t): the bound by its
latent term and the diffusion term from t to 1, which is above it for the model of the bound, the ODE by its density
at draws of z_t. The difference is the part of the gap that comes from between t and 1. At 0 that is the variational
way's, without p(x | z_0); of TIMES each image has one, as a solution from there costs about half of one from 0.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffenc.evaluation.elbo import mean_and_error
from diffenc.evaluation.noise import draw
from diffenc.io.errors import UserError
from diffenc.models import flow, noise
from diffenc.models.dequantisation import DEQUANTISATIONS, log_normal
from diffenc.models.diffusion import Diffusion
from diffenc.models.encoders import over_pixels
from diffenc.models.flow import Precision
from diffenc.models.model import bits_per_dimension
from diffenc.models.noise import Purpose
from diffenc.models.schedules import alpha, sigma
from diffenc.runtime.device import exact_float32
from diffenc.study.settings import EXACT_TRACE, VARIATIONAL, Likelihood

TIMES = (0.2, 0.4, 0.6, 0.8)
TOGETHER = 64  # starting points, at most: products keep the activations of all of them, as a training step does


@torch.no_grad()
def likelihood(
    model: Diffusion, images: np.ndarray, settings: Likelihood, batch: int, device: torch.device
) -> dict[str, Any]:
    """What `diffenc.results.likelihood.Likelihoods` says.

    Args:
        model: a trained model.
        images: (N, C, H, W) uint8, of which the first `settings.images` are measured.
        settings: draws, ways of dequantisation, probes, and how the ODE is solved.
        batch: starting points that are solved for together, at most TOGETHER; it changes no result but by rounding.
        device: where to compute.

    Raises:
        UserError: the exact trace is asked for in too many dimensions, or the solver does not arrive.
    """
    exact_float32()
    dimensions, images = images[0].size, images[: settings.images]
    if settings.probes is None and dimensions > EXACT_TRACE:
        raise UserError(
            f"--probes: an exact trace of {dimensions:,} dimensions takes as many products an evaluation, at most"
            f" {EXACT_TRACE} are allowed; give --probes, such as 8"
        )
    model = model.to(device, torch.float64 if settings.precision == "float64" else torch.float32)
    of = _Flow(model, torch.from_numpy(np.array(images)).to(device), settings, min(batch, TOGETHER))
    terms = of.terms()
    bound = mean_and_error(sum(terms[name] for name in ("reconstruction", "latent", "diffusion")))
    ways = [{"dequantisation": way, **_against(bound, of.way(way))} for way in settings.dequantisation]
    return {
        **{name: getattr(settings, name) for name in ("draws", "probes", "tolerance", "steps", "precision", "seed")},
        **{"images": len(images), "passes": settings.passes, "bound": bound, "ways": ways},
        "over_t": [*_at_0(terms, ways), *of.over_t(terms)],
    }


@dataclass(frozen=True)
class _Flow:
    """A model's flow on some images (N, C, H, W); what it tells is in bits per dimension."""

    model: Diffusion
    images: Tensor
    settings: Likelihood
    batch: int

    @property
    def precision(self) -> Precision:
        return Precision(self.settings.tolerance, self.settings.steps)

    def way(self, way: str) -> dict[str, Any]:
        """The bound of one way: its mean, what it is off by, and what it took."""
        values, evaluations = self.dequantised(way, self.settings.draws, self.precision)
        finer, _ = self.dequantised(way, 1, self.precision.finer)
        return {
            "ode": float(values.mean()),
            "weighted": self._weighted(values),
            "dequantisation_se": error_over(values.mean(2)),
            "probes_se": error_over(values.mean(0).T),
            "solver": float(np.abs((values[0] - finer[0]).mean(1)).mean()),
            "evaluations": float(evaluations.mean()),
        }

    def dequantised(self, way: str, draws: int, precision: Precision) -> tuple[NDArray, NDArray]:
        """-log w of the first draws by each probe, (K, N, P), and evaluations (K, N)."""
        seed, count, gamma_0 = self.settings.seed, len(self.images), self.model.ends()[0]
        each = torch.arange(count, device=self.images.device)
        keys = torch.cat(
            [noise.keys(noise.stream(seed, Purpose.DEQUANTISATION, k), each) for k in range(draws)]
        ).split(self.batch)
        parts = []
        for which, its_keys in zip(each.repeat(draws).split(self.batch), keys, strict=True):
            drawn = DEQUANTISATIONS[way](self.model, self.images[which], its_keys)
            parts.append(self._minus_log_prob(drawn.z, gamma_0.expand(len(which)), which, drawn.log_ratio, precision))
        values, evaluations = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return values.reshape(draws, count, -1), evaluations.reshape(draws, count)

    def over_t(self, terms: dict[str, NDArray]) -> list[dict[str, Any]]:
        """At TIMES, what the bound and the ODE say of z_t, of so many images."""
        found, each = [], torch.arange(len(self.images), device=self.images.device)
        for i, t in enumerate(TIMES):
            if len(which := each[i :: len(TIMES)]):
                later = terms["diffusion"] * (terms["t"] >= t)
                bound = (terms["latent"] + later)[:, which.cpu().numpy()].mean()
                ode = np.concatenate([self._noised(t, part) for part in which.split(self.batch)]).mean()
                found.append({"t": t, "bound": float(bound), "ode": float(ode), "images": len(which)})
        return found

    def terms(self) -> dict[str, NDArray]:
        """The bound's terms and their times t, (passes, N) each."""
        passes = [self._pass(repeat) for repeat in range(self.settings.passes)]
        return dict(zip(("t", "reconstruction", "latent", "diffusion"), np.stack(passes, 1), strict=True))

    def _pass(self, repeat: int) -> NDArray:
        parts, dtype = [], self.model.ends()[0].dtype
        for which in torch.arange(len(self.images), device=self.images.device).split(self.batch):
            t, *eps = draw(self.settings.seed, repeat, which, self.images.shape[1:])
            terms = self.model.loss_terms(self.images[which], *(one.to(dtype) for one in (t, *eps)))
            bpd = [bits_per_dimension(one, self.images[0].numel()) for one in terms]
            parts.append(torch.stack([one.double() for one in (t, *bpd)]).cpu().numpy())
        return np.concatenate(parts, axis=1)

    def _noised(self, t: float, which: Tensor) -> NDArray:
        """log q(z_t | x) - log p(z_t) at a draw of z_t for each of these images, (B, P)."""
        x = self.model.scale(self.images[which])
        gamma = self.model.gammas(x, t).expand(len(which))
        a, s = (over_pixels(root(gamma)) for root in (alpha, sigma))
        keys = noise.keys(noise.stream(self.settings.seed, Purpose.FLOW), which)
        eps = noise.normal(keys, x.shape[1:]).to(x.dtype)
        z = a * self.model.encode(x, gamma) + s * eps
        return self._minus_log_prob(z, gamma, which, -log_normal(eps.double(), s.double()), self.precision)[0]

    def _minus_log_prob(
        self, z: Tensor, gamma: Tensor, which: Tensor, log_ratio: Tensor, precision: Precision
    ) -> tuple[NDArray, NDArray]:
        """-log p(z) - log_ratio (B, P) of these images' z, and evaluations (B,)."""
        probes, count = None, self.settings.probes
        if count:
            keys = [noise.keys(noise.stream(self.settings.seed, Purpose.PROBE, i), which) for i in range(count)]
            probes = torch.stack([noise.signs(one, z.shape[1:]) for one in keys]).to(z.dtype)
        try:
            density = flow.log_density(self.model, z, gamma, precision, probes)
        except ArithmeticError as error:
            raise UserError(f"--tolerance: {precision.tolerance:g}: the ODE's {error}; take a larger one, or --steps")
        bpd = bits_per_dimension(-density.log_prob - log_ratio[:, None], z[0].numel())
        return bpd.cpu().numpy(), density.evaluations.cpu().numpy()

    def _weighted(self, values: NDArray) -> float | None:
        """The importance-weighted bound. With probes their noise is in its exponential: then it is none."""
        if self.settings.probes or len(values) == 1:
            return None
        nats = -values[..., 0] * self.images[0].numel() * math.log(2)
        each = np.logaddexp.reduce(nats, axis=0) - math.log(len(nats))
        return float(-each.mean() / (self.images[0].numel() * math.log(2)))


def error_over(values: NDArray) -> float | None:
    """The standard error of the mean of values (K, N) over their K, which are independent, as are the N."""
    if len(values) == 1:
        return None
    return float(math.sqrt(values.var(axis=0, ddof=1).sum() / len(values)) / values.shape[1])


def _against(bound: dict[str, float | None], found: dict[str, Any]) -> dict[str, Any]:
    """With the gap, bound less ODE, and its standard error by passes, draws and probes."""
    errors = (bound["mc_se"], found["dequantisation_se"], found["probes_se"])
    known = [error for error in errors if error is not None]
    return {
        **found,
        "gap": bound["mean"] - found["ode"],
        "gap_se": math.hypot(*known) if known else None,
    }


def _at_0(terms: dict[str, NDArray], ways: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What `over_t` says at 0, where z_0 was drawn by the decoder: all but what p(x | z_0) takes."""
    bound, decoded = float((terms["latent"] + terms["diffusion"]).mean()), float(terms["reconstruction"].mean())
    found = [way["ode"] for way in ways if way["dequantisation"] == VARIATIONAL]
    return [{"t": 0.0, "bound": bound, "ode": ode - decoded, "images": terms["t"].shape[1]} for ode in found]
