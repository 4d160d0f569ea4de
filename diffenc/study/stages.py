"""Files of a run and of a study, in the order in which stages make them; and what is measured of a trained run.

A measurement that one device makes of one model is declared in MEASUREMENTS alone: its command, its rule, its
options, its key in a study, its version and its cost follow from the entry.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from diffenc.io.schema import Strict
from diffenc.study import versions
from diffenc.study.settings import (
    EXACT_TRACE,
    GRID,
    MOST_STEPS,
    Compression,
    Depth,
    Inspection,
    Likelihood,
    NoiseLevels,
    Process,
)
from diffenc.zoo.configs import KINDS, MULTIVARIATE, UNIVARIATE
from diffenc.zoo.flops import Flops

TERMS = ("total", "diffusion", "latent", "reconstruction")
MODEL = "model.safetensors"
CONFIG = "config.yaml"
HISTORY = "history.jsonl"
COST = "cost.json"
CLAIMS = "claims.json"
# second names of a finished run's results: a link of the weights, and copies
KEPT = ".trained"
TRAINED = (HISTORY, COST, CONFIG, MODEL)
EVALUATION = "evaluation.json"
PER_IMAGE = "evaluation.npz"
ENCODINGS = "encodings.npz"
SAMPLES = "samples.npz"
INSPECTION = "inspection.npz"
DEPTH = "depth.json"
NOISE_LEVELS = "noise_levels.npz"
PROCESS = "process.npz"
COMPRESSION = "compression.json"
LIKELIHOOD = "likelihood.json"
FID_SAMPLES = "fid_samples"
FID = "fid.json"
# the times that heat maps need, in steps of 0.1, and those at which encodings are shown
HEATMAP_TIMES = tuple(round(0.1 * i, 1) for i in range(11))
ENCODING_TIMES = (0.0, 0.7, 0.8, 0.9, 0.92, 0.94, 0.96, 0.98, 1.0)
# those at which an encoder is analysed, and its spectra taken
TIMES = tuple(i / 50 for i in range(51))
SPECTRUM_TIMES = (0.2, 0.4, 0.6, 0.8, 1.0)
# of the network for an adaptive solution of the ODE, about (digits, at a tolerance of 1e-4)
EVALUATIONS = 250
RUNS = "runs.csv"
TESTS = "tests.csv"
PAGE = "index.html"
STUDY = "study.yaml"  # the study's file as its page has it
# of a study that was trained elsewhere, as sha256sum writes them: the weights themselves stayed there
CHECKSUMS = "weights.sha256"


class Measurement(NamedTuple):
    """A measurement of one trained run.

    Attributes:
        file: that it writes, an .npz of arrays or a .json.
        made_by: "module.function" of diffenc.evaluation: (model, images, settings, batch, device) -> the content.
        text: what the command does.
        version: of what it computes, by hand (`diffenc.study.versions`).
        key: the study's, for its settings; None: there are none.
        settings: their class, which gives the command's options.
        fits: whether it also wants training images, as a sixth argument.
        what_for, flop: for `diffenc plan`, FLOP for so many images; None: too few to count.
        of: which kinds of models it can be made of (`diffenc.zoo.configs.ModelConfig.kind`).
    """

    file: str
    made_by: str
    text: str
    version: int
    key: str | None = None
    settings: type[Strict] | None = None
    fits: bool = False
    what_for: str = ""
    flop: Callable[[Any, int, Flops], int] | None = None
    of: tuple[str, ...] = (UNIVARIATE,)


def _inspecting(settings: Inspection, images: int, cost: Flops) -> int:
    """At each time the denoiser, and the encoder's value, its derivative and y; for spectra the latter three."""
    encoder = 3 * cost.encoder - cost.stem
    return images * (len(TIMES) * cost.denoiser + (len(TIMES) + len(SPECTRUM_TIMES)) * encoder)


def _deepening(settings: Depth, images: int, cost: Flops) -> int:
    """The continuous bound, and in a depth's steps the denoiser at t and the encoder at s and t; to fit steps, both
    networks at all levels of the grid."""
    once = cost.denoiser + 2 * cost.encoder - cost.stem
    ways = len(settings.depths) + 2 * sum(depth <= MOST_STEPS for depth in settings.depths) * bool(settings.fit)
    fitting = (settings.fit or 0) * GRID * (cost.denoiser + cost.encoder)
    return settings.passes * images * (cost.bound + ways * once) + fitting


