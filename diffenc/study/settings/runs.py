"""Runs: models of a study's own, how they are trained, or where their weights are."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, Field, model_validator

from diffenc.io.schema import Place, Positive, Strict
from diffenc.zoo import plugins
from diffenc.zoo.configs import (
    BOUNDS,
    ENCODERS,
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


Schedule = Annotated[str, AfterValidator(_known_schedule), Field(examples=[*SCHEDULES])]


class Objective(Strict):
    """What is descended in place of the bound: its diffusion term under a weighting (`diffenc.models.weightings`).

    A trainable encoder descends the bound all the same, or with all else the `weighted` loss.
    """

    weighting: Literal[*WEIGHTINGS]
    """Of the diffusion term"""
    k: float | None = None
    """Of sigmoid(gamma + k); 2 where it is not given"""
    y: Annotated[float, Field(gt=0)] | None = None
    """Of p2 (1 where it is not given), min_snr and soft_min_snr (5)"""
    cosine: bool | None = None
    """Of min_snr and soft_min_snr: true, as published, with the times of the cosine schedule"""
    encoder: Literal["bound", "weighted"] = "bound"
    """What a trainable encoder descends"""

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
    """Updates of the weights"""
    batch: Positive = 128
    """Images of an update, on all GPUs together"""
    learning_rate: Annotated[float, Field(gt=0)] = 2e-4
    """Of AdamW, after the warm-up"""
    warmup: Annotated[int, Field(ge=0)] = 100
    """Steps in which the learning rate rises from 0"""
    beta_1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Of AdamW"""
    beta_2: Annotated[float, Field(ge=0, lt=1)] = 0.99
    """Of AdamW"""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """Of AdamW"""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.9999
    """Decay of the weights' moving average, which is what is measured"""
    dropout: Annotated[float, Field(ge=0, le=0.9)] = 0.1
    """In the denoiser"""
    precision: Literal["auto", "float32", "bf16"] = "auto"
    """Of the denoiser; auto: bf16 where the device multiplies it fast"""
    log_every: Positive = 1000
    """Steps between two lines of the run's history; retrains nothing"""
    schedule_learning_rate: Annotated[float, Field(gt=0)] | None = None
    """Of a monotone schedule's shape; 0.03 where it is not given"""
    objective: Objective | None = None
    """Descended in place of the bound, which is measured all the same"""
    times: Literal["adaptive"] | None = None
    """adaptive: noise levels drawn by their part of the loss; else as the schedule has them"""

    @property
    def shape_rate(self) -> float:
        """The learning rate of a schedule's shape, which the networks' would hardly move."""
        return self.schedule_learning_rate or 0.03

    def results(self) -> dict[str, Any]:
        """What of it changes the trained weights."""
        return self.model_dump(exclude={"log_every"}, exclude_none=True)


class Weights(Strict):
    """Weights that were trained elsewhere; `{seed}` in the path stands for the run's seed."""

    format: Literal["authors"]
    """As the authors' code writes them"""
    path: Place
    """The file, such as weights/seed{seed}.gz"""
    config: Place
    """The model's configuration, a JSON of the authors' code"""

    def file(self, seed: int) -> Path:
        """The checkpoint of one seed."""
        return Path(self.path.replace("{seed}", str(seed)))


class Model(Strict):
    """A model of the study's own: the zoo's model `like`, changed; from `process` on, a multivariate model's keys."""

    like: Literal[*MODELS]
    """The zoo's model that it is like, in all that is not given here"""
    prediction: Literal[*PREDICTIONS] | None = None
    """What the denoiser's output is of"""
    layers: Positive | None = None
    """The denoiser's L"""
    width: Annotated[int, Field(gt=0, multiple_of=32)] | None = None  # groups of its norms
    """The denoiser's channels, n"""
    encoder: Annotated[str, Field(examples=[*ENCODERS, "module:Class"])] | None = None
    """One of the package's, an installed one's name, or module:Class (docs/extending.md)"""
    blocks: Positive | None = None
    """The paper's m, of the encoders unet and unet_mult_res"""
    options: dict[str, Any] = {}
    """What an encoder from outside is made with"""
    gamma_min: Annotated[float, Field(ge=-30, le=0)] | None = None
    """-log SNR at t = 0, with 256 levels"""
    gamma_max: Annotated[float, Field(gt=0, le=30)] | None = None
    """-log SNR at t = 1"""
    process: Literal[*PROCESSES] | None = None
    """A multivariate diffusion (docs/mdm.md)"""
    variables: Positive | None = None
    """Of a multivariate process, for each dimension"""
    stationary: Annotated[float, Field(ge=1e-3, le=1e3)] | None = None
    """Variance of its auxiliary variables in the end"""
    init: Annotated[float, Field(ge=1e-6, le=1e3)] | None = None
    """Variance of its auxiliary variables at tau = 0"""
    time: Literal[*TIMES] | None = None
    """matched: at each t the noise of a univariate model; vp: the MDM paper's"""
    bound: Literal[*BOUNDS] | None = None
    """pixels: VDM's three terms; logits: the MDM paper's, of dequantised logits"""

    @property
    def shape(self) -> ModelConfig:
        """Before it is adapted to a data set."""
        given = self.model_dump(exclude={"like"}, exclude_none=True, exclude_defaults=True)
        return replace(MODELS[self.like], **given)


class Devices(NamedTuple):
    """On how much a run trains: GPUs in all, and the nodes that they are in. It changes results by rounding only."""

    gpus: int
    nodes: int


class Saving(Strict):
    """How often a training writes a checkpoint: by time, and at every multiple of so many steps."""

    minutes: Annotated[float, Field(ge=0)] = 10
    """Between two checkpoints"""
    steps: Positive | None = None
    """At every multiple of so many, too"""


class Selection(Strict):
    """A table of losses of some models of one data set and schedule, such as one of the paper's."""

    title: str
    """The table's"""
    dataset: str
    """That the models are of"""
    schedule: Schedule = "fixed"
    """That the models are under"""
    models: Annotated[list[str], Field(min_length=1)]
    """The rows, each a model of `runs`"""
