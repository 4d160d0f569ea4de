"""A study: the YAML file that names runs, comparisons, tables and figures. Its only definition and check."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from diffenc.catalog import DATASETS
from diffenc.errors import UserError
from diffenc.zoo import MODELS

Positive = Annotated[int, Field(gt=0)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Schedule = Literal["fixed", "learned"]
Table = Literal["components", "seeds", "comparisons"]
Figure = Literal["heatmaps", "encodings", "samples", "curves", "loss_per_t"]


class Strict(BaseModel):
    """Unknown keys and wrong types are refused, never converted; so are infinity and not-a-number."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


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
    log_every: Positive = 1000

    def results(self) -> dict[str, Any]:
        """What of it changes the trained weights."""
        return self.model_dump(exclude={"log_every"})


class Evaluation(Strict):
    """How a trained run is measured on the test set."""

    passes: Annotated[int, Field(ge=1)] = 10
    seed: Seed = 0
    images: Positive | None = None
    protocol: Literal["full", "authors"] = "full"


class Samples(Strict):
    """Ancestral samples: how many, in how many steps T."""

    count: Positive = 64
    steps: Positive = 1000
    seed: Seed = 0


class Devices(NamedTuple):
    """On how much a run trains: GPUs in all, and the nodes that they are in. It changes results by rounding only."""

    gpus: int
    nodes: int


class Saving(Strict):
    """How often a training writes a checkpoint: by time, and at every multiple of so many steps."""

    minutes: Annotated[float, Field(ge=0)] = 10
    steps: Positive | None = None


class RunGroup(Strict):
    """Runs that differ by model and seed only."""

    dataset: str
    models: Annotated[list[str], Field(min_length=1)]
    schedule: Schedule = "fixed"
    seeds: Annotated[list[Seed], Field(min_length=1)]
    training: Training
    gpus: Positive = 1
    nodes: Positive = 1

    @model_validator(mode="after")
    def _shared(self) -> "RunGroup":
        if self.gpus % self.nodes:
            raise ValueError(f"gpus: {self.gpus} in all cannot be shared equally by {self.nodes} nodes")
        if self.training.batch % self.gpus:
            raise ValueError(f"training.batch: {self.training.batch} cannot be shared equally by {self.gpus} gpus")
        return self

    @model_validator(mode="after")
    def _known(self) -> "RunGroup":
        if self.dataset not in DATASETS:
            raise ValueError(f"unknown data set {self.dataset!r}; known: {', '.join(DATASETS)}")
        for model in self.models:
            if model not in MODELS:
                raise ValueError(f"unknown model {model!r}; known: {', '.join(MODELS)}")
        return self


class Comparison(Strict):
    """Welch's test across seeds; one-sided, the claim being that `lower` has the lower bpd."""

    dataset: str
    schedule: Schedule = "fixed"
    lower: str
    than: str


class Run(NamedTuple):
    """One training."""

    dataset: str
    model: str
    schedule: str
    seed: int

    @property
    def path(self) -> str:
        """Its name, and where its results lie below the study's `runs` folder."""
        return f"{self.dataset}/{self.model}/{self.schedule}/seed{self.seed}"


