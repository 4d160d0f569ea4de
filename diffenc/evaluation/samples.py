"""What a trained model shows: ancestral samples, and encodings of test images over time."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from diffenc.evaluation.best_steps import fit
from diffenc.models import euler_maruyama as euler
from diffenc.models import noise
from diffenc.models.diffusion import Diffusion
from diffenc.models.finite_depth import Steps
from diffenc.models.model import Model
from diffenc.models.multivariate import Multivariate
from diffenc.models.noise import Purpose
from diffenc.runtime.device import compiled, compute_dtype, exact_float32
from diffenc.runtime.processes import Processes
from diffenc.study.settings import Samples
from diffenc.study.stages import ENCODING_TIMES, HEATMAP_TIMES

ENCODED_IMAGES = 8
BATCH = 250  # samples that go through the network together; the noise does not depend on it


@torch.no_grad()
def draw_samples(
    model: Model,
    shape: tuple[int, ...],
    settings: Samples,
    device: torch.device,
    processes: Processes | None = None,
    batch: int = BATCH,
    first: int = 0,
    train: np.ndarray | None = None,
) -> np.ndarray | None:
    """(count, C, H, W) uint8 in `steps` ancestral steps, those at position `first` and after.

    The noise depends on (seed, step, position) alone, so that samples may be drawn in parts. With `settings.fit` the
    steps are the best and have the best sigma_P, by so many of the training images `train` (N, C, H, W).

    Several processes draw a part each, `batch` samples at a time, and the first one gets them all; the others get
    None.
    """
    exact_float32()
    processes, model, state = processes or Processes(device), model.to(device), model.state_shape(shape)
    model.compute_in(compute_dtype(settings.precision))

    if settings.sampler:
        steps = Steps(euler.levels(model, settings.steps).cpu().numpy(), np.ones(settings.steps))
    elif settings.fit:
        steps = fit(model, train[: settings.fit], settings.seed, batch, device).of(settings.steps, best_sigma=True)
    else:
        times = [i / settings.steps for i in range(settings.steps + 1)]
        steps = Steps(model.gammas(torch.empty(0, device=device), *times).cpu().numpy(), np.ones(settings.steps))

    def draw(positions: Tensor) -> np.ndarray:
        def step_noise(i: int) -> Tensor:
            return noise.normal(noise.keys(noise.stream(settings.seed, Purpose.SAMPLE, i), positions), state)

        draw_steps = euler_maruyama if settings.sampler else ancestral
        return draw_steps(model, steps, step_noise).cpu().numpy()

    positions = torch.arange(first, first + settings.count, device=device)[processes.part(settings.count)]
    parts = processes.gather(np.concatenate([draw(some) for some in positions.split(batch)]))
    return np.concatenate(parts) if processes.first else None


def ancestral(model: Model, steps: Steps, noise: Callable[[int], Tensor]) -> Tensor:
    """Images (B, C, H, W) uint8 by T ancestral steps.

    Args:
        model: a trained model.
        steps: between which gammas, and with which variance ratios.
        noise: gives standard normal (B, C, H, W) for an index: T for z_1, and i for the step that ends at gamma i.
    """
    z = model.start(noise(len(steps.ratios)))
    # on the device once, not in every step
    gammas, spread = (torch.as_tensor(one, device=z.device).to(z.dtype) for one in (steps.gammas, steps.ratios**-0.5))
    step = compiled(model.step_between, z.device)
    for i in reversed(range(len(spread))):
        # sigma_P = sigma_Q / sqrt(w)
        z = step(z, gammas[i], gammas[i + 1], noise(i), spread[i])
    return model.decode(z)


def euler_maruyama(model: Multivariate, steps: Steps, noise: Callable[[int], Tensor]) -> Tensor:
    """Images (B, C, H, W) uint8 as the MDM paper draws them, the last step without noise; see `ancestral`."""
    z = model.start(noise(len(steps.ratios)))
    gammas = torch.as_tensor(steps.gammas, device=z.device)
    for i in reversed(range(len(steps.ratios))):
        z = euler.step(model, z, gammas[i], gammas[i + 1], noise(i) if i else torch.zeros_like(z))
    return model.decode(z)


@torch.no_grad()
def encodings(
    model: Diffusion, images: np.ndarray, settings: None, batch: int, device: torch.device
) -> dict[str, np.ndarray]:
    """x_t of the first images at the times that heat maps and encoding figures show.

    Args:
        model: a trained model.
        images: (N, C, H, W) uint8, of which the first few are encoded.
        settings: there are none.
        batch: they are so few that they go together.
        device: where to compute.

    Returns:
        `images` (n, C, H, W) uint8, `x` (n, C, H, W) in (-1, 1), `t` and its `gamma` (T,), `x_t` (T, n, C, H, W)
        float32.
    """
    exact_float32()
    chosen = torch.from_numpy(np.array(images[:ENCODED_IMAGES])).to(device)
    x = model.to(device).scale(chosen)
    t = np.array(sorted({*HEATMAP_TIMES, *ENCODING_TIMES}))
    gammas = model.schedule(torch.tensor(t, dtype=x.dtype, device=device))
    x_t = torch.stack([model.encode(x, gamma.expand(len(x))) for gamma in gammas])
    arrays = {"images": chosen, "x": x, "gamma": gammas, "x_t": x_t}
    return {"t": t} | {name: values.cpu().numpy() for name, values in arrays.items()}