def _at_all_levels(settings: NoiseLevels | Process, images: int, cost: Flops) -> int:
    """The bound, for each image and pass."""
    return settings.passes * images * cost.bound


def _compressing(settings: Compression, images: int, cost: Flops) -> int:
    """The bound in each depth's steps, the fit, and with either ratio both networks on both sides, in each order."""
    once = cost.denoiser + 2 * cost.encoder - cost.stem
    bounds = settings.passes * images * (cost.bound + len(settings.depths) * once)
    orders = 1 if cost.encoder else 2
    coded = 4 * orders * images * sum(settings.depths) * (cost.denoiser + cost.encoder)
    return bounds + coded + len(settings.depths) * settings.fit * min(GRID, max(settings.depths)) * once


def _flowing(settings: Likelihood, images: int, cost: Flops) -> int:
    """The bound; and for each draw, a finer solution and one from within, the denoiser and a product a probe.

    A finer solution takes about 1.6 times as much, one from a time between 0 and 1 half.
    """
    evaluations = 6 * settings.steps + 1 if settings.steps else EVALUATIONS
    solutions = len(settings.dequantisation) * (settings.draws + 1.6) + 0.5
    products = settings.probes or EXACT_TRACE
    return images * (settings.passes * cost.bound + round(solutions * evaluations) * (1 + products) * cost.denoiser)


MEASUREMENTS = {
    "encode": Measurement(
        ENCODINGS, "samples.encodings", "Encode test images at the times that the figures show.", versions.SAMPLE
    ),
    "inspect": Measurement(
        INSPECTION,
        "encoder_analysis.inspect",
        "Measure what the encoder does over time, and what the counterterm leaves of it.",
        version=2,
        key="inspection",
        settings=Inspection,
        what_for="to inspect encoders",
        flop=_inspecting,
    ),
    "depth": Measurement(
        DEPTH,
        "finite_depth.finite_depth",
        "Bounds of finite depth T, by the variance ratio.",
        version=2,
        key="depth",
        settings=Depth,
        fits=True,
        what_for="for bounds of finite depth",
        flop=_deepening,
        of=(UNIVARIATE, MULTIVARIATE),
    ),
    "levels": Measurement(
        NOISE_LEVELS,
        "noise_levels.noise_levels",
        "Measure the diffusion loss by noise level.",
        version=1,
        key="noise_levels",
        settings=NoiseLevels,
        what_for="to measure noise levels",
        flop=_at_all_levels,
        of=KINDS,
    ),
    "process": Measurement(
        PROCESS,
        "process.process",
        "Measure the diffusion process: noise range, weight, and what the network errs by itself.",
        version=1,
        key="process",
        settings=Process,
        what_for="to measure processes",
        flop=_at_all_levels,
        of=KINDS,
    ),
    "bits": Measurement(
        COMPRESSION,
        "compression.compression",
        "Compress test images and decompress them, beside other compressors.",
        version=1,
        key="compression",
        settings=Compression,
        fits=True,
        what_for="to compress and decompress",
        flop=_compressing,
    ),
    "likelihood": Measurement(
        LIKELIHOOD,
        "likelihood.likelihood",
        "Measure the log likelihood by the probability-flow ODE, beside the bound.",
        version=1,
        key="likelihood",
        settings=Likelihood,
        what_for="for likelihoods by the ODE",
        flop=_flowing,
    ),
}


def kinds_of(file: str | None) -> tuple[str, ...]:
    """The kinds of models that a run's file can be made of."""
    return next((one.of for one in MEASUREMENTS.values() if one.file == file), KINDS)


# the command and the file that it writes; FID goes by samples and is apart
FILES = {"evaluate": EVALUATION, "sample": SAMPLES, **{name: one.file for name, one in MEASUREMENTS.items()}}


def as_options(settings: Strict) -> str:
    """A part of a study as command line options."""
    given = {name: value for name, value in settings.model_dump().items() if value is not None}
    words = {name: value if isinstance(value, list) else [value] for name, value in given.items()}
    return " ".join(f"--{name} {' '.join(map(str, values))}" for name, values in words.items())
