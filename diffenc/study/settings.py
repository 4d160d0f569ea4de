"""The settings in a study, part by part: what each key may be, and its default."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, Field, model_validator

from diffenc.io.schema import Place, Positive, Seed, Strict
from diffenc.zoo import plugins
from diffenc.zoo.configs import (
    BOUNDS,
    FALLING,
    FALLING_WITH_COSINE,
    MODELS,
    PREDICTIONS,
    PROCESSES,
    SCHEDULES,
    TIMES,
    WEIGHTINGS,
    ModelConfig,
)


def _known_schedule(name: str) -> str:
    if name not in (known := [*SCHEDULES, *plugins.installed(plugins.SCHEDULES)]):
        raise ValueError(f"unknown schedule {name!r}; known: {', '.join(known)}")
    return name


Schedule = Annotated[str, AfterValidator(_known_schedule)]
Protocol = Literal["full", "authors", "given"]  # given: under noise that comes with the data set
# the file of Inception's weights, as torch-fidelity publishes them, and what fid.weights is where there are none
INCEPTION = "weights-inception-2015-12-05-6726825d.pth"
NO_INCEPTION = "absent"
# the best steps lead between so many noise levels; of more steps the levels' own distance shows
GRID = 121
MOST_STEPS = 60
# dimensions, at most, of which a trace is taken element by element
EXACT_TRACE = 256
VARIATIONAL = "variational"
Dequantisation = Literal["uniform", "truncated_normal", "variational"]
PART = 500  # samples for FID that are drawn together: 2.7e16 FLOP of a large model in 1000 steps


class Objective(Strict):
    """What is descended in place of the bound: its diffusion term under a weighting (`diffenc.models.weightings`).

    A trainable encoder descends the bound all the same, or with all else the `weighted` loss.
    """

    weighting: Literal[*WEIGHTINGS]
    k: float | None = None
    y: Annotated[float, Field(gt=0)] | None = None
    cosine: bool | None = None
    encoder: Literal["bound", "weighted"] = "bound"

    @model_validator(mode="after")
    def _has_them(self) -> "Objective":
        known = WEIGHTINGS[self.weighting]
        if unknown := [name for name in self.parameters if name not in known]:
            has = ", ".join(known) or "none"
            raise ValueError(f"{unknown[0]}: is no parameter of {self.weighting}, which has {has}; take it out")
        return self

    def __str__(self) -> str:
        """Such as "sigmoid, k = 2"; whether it is monotone, and where the encoder descends it too."""
        words = [self.weighting, *(f"{name} = {value:g}" for name, value in self.parameters.items())]
        words += ["not monotone"] * (not self.monotone) + ["encoder too"] * (self.encoder == "weighted")
        return ", ".join(words)

    @property
    def monotone(self) -> bool:
        """Whether the weighting never falls with gamma: then its loss is an integral of bounds."""
        if self.weighting in FALLING_WITH_COSINE:
            return self.cosine is False
        return self.weighting not in FALLING

    @property
    def parameters(self) -> dict[str, float]:
        """The weighting's, where they are given."""
        return self.model_dump(include={"k", "y", "cosine"}, exclude_none=True)


class Training(Strict):
    """The protocol of the paper (MATH.md); a study overrides what it must."""

    steps: Positive
    batch: Positive = 128
    learning_rate: Annotated[float, Field(gt=0)] = 2e-4
    warmup: Annotated[int, Field(ge=0)] = 100
    beta_1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    beta_2: Annotated[float, Field(ge=0, lt=1)] = 0.99
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.9999
    dropout: Annotated[float, Field(ge=0, le=0.9)] = 0.1
    precision: Literal["auto", "float32", "bf16"] = "auto"
    log_every: Positive = 1000
    schedule_learning_rate: Annotated[float, Field(gt=0)] | None = None
    objective: Objective | None = None
    times: Literal["adaptive"] | None = None  # by importance, else as the schedule has them

    @property
    def shape_rate(self) -> float:
        """The learning rate of a schedule's shape, which the networks' would hardly move."""
        return self.schedule_learning_rate or 0.03

    def results(self) -> dict[str, Any]:
        """What of it changes the trained weights."""
        return self.model_dump(exclude={"log_every"}, exclude_none=True)


class Model(Strict):
    """A model of the study's own: the zoo's model `like`, changed. `options` are those of an encoder from outside;
    from `process` on, a multivariate model's (`diffenc.zoo.configs.ModelConfig`)."""

    like: Literal[*MODELS]
    prediction: Literal[*PREDICTIONS] | None = None
    layers: Positive | None = None
    width: Annotated[int, Field(gt=0, multiple_of=32)] | None = None  # groups of its norms
    encoder: str | None = None
    blocks: Positive | None = None
    options: dict[str, Any] = {}
    gamma_min: Annotated[float, Field(ge=-30, le=0)] | None = None
    gamma_max: Annotated[float, Field(gt=0, le=30)] | None = None
    process: Literal[*PROCESSES] | None = None
    variables: Positive | None = None
    stationary: Annotated[float, Field(ge=1e-3, le=1e3)] | None = None
    init: Annotated[float, Field(ge=1e-6, le=1e3)] | None = None
    time: Literal[*TIMES] | None = None
    bound: Literal[*BOUNDS] | None = None

    @property
    def shape(self) -> ModelConfig:
        """Before it is adapted to a data set."""
        given = self.model_dump(exclude={"like"}, exclude_none=True, exclude_defaults=True)
        return replace(MODELS[self.like], **given)


