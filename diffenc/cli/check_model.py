"""Whether a model can be trusted: `diffenc check-model`, this package's own tests on a model of a study.

The mathematics is checked in float64 with random weights on random images: the derivative against differences, the
bound in continuous time against that of many steps, which takes no derivative, and a closed form where there is one.
"""

import contextlib
import io
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import yaml

from diffenc.cli.options import Parsers, add_command, add_study_first
from diffenc.data.catalog import DATASETS
from diffenc.io.errors import UserError
from diffenc.runtime.signals import Ended, Stopped
from diffenc.study.load import load_study
from diffenc.study.settings import Training
from diffenc.study.stages import STUDY
from diffenc.study.study import Run, Study
from diffenc.zoo.configs import MODELS, adapted

if TYPE_CHECKING:
    from torch import Tensor

    from diffenc.models.diffusion import Diffusion
    from diffenc.models.encoders import Encoder

IMAGES = 6
GAMMAS = (-9.0, -4.0, -1.0, 0.5, 3.0)
_DATASET = "digits"  # it is there without a network, and small
_TRAINING = {"steps": 6, "batch": 8, "warmup": 2, "log_every": 2, "ema": 0.9, "precision": "float32"}


class Found(NamedTuple):
    """What was checked, by how much it is off (a share of what it is compared with), and what is allowed."""

    what: str
    off: float
    bar: float

    @property
    def holds(self) -> bool:
        """Whether it is near enough; not-a-number is not."""
        return self.off <= self.bar


def check_model(options: Namespace) -> None:
    """Check one model of a study, a line for each check. Raises Ended with status 1 if one does not hold."""
    study = load_study(options.study)
    if options.model not in (known := [*study.models, *MODELS]):
        raise UserError(f"{options.model}: is no model of {options.study}; it knows {', '.join(known)}")
    failed = 0
    try:
        for found in checks(study, options.model):
            failed += not found.holds
            word = "ok    " if found.holds else "FAILED"
            print(f"{word} {found.what}: off by {found.off:.1e}, allowed {found.bar:.0e}", flush=True)
    except (UserError, Ended):
        raise
    except Exception as error:  # the model's own code runs
        raise UserError(f"{options.model}: {_fault(error)}; mend the model before you train it")
    if failed:
        raise Ended(1, f"error: {options.model}: {failed} checks failed; mend the model before you train it")


def _fault(error: Exception) -> str:
    """What went wrong and, in code that is neither ours nor torch's, where."""
    frames = traceback.extract_tb(error.__traceback__)
    outside = [one for one in frames if not {"diffenc", "torch", "site-packages"} & {*Path(one.filename).parts}]
    where = f" in {outside[-1].filename}, line {outside[-1].lineno}" if outside else ""
    return f"{type(error).__name__}{where}: {(str(error).splitlines() or ['no word'])[0]}"


def checks(study: Study, model: str) -> Iterator[Found]:
    """All checks of a model, adapted to the digits."""
    import torch

    from diffenc.zoo.build import create

    spec = DATASETS[_DATASET]
    torch.manual_seed(0)
    net = create(adapted(study.base_shape(model), spec), spec, "fixed").double()
    with torch.no_grad():
        for parameter in net.parameters():  # a new network's zeros would hide everything
            parameter.add_(0.05 * torch.randn_like(parameter))
    pixels = torch.randint(0, spec.levels, (IMAGES, *spec.shape), dtype=torch.uint8)
    x = net.scale(pixels)
    yield from of_encoder(net.encoder, x)
    yield of_many_steps(net, x)
    if (scale := _scale_of(net.encoder, x)) is not None:
        yield of_gaussian_data(net, scale)
    yield from of_training(study, model)


