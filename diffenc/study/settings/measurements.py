"""What is measured of a trained run, and drawn from it."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from diffenc.io.schema import Place, Positive, Seed, Strict
from diffenc.study.settings.runs import Schedule

# the file of Inception's weights, as torch-fidelity publishes them, and what fid.weights is where there are none
INCEPTION = "weights-inception-2015-12-05-6726825d.pth"
NO_INCEPTION = "absent"
# the best steps lead between so many noise levels; of more steps the levels' own distance shows
GRID = 121
MOST_STEPS = 60
# dimensions, at most, of which a trace is taken element by element
EXACT_TRACE = 256
VARIATIONAL = "variational"
PART = 500  # samples for FID that are drawn together: 2.7e16 FLOP of a large model in 1000 steps
Protocol = Literal["full", "authors", "given"]  # given: under noise that comes with the data set
Dequantisation = Literal["uniform", "truncated_normal", "variational"]


class Evaluation(Strict):
    """How a trained run is measured on the test set."""

    passes: Annotated[int, Field(ge=1)] = 10
    """Over the images, each with other times and noise"""
    seed: Seed = 0
    """Of times and noise"""
    images: Positive | None = None
    """The first so many of the test set; all where it is not given"""
    protocol: Protocol = "full"
    """authors: the same times and noise in every batch, and no partial batch; given, by own_data.NAME.noise alone:
    under what it brings"""


class Samples(Strict):
    """Samples: how many, in how many steps T: even ones, or the best, fitted on `fit` training images.

    By ancestral steps, or for multivariate models by the MDM paper's `sampler`.
    """

    count: Positive = 64
    """Of each model"""
    steps: Positive = 1000
    """T"""
    seed: Seed = 0
    """Of the noise"""
    precision: Literal["float32", "bf16"] = "float32"
    """Of the denoiser"""
    fit: Positive | None = None
    """The best steps, at most 60, and sigma_P in place of even ones, fitted on so many training images"""
    sampler: Literal["euler_maruyama"] | None = None
    """Of multivariate models, in place of ancestral steps"""

    @model_validator(mode="after")
    def _few_enough(self) -> "Samples":
        if self.fit and self.sampler:
            raise ValueError("sampler: has times of its own; take it out, or fit")
        if self.fit and self.steps > MOST_STEPS:
            raise ValueError(f"fit: of more than {MOST_STEPS} steps the best are not fitted; take fewer, or no fit")
        return self


class Depth(Strict):
    """Bounds of finite depth T: which T, and which fixed variance ratios w beside 1 and the best one.

    On `fit` training images the best steps are fitted.
    """

    depths: Annotated[list[Positive], Field(min_length=1)] = [10, 30, 100, 300, 1000]
    """Each T"""
    ratios: list[Annotated[float, Field(gt=0)]] = [0.5, 0.9, 1.1, 2.0]
    """sigma_P^2 / sigma_Q^2, beside 1 and the best"""
    passes: Positive = 2
    """Over the images, each with other noise"""
    images: Positive = 1000
    """The first so many of the test set"""
    seed: Seed = 0
    """Of times and noise"""
    fit: Positive | None = None
    """The best T steps too, where T is at most 60, fitted on so many training images"""


class Inspection(Strict):
    """What the encoder does, and how well the counterterm cancels it, on so many test images."""

    images: Positive = 256
    """The first so many of the test set"""
    seed: Seed = 0
    """Of the noise"""


class NoiseLevels(Strict):
    """The diffusion term by noise level, in so many bins of gamma: for the tables schedules and weightings."""

    images: Positive = 1000
    """The first so many of the test set"""
    passes: Positive = 10
    """Over the images, each with other times and noise"""
    bins: Positive = 100
    """Between the ends of gamma"""
    seed: Seed = 0
    """Of times and noise"""


class Process(Strict):
    """The diffusion process: what one draw of the bound varies by, and the network's own error."""

    images: Positive = 1000
    """The first so many of the test set"""
    passes: Annotated[int, Field(ge=2)] = 10
    """Over the images, each with other times and noise"""
    seed: Seed = 0
    """Of times and noise"""


class Compression(Strict):
    """Real bits of test images (docs/compression.md), by T; the best ratio is fitted on training images."""

    images: Positive = 300
    """The first so many of the test set"""
    depths: Annotated[list[Positive], Field(min_length=1)] = [10, 30, 100]
    """Each T"""
    bits: Annotated[int, Field(ge=0, le=8)] = 3
    """b, of grids of sigma_Q / 2^b"""
    together: Positive = 100
    """Images in a batch, which shares the bits that are borrowed"""
    fit: Positive = 300
    """Training images, on which the best sigma_P is fitted"""
    passes: Positive = 4
    """Of the bound beside it, over the images"""
    seed: Seed = 0
    """Of the noise"""


class Likelihood(Strict):
    """The log likelihood by the probability-flow ODE (docs/equations.md) of so many test images, beside the bound."""

    images: Positive = 50
    """The first so many of the test set"""
    dequantisation: Annotated[list[Dequantisation], Field(min_length=1)] = [VARIATIONAL]
    """From pixels to z_0: each way is a bound of its own"""
    draws: Positive = 2
    """Of z_0, for each image and way"""
    probes: Positive | None = None
    """Of the divergence's estimate; where it is not given the exact trace, of 256 dimensions at most"""
    tolerance: Annotated[float, Field(gt=0, lt=1)] = 1e-4
    """Of the ODE's solver; float32 reaches 1e-5"""
    steps: Positive | None = None
    """So many even steps in place of a tolerance"""
    precision: Literal["float32", "float64"] = "float32"
    """Of the denoiser"""
    passes: Positive = 100
    """Of the bound, over the images"""
    seed: Seed = 0
    """Of draws, probes and noise"""

    @model_validator(mode="after")
    def _can_be_reached(self) -> "Likelihood":
        if self.precision == "float32" and self.tolerance < 1e-5:
            raise ValueError("tolerance: below 1e-5 float32's rounding shows; take precision float64, or 1e-5")
        return self


class FidOfRun(Strict):
    """The FID of a run: so many of its samples, against the (first) images of the train and the test set."""

    counts: Annotated[list[Annotated[int, Field(gt=1)]], Field(min_length=1)] = [10_000, 50_000]
    """A score for each, of the first so many samples"""
    references: Annotated[list[Literal["train", "test"]], Field(min_length=1)] = ["train", "test"]
    """A score against each"""
    images: Annotated[int, Field(gt=1)] | None = None
    """Of a reference the first so many; all where it is not given"""


class Fid(FidOfRun):
    """FID of some models of one data set and schedule, for the tables fid and objectives."""

    dataset: str
    """That the models are of"""
    schedule: Schedule = "fixed"
    """That the models are under"""
    models: Annotated[list[str], Field(min_length=1)]
    """Each a model of `runs`"""
    steps: Positive = 1000
    """T"""
    seed: Seed = 0
    """Of the noise"""
    precision: Literal["float32", "bf16"] = "float32"
    """Of the denoiser"""
    weights: Place | None = None
    """Inception's file; downloaded where it is not given; absent: no FID, and the table says so"""

    @property
    def parts(self) -> dict[int, int]:
        """{first: how many}: the samples are drawn in parts, so that a job that dies takes few of them along."""
        total = max(self.counts)
        return {first: min(PART, total - first) for first in range(0, total, PART)}

    @property
    def of_each_run(self) -> FidOfRun:
        """What of it the score of given samples depends on."""
        return FidOfRun(counts=self.counts, references=self.references, images=self.images)