class Study(Strict):
    """A whole study file."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
    title: str
    files: str = "data"
    runs: Annotated[list[RunGroup], Field(min_length=1)]
    comparisons: list[Comparison] = []
    evaluation: Evaluation = Evaluation()
    samples: Samples = Samples()
    tables: list[Table] = ["components", "seeds", "comparisons"]
    figures: list[Figure] = ["heatmaps", "encodings", "samples", "curves", "loss_per_t"]
    checkpoints: Saving = Saving()
    tensorboard: bool = False

    @property
    def devices(self) -> dict[Run, Devices]:
        """On how much each run trains."""
        return {run: Devices(group.gpus, group.nodes) for group in self.runs for run in _runs(group)}

    @property
    def training(self) -> dict[Run, Training]:
        """Every run with its training protocol, in the file's order."""
        return {run: group.training for group in self.runs for run in _runs(group)}

    @property
    def datasets(self) -> list[str]:
        """The data sets of its runs."""
        return list(dict.fromkeys(run.dataset for run in self.training))

    @property
    def models(self) -> list[str]:
        """The models of its runs, each once, in the file's order."""
        return list(dict.fromkeys(run.model for run in self.training))

    def groups(self, dataset: str | None = None) -> dict[tuple[str, str], dict[str, list[Run]]]:
        """{(dataset, schedule): {model: its runs}}: what stands side by side in a figure."""
        found: dict[tuple[str, str], dict[str, list[Run]]] = {}
        for run in self.training:
            if dataset in (None, run.dataset):
                found.setdefault((run.dataset, run.schedule), {}).setdefault(run.model, []).append(run)
        return found

    def only(self, dataset: str) -> "Study":
        """The part of the study that concerns one data set."""
        runs = [group for group in self.runs if group.dataset == dataset]
        comparisons = [comparison for comparison in self.comparisons if comparison.dataset == dataset]
        return self.model_copy(update={"runs": runs, "comparisons": comparisons})

    def run(self, path: str) -> Run:
        """The run of that name, such as digits/VDMv-2/fixed/seed1. Raises UserError if the study has none."""
        for run in self.training:
            if run.path == path:
                return run
        raise UserError(f"{self.name}: has no run {path!r}; its first is {next(iter(self.training)).path}")

    @model_validator(mode="after")
    def _consistent(self) -> "Study":
        if (most := max(group.gpus for group in self.runs)) > self.samples.count:
            raise ValueError(f"samples.count: {self.samples.count} cannot be shared by {most} gpus; ask for more")
        if self.name == "data":
            raise ValueError("name: results/data holds the prepared data sets; name the study otherwise")
        _refuse_repeated("runs", [run.path for group in self.runs for run in _runs(group)])
        _refuse_repeated("tables", self.tables)
        _refuse_repeated("figures", self.figures)
        claims = [f"{c.lower} < {c.than} on {c.dataset}/{c.schedule}" for c in self.comparisons]
        _refuse_repeated("comparisons", claims)
        self._check_protocols()
        self._check_comparisons()
        self._check_evaluation()
        return self

    def _check_protocols(self) -> None:
        protocols: dict[tuple[str, ...], tuple[Run, Training]] = {}
        for run, training in self.training.items():
            first, protocol = protocols.setdefault(run[:3], (run, training))
            if protocol.results() != training.results():
                raise ValueError(f"runs: {run.path} is trained otherwise than {first.path}; seeds share one protocol")

    def _check_comparisons(self) -> None:
        for i, comparison in enumerate(self.comparisons):
            if comparison.lower == comparison.than:
                raise ValueError(f"comparisons[{i}]: compares {comparison.lower} with itself; name two models")
            for model in (comparison.lower, comparison.than):
                group = (comparison.dataset, model, comparison.schedule)
                seeds = sum(run[:3] == group for run in self.training)
                if seeds < 2:
                    raise ValueError(
                        f"comparisons[{i}]: {'/'.join(group)} has {seeds} seed(s) in `runs`; a test across seeds"
                        " needs at least two"
                    )

    def _check_evaluation(self) -> None:
        for name in self.datasets:
            facts = DATASETS[name]
            count = self.evaluation.images or facts.test
            if count > facts.test:
                raise ValueError(f"evaluation.images: {count} asked for, {name} has {facts.test}; ask for fewer")
            if self.evaluation.protocol == "authors" and count < facts.batch:
                raise ValueError(
                    f"evaluation.images: protocol authors drops the last partial batch of {facts.batch}, and leaves"
                    f" none of {count}; take more, or protocol full"
                )


def _refuse_repeated(key: str, values: list[str]) -> None:
    for value, count in Counter(values).items():
        if count > 1:
            raise ValueError(f"{key}: {value} is given twice; name each once")


def _runs(group: RunGroup) -> list[Run]:
    return [Run(group.dataset, m, group.schedule, s) for m in group.models for s in group.seeds]


class _Loader(yaml.SafeLoader):
    """Of two equal keys YAML takes the last; in a study that is a mistake."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [key.value for key, _ in node.value]
        for key, _ in node.value:
            if keys.count(key.value) > 1:
                raise yaml.constructor.ConstructorError(
                    problem=f"{key.value!r} is given twice", problem_mark=key.start_mark
                )
        return super().construct_mapping(node, deep)


def load_study(path: str | Path) -> Study:
    """Read and check a study file.

    Raises:
        UserError: the file is missing, is not YAML, has an unknown key, a wrong type or an inconsistency.
    """
    try:
        content = yaml.load(Path(path).read_text(), _Loader)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); name a study file, for example config/demo.yaml")
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: is not valid YAML: {' '.join(str(error).split())}")
    return parse_study(content, str(path))


def parse_study(content: Any, source: str) -> Study:
    """Check a study that was read already; `source` names it in messages. Raises UserError."""
    if not isinstance(content, dict):
        raise UserError(f"{source}: a study is a mapping of keys (name, title, runs, ...), this is not")
    try:
        return Study.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{source}: {explain(error)}")


def explain(error: ValidationError) -> str:
    """Pydantic's first complaint as one line: the key, what is wrong, what to do.

    An unknown key comes first: a misspelled one is missing under its right name as well.
    """
    first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
    found = first.get("input")
    if first["type"] == "extra_forbidden":
        message = f"unknown key; remove it or correct its spelling (value: {found!r})"
    elif first["type"] == "missing":
        message = "is missing; add it"
    elif isinstance(found, str) and first["type"] == "float_type":
        message = f"{found!r} is text, not a number; YAML reads 2e-4 as text, write 2.0e-4, without quotes"
    elif isinstance(found, str) and first["type"] == "int_type":
        message = f"{found!r} is text, not a whole number; write its digits, without quotes"
    elif first["type"] == "value_error":
        message = str(first["ctx"]["error"])
    else:
        message = f"{first['msg']}; found {found!r}"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{key}: {message}{more}" if key else message + more