def of_encoder(encoder: "Encoder", x: "Tensor") -> Iterator[Found]:
    """Each image by itself; the derivative, and small differences, against those of float64."""
    import torch

    gammas = torch.tensor(GAMMAS, dtype=x.dtype).repeat_interleave(len(x))
    images, h = torch.cat([x] * len(GAMMAS)), 1e-5
    with torch.no_grad():
        whole = encoder(images, gammas)
        if (whole.shape, whole.dtype) != (images.shape, images.dtype):
            raise UserError(
                f"{type(encoder).__name__}: x_t is {tuple(whole.shape)} {whole.dtype} for x {tuple(images.shape)}"
                f" {images.dtype}; forward keeps both"
            )
        alone = torch.cat([encoder(x[:1], gamma[None]) for gamma in gammas[:: len(x)]])
        yield Found("x_t of an image alone", _off(alone, whole[:: len(x)]), 1e-9)
        slope = (encoder(images, gammas + h) - encoder(images, gammas - h)) / (2 * h)
        size = slope.abs().max().clamp(min=1e-12)
        if not encoder.is_identity:
            yield Found("dx_t/dgamma", ((encoder.derivative(images, gammas) - slope).abs().max() / size).item(), 1e-6)
            x_t, r = encoder.with_mean_shift(images, gammas)
            shift = -torch.sigmoid(gammas)[:, None, None, None] * r
            yield Found("the mean shift", ((shift - slope).abs().max() / size).item(), 1e-6)
            yield Found("x_t beside it", _off(x_t, whole), 1e-9)
        apart = 0.02
        _, difference = encoder.step(images, gammas - apart, gammas)
        exact = encoder(images, gammas - apart) - whole
        yield Found("x_s - x_t", _off(difference, exact, 1e-12), 1e-6)
        yield Found("x_t - x", _off(encoder.change(images, gammas), whole - images, 1e-12), 1e-6)


def of_many_steps(net: "Diffusion", x: "Tensor") -> Found:
    """The diffusion loss in continuous time against T KL of one of T steps, by the posterior, T = 100,000."""
    import torch

    from diffenc.models.finite_depth import around, posterior_error

    depth, worst = 100_000, 0.0
    for t in (0.1, 0.4, 0.7, 0.95):
        eps = torch.randn_like(x)
        steps = torch.full((len(x),), round(t * depth))
        times = torch.full((len(x),), (round(t * depth) - 0.5) / depth, dtype=x.dtype)
        with torch.no_grad():
            gamma = net.schedule(times)
            x_t, r = net.encoder.with_mean_shift(x, gamma)
            continuous = net.diffusion(x_t, r, gamma, net.schedule.dgamma_dt(times), eps)
            difference, variance = posterior_error(net, x, *around(net.schedule, steps, depth), eps)
            many = 0.5 * depth * difference.square().flatten(1).sum(1) / variance
        worst = max(worst, _off(many, continuous))
    return Found("the bound against 100,000 steps", worst, 2e-3)


def _scale_of(encoder: "Encoder", x: "Tensor") -> Callable[["Tensor"], "Tensor"] | None:
    """c where x_t = c(gamma_t) x, as numbers tell; None for any other encoder."""
    import torch

    def scale(gamma: "Tensor") -> "Tensor":
        with torch.no_grad():
            return encoder(torch.ones_like(x[:1]), gamma.reshape(1))[0, 0, 0, 0]

    gamma = torch.tensor(GAMMAS[2], dtype=x.dtype)
    with torch.no_grad():
        found = encoder(x, gamma.expand(len(x)))
    return scale if _off(scale(gamma) * x, found) < 1e-9 else None


def of_gaussian_data(net: "Diffusion", scale: Callable[["Tensor"], "Tensor"]) -> Found:
    """The diffusion loss of Gaussian data under the optimal denoiser, against its closed form.

    x_t = c x and x ~ N(0, v): x_hat = k z_t with k = alpha c^2 v / (alpha^2 c^2 v + sigma^2), and all is linear in x
    and eps.
    """
    import torch

    from diffenc.models.diffusion import Diffusion

    worst, variance, count = 0.0, 0.3, 4000
    x = variance**0.5 * torch.randn(count, 1, 4, 4, dtype=torch.float64)
    for gamma in torch.tensor(GAMMAS, dtype=torch.float64):
        h = 1e-5
        c, slope = scale(gamma), (scale(gamma + h) - scale(gamma - h)) / (2 * h)
        a, s = torch.sigmoid(-gamma).sqrt(), torch.sigmoid(gamma).sqrt()
        k = a * c**2 * variance / (a**2 * c**2 * variance + s**2)
        of_x, of_eps = -(1 - a * k) * a * c / s, a * k
        if not net.encoder.is_identity:  # alpha sigma (x_hat + (dx_t/dgamma) / sigma^2)
            of_x, of_eps = of_x + a * s * k * a * c + a * slope / s, of_eps + a * s * k * s
        exact = 0.5 * x[0].numel() * (of_x**2 * variance + of_eps**2)
        optimal = Diffusion(net.schedule, net.encoder, lambda z, *_, k=k: k * z, net.levels, "x")
        with torch.no_grad():
            gammas = gamma.expand(count)
            found = optimal.diffusion(
                *net.encoder.with_mean_shift(x, gammas), gammas, torch.ones(()), torch.randn_like(x)
            ).mean()
        worst = max(worst, abs(found / exact - 1).item())
    return Found("the loss of Gaussian data", worst, 5e-2)


