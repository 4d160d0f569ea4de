"""Trained models in Python: `diffenc.load`, and what one is asked most often."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from diffenc.evaluation.elbo import evaluate
from diffenc.evaluation.samples import draw_samples
from diffenc.io.errors import UserError
from diffenc.models.diffusion import Diffusion
from diffenc.study.settings import Evaluation, Samples
from diffenc.study.stages import TERMS
from diffenc.training.artifacts import load_model
from diffenc.zoo.flax_checkpoint import load_checkpoint

BATCH = 250


class Trained:
    """A trained model, with its averaged weights. `model` is the module (`diffenc.models.diffusion.Diffusion`).

    Images are (N, C, H, W) uint8, as in results/data/DATASET/test.npy.
    """

    def __init__(self, model: Diffusion, side: int | None, device: torch.device) -> None:
        self.model, self.side, self.device = model.to(device), side, device

    def terms(self, images: np.ndarray, passes: int = 10, seed: int = 0) -> dict[str, np.ndarray]:
        """The negative ELBO and its three terms for each image, (N,) each, in bits per dimension.

        Means over `passes` draws of time and noise: those of `diffenc evaluate`, the same for every model.
        """
        found = evaluate(self.model, images, Evaluation(passes=passes, seed=seed), BATCH, self.device)
        parts = {name: found[name].astype(np.float64).mean(0) for name in TERMS[1:]}
        return {"total": sum(parts.values()), **parts}

    def bits_per_dimension(self, images: np.ndarray, passes: int = 10, seed: int = 0) -> np.ndarray:
        """The negative ELBO of each image, (N,)."""
        return self.terms(images, passes, seed)["total"]

    @torch.no_grad()
    def encode(self, images: np.ndarray, t: Sequence[float]) -> np.ndarray:
        """x_t (len(t), N, C, H, W), in units of x in (-1, 1)."""
        x = self.model.scale(torch.from_numpy(np.array(images)).to(self.device))
        gammas = self.model.gammas(x, *t)
        return torch.stack([self.model.encode(x, gamma.expand(len(x))) for gamma in gammas]).cpu().numpy()

    def sample(self, count: int, steps: int = 1000, seed: int = 0, side: int | None = None) -> np.ndarray:
        """Ancestral samples (count, C, H, W) uint8. Raises UserError where nobody says how large."""
        side = side or self.side
        if side is None:
            raise UserError(
                "sample: a checkpoint of the authors' does not say how large its images are; give side=32"
            )
        shape = (self.model.denoiser.channels, side, side)
        return draw_samples(self.model, shape, Samples(count=count, steps=steps, seed=seed), self.device)


def load(path: str | Path, config: str | Path | None = None, device: str = "cpu") -> Trained:
    """The model of a run's folder, results/STUDY/runs/DATASET/..., or of the authors' checkpoint and its JSON.

    Raises:
        UserError: a file is missing or damaged, or the two do not belong together.
    """
    if config is not None:
        return Trained(load_checkpoint(path, config), None, torch.device(device))
    model, found = load_model(Path(path))
    return Trained(model, found["images"]["side"], torch.device(device))