class Evaluation(Strict):
    """How a trained run is measured on the test set."""

    passes: Annotated[int, Field(ge=1)] = 10
    seed: Seed = 0
    images: Positive | None = None
    protocol: Protocol = "full"


class Samples(Strict):
    """Samples: how many, in how many steps T: even ones, or the best, fitted on `fit` training images.

    By ancestral steps, or for multivariate models by the MDM paper's `sampler`.
    """

    count: Positive = 64
    steps: Positive = 1000
    seed: Seed = 0
    precision: Literal["float32", "bf16"] = "float32"
    fit: Positive | None = None
    sampler: Literal["euler_maruyama"] | None = None

    @model_validator(mode="after")
    def _few_enough(self) -> "Samples":
        if self.fit and self.sampler:
            raise ValueError("sampler: has times of its own; take it out, or fit")
        if self.fit and self.steps > MOST_STEPS:
            raise ValueError(f"fit: of more than {MOST_STEPS} steps the best are not fitted; take fewer, or no fit")
        return self


class Devices(NamedTuple):
    """On how much a run trains: GPUs in all, and the nodes that they are in. It changes results by rounding only."""

    gpus: int
    nodes: int


class Saving(Strict):
    """How often a training writes a checkpoint: by time, and at every multiple of so many steps."""

    minutes: Annotated[float, Field(ge=0)] = 10
    steps: Positive | None = None


class Depth(Strict):
    """Bounds of finite depth T: which T, and which fixed variance ratios w beside 1 and the best one.

    On `fit` training images the best steps are fitted.
    """

    depths: Annotated[list[Positive], Field(min_length=1)] = [10, 30, 100, 300, 1000]
    ratios: list[Annotated[float, Field(gt=0)]] = [0.5, 0.9, 1.1, 2.0]
    passes: Positive = 2
    images: Positive = 1000
    seed: Seed = 0
    fit: Positive | None = None


class Inspection(Strict):
    """What the encoder does, and how well the counterterm cancels it, on so many test images."""

    images: Positive = 256
    seed: Seed = 0


class NoiseLevels(Strict):
    """The diffusion term by noise level, in so many bins of gamma."""

    images: Positive = 1000
    passes: Positive = 10
    bins: Positive = 100
    seed: Seed = 0


class Process(Strict):
    """The diffusion process: what one draw of the bound varies by, and the network's own error."""

    images: Positive = 1000
    passes: Annotated[int, Field(ge=2)] = 10
    seed: Seed = 0


class Compression(Strict):
    """Real bits of test images, `together` in a batch, by T; the best ratio is fitted on `fit` training images."""

    images: Positive = 300
    depths: Annotated[list[Positive], Field(min_length=1)] = [10, 30, 100]
    bits: Annotated[int, Field(ge=0, le=8)] = 3
    together: Positive = 100
    fit: Positive = 300
    passes: Positive = 4
    seed: Seed = 0


class Likelihood(Strict):
    """The log likelihood by the probability-flow ODE, of so many test images, by `draws` of z_0 each.

    The divergence is an exact trace, or estimated by so many probes; the ODE is solved to a tolerance, or in so many
    even steps. `passes` are the bound's.
    """

    images: Positive = 50
    dequantisation: Annotated[list[Dequantisation], Field(min_length=1)] = [VARIATIONAL]
    draws: Positive = 2
    probes: Positive | None = None
    tolerance: Annotated[float, Field(gt=0, lt=1)] = 1e-4
    steps: Positive | None = None
    precision: Literal["float32", "float64"] = "float32"
    passes: Positive = 100
    seed: Seed = 0

    @model_validator(mode="after")
    def _can_be_reached(self) -> "Likelihood":
        if self.precision == "float32" and self.tolerance < 1e-5:
            raise ValueError("tolerance: below 1e-5 float32's rounding shows; take precision float64, or 1e-5")
        return self


class FidOfRun(Strict):
    """The FID of a run: so many of its samples, against the (first) images of the train and the test set."""

    counts: Annotated[list[Annotated[int, Field(gt=1)]], Field(min_length=1)] = [10_000, 50_000]
    references: Annotated[list[Literal["train", "test"]], Field(min_length=1)] = ["train", "test"]
    images: Annotated[int, Field(gt=1)] | None = None


class Fid(FidOfRun):
    """FID of some models of one data set and schedule; `weights` is Inception's file, absent if there is none."""

    dataset: str
    schedule: Schedule = "fixed"
    models: Annotated[list[str], Field(min_length=1)]
    steps: Positive = 1000
    seed: Seed = 0
    precision: Literal["float32", "bf16"] = "float32"
    weights: Place | None = None

    @property
    def parts(self) -> dict[int, int]:
        """{first: how many}: the samples are drawn in parts, so that a job that dies takes few of them along."""
        total = max(self.counts)
        return {first: min(PART, total - first) for first in range(0, total, PART)}

    @property
    def of_each_run(self) -> FidOfRun:
        """What of it the score of given samples depends on."""
        return FidOfRun(counts=self.counts, references=self.references, images=self.images)


class Weights(Strict):
    """Weights that were trained elsewhere; `{seed}` in the path stands for the run's seed."""

    format: Literal["authors"]
    path: Place
    config: Place

    def file(self, seed: int) -> Path:
        """The checkpoint of one seed."""
        return Path(self.path.replace("{seed}", str(seed)))


class Selection(Strict):
    """A table of losses of some models of one data set and schedule, such as one of the paper's."""

    title: str
    dataset: str
    schedule: Schedule = "fixed"
    models: Annotated[list[str], Field(min_length=1)]