def of_training(study: Study, model: str) -> Iterator[Found]:
    """A training that was stopped and went on against one that was not; two processes against one."""
    import torch
    from safetensors.torch import load_file

    from diffenc import data
    from diffenc.training.trainer import Trainer

    with tempfile.TemporaryDirectory() as folder:
        digits = Path(folder, _DATASET)
        data.prepare(_DATASET, digits, digits)
        run = Run(_DATASET, model, "fixed", 1)

        def trainer(out: str) -> Trainer:
            given = (run, Training(**_TRAINING), study.name, digits, Path(folder, out), torch.device("cpu"))
            return Trainer(*given, base=study.base_shape(model))

        _in_silence(trainer("undisturbed").run)
        stopped = trainer("stopped")
        told = stopped.logger.step

        def step(state: object) -> None:
            told(state)
            if state.step == 3:
                signal.raise_signal(signal.SIGTERM)

        stopped.logger.step = step
        try:
            _in_silence(stopped.run)
        except Stopped:
            _in_silence(trainer("stopped").run)
        _train_on_two(study, run, digits, Path(folder))
        weights = {
            name: load_file(Path(folder, name, "model.safetensors")) for name in ("undisturbed", "stopped", "two")
        }
        whole = weights["undisturbed"]
        for name, what, bar in (("stopped", "stopped and gone on", 0.0), ("two", "on two processes", 1e-3)):
            off = max((weights[name][leaf] - whole[leaf]).abs().max().item() for leaf in whole)
            yield Found(f"weights of a training {what}", off, bar)


def _in_silence(run: Callable[[None, float], None]) -> None:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        run(None, 600)


def _train_on_two(study: Study, run: Run, digits: Path, folder: Path) -> None:
    """By the command, as the pipeline does."""
    group = {"dataset": run.dataset, "models": [run.model], "seeds": [run.seed], "training": _TRAINING}
    own = {name: one.model_dump(exclude_none=True) for name, one in study.models.items()}
    (folder / STUDY).write_text(yaml.safe_dump({"name": study.name, "title": "", "runs": [group], "models": own}))
    where = ["--study", folder / STUDY, "--run", run.path, "--data", digits, "--out", folder / "two"]
    how = ["--device", "cpu", "--threads", "1", "--processes", "2"]
    command = [sys.executable, "-m", "diffenc", "train", *map(str, where), *how]
    path = os.pathsep.join([os.getcwd(), *filter(None, [os.environ.get("PYTHONPATH")])])
    ended = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}, check=False
    )
    if ended.returncode:
        raise UserError(
            f"{run.model}: two processes do not train it: {(ended.stderr.splitlines() or ['no word'])[-1]}"
        )


def _off(found: "Tensor", exact: "Tensor", least: float = 1e-300) -> float:
    """The largest difference over the largest value."""
    return ((found - exact).abs().max() / exact.abs().max().clamp(min=least)).item()


def add_commands(parsers: Parsers) -> None:
    """Add this module's command to the command line."""
    text = "Check a model of a study before it is trained: its encoder's derivative, the bound, resuming, processes."
    one = add_command(parsers, "check-model", check_model, text)
    add_study_first(one)
    one.add_argument("model", help="one of the study's `models`, or of the zoo")
