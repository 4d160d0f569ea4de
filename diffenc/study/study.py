"""A study: the YAML file that names runs, comparisons, tables and figures. Its only definition."""

from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, create_model, model_validator

from diffenc.data import custom
from diffenc.data.catalog import DATASETS, DatasetSpec
from diffenc.data.custom import Arrays
from diffenc.io.errors import UserError
from diffenc.io.schema import Name, Place, Positive, Seed, Strict
from diffenc.study import checks
from diffenc.study.outputs import FIGURES, TABLES_BY_NAME, USUAL_FIGURES, USUAL_TABLES
from diffenc.study.settings import (
    Devices,
    Evaluation,
    Fid,
    Model,
    Samples,
    Saving,
    Schedule,
    Selection,
    Training,
    Weights,
)
from diffenc.study.stages import MEASUREMENTS, kinds_of
from diffenc.zoo.authors_config import read_config
from diffenc.zoo.configs import MODELS, ModelConfig, adapted

Table = Literal[*TABLES_BY_NAME]
Figure = Literal[*FIGURES]
Dataset = Annotated[str, Field(examples=[*DATASETS])]


class RunGroup(Strict):
    """Runs that differ by model and seed only: trained here, or with weights that were trained elsewhere."""

    dataset: Dataset
    """The catalogue's, or one of `own_data`"""
    models: Annotated[list[Annotated[Name, Field(examples=[*MODELS])]], Field(min_length=1)]
    """The zoo's (diffenc/zoo/configs.py), or of `models`"""
    schedule: Schedule = "fixed"
    """learned: both ends of gamma are trained; monotone: VDM's network between fixed ends, its shape trained on the
    loss's variance; monotone_learned: with learned ends; monotone_vdm: as VDM's code has it, all by the bound; or an
    installed one (docs/extending.md)"""
    seeds: Annotated[list[Seed], Field(min_length=1)]
    """A run for each, which share one protocol"""
    training: Training | None = None
    """How they are trained here"""
    weights: Weights | None = None
    """In place of `training`, of one model, which need not be in the zoo: weights that were trained elsewhere"""
    gpus: Positive = 1
    """Of each run in all; they divide training.batch, and retrain nothing: results change by rounding only"""
    nodes: Positive = 1
    """That the GPUs are in, gpus / nodes on each; better whole nodes, as SLURM may divide others unequally"""

    @model_validator(mode="before")
    @classmethod
    def _objective(cls, given: Any) -> Any:
        """`objective` stands beside `training`, and belongs to it."""
        if isinstance(given, dict) and "objective" in given and isinstance(given.get("training"), dict):
            others = {key: value for key, value in given.items() if key != "objective"}
            return {**others, "training": given["training"] | {"objective": given["objective"]}}
        return given

    @model_validator(mode="after")
    def _consistent(self) -> "RunGroup":
        checks.check_group(self)
        return self

    @property
    def runs(self) -> list["Run"]:
        """Its runs, models first, then seeds."""
        return [Run(self.dataset, model, self.schedule, seed) for model in self.models for seed in self.seeds]


class Comparison(Strict):
    """Welch's test across seeds; one-sided, the claim being that `lower` has the lower bpd."""

    dataset: Dataset
    """That the models are of"""
    schedule: Schedule = "fixed"
    """That the models are under"""
    lower: str
    """The model that is claimed to have the lower loss"""
    than: str
    """The model that it is compared with"""


class Run(NamedTuple):
    """One trained model: data set x model x schedule x seed."""

    dataset: str
    model: str
    schedule: str
    seed: int

    @property
    def path(self) -> str:
        """Its name, and where its results lie below the study's `runs` folder."""
        return f"{self.dataset}/{self.model}/{self.schedule}/seed{self.seed}"


class _Runs(Strict):
    """What a study is about, and how its runs are measured."""

    name: Name
    """Results go to results/NAME: two studies need two names"""
    title: str
    """What tables, figures and the page call it"""
    files: Place = "data"
    """Folder of the data sets' original files, downloaded there if missing; retrains nothing"""
    own_data: dict[Name, Arrays] = {}
    """Data sets of one's own, by name; all studies share results/data, so choose it well"""
    models: dict[Name, Model] = {}
    """Models of one's own, by name: the zoo's, changed (docs/extending.md)"""
    runs: Annotated[list[RunGroup], Field(min_length=1)]
    """The trainings: data set x model x schedule x seed"""
    comparisons: list[Comparison] = []
    """Welch's tests across seeds"""
    margin: Annotated[float, Field(gt=0, le=8)] = 0.01
    """Bits per dimension within which two models count as the same"""
    evaluation: Evaluation = Evaluation()
    """How runs are measured on the test set"""
    samples: Samples = Samples()
    """What is drawn from each model"""


# a key for the settings of each measurement that has some
_Measured = create_model(
    "_Measured",
    __base__=_Runs,
    **{
        one.key: (one.settings, Field(one.settings(), description=one.text.rstrip(".")))
        for one in MEASUREMENTS.values()
        if one.key
    },
)


class Study(_Measured):
    """The keys of the file itself."""

    fid: Fid | None = None
    """FID, only where it is given; then list the table fid, too"""
    tables: list[Table] = [*USUAL_TABLES]
    """Those that are made (docs/results.md)"""
    selections: dict[Name, Selection] = {}
    """Tables of losses of some models, each a target: `snakemake NAME`"""
    figures: list[Figure] = [*USUAL_FIGURES]
    """Those that are made (docs/results.md)"""
    checkpoints: Saving = Saving()
    """How often a training writes one; retrains nothing"""
    tensorboard: bool = False
    """Each training writes TensorBoard's event files into its folder, too; retrains nothing"""

    @property
    def members(self) -> dict[Run, RunGroup]:
        """Every run with the group that it is from, in the file's order."""
        return {run: group for group in self.runs for run in group.runs}

    @property
    def all_runs(self) -> list[Run]:
        """Every run, trained here or not, in the file's order."""
        return list(self.members)

    @property
    def devices(self) -> dict[Run, Devices]:
        """On how much each run trains, and is evaluated and sampled."""
        return {run: Devices(group.gpus, group.nodes) for run, group in self.members.items()}

    @property
    def training(self) -> dict[Run, Training]:
        """Every run that is trained here with its protocol."""
        return {run: group.training for run, group in self.members.items() if group.training}

    @property
    def weights(self) -> dict[Run, Weights]:
        """Every run that was trained elsewhere with its weights."""
        return {run: group.weights for run, group in self.members.items() if group.weights}

    @property
    def datasets(self) -> list[str]:
        """The data sets of its runs."""
        return list(dict.fromkeys(run.dataset for run in self.all_runs))

    @property
    def model_names(self) -> list[str]:
        """The models of its runs, each once, in the file's order."""
        return list(dict.fromkeys(run.model for run in self.all_runs))

    @property
    def schedules(self) -> list[str]:
        """The schedules of its runs."""
        return list(dict.fromkeys(run.schedule for run in self.all_runs))

    def spec(self, dataset: str) -> DatasetSpec:
        """Shape, levels and counts of a data set, the catalogue's or one's own."""
        return custom.spec(self.own_data[dataset]) if dataset in self.own_data else DATASETS[dataset]

    def evaluation_of(self, dataset: str) -> Evaluation:
        """How runs on a data set are measured: where noise is given, in one pass over all images."""
        given = dataset in self.own_data and self.own_data[dataset].noise
        return (
            self.evaluation.model_copy(update={"passes": 1, "images": None, "protocol": "given"})
            if given
            else self.evaluation
        )

    def fid_runs(self) -> list["Run"]:
        """The runs whose FID is asked for."""
        wanted = [(self.fid.dataset, model, self.fid.schedule) for model in self.fid.models] if self.fid else []
        return [run for run in self.all_runs if run[:3] in wanted]

    def shape(self, run: Run) -> ModelConfig:
        """The shape of the run's model."""
        group = self.members[run]
        if group.weights:
            return read_config(group.weights.config)[0]
        return adapted(self.base_shape(run.model), self.spec(run.dataset))

    def can_be_measured(self, run: Run, file: str | None) -> bool:
        """Whether that file, or the like, can be made of the run's model."""
        return self.shape(run).kind in kinds_of(file)

    def base_shape(self, model: str) -> ModelConfig:
        """The shape of a model, the zoo's or the study's own, before it is adapted to a data set."""
        return self.models[model].shape if model in self.models else MODELS[model]

    def groups(self, dataset: str | None = None) -> dict[tuple[str, str], dict[str, list[Run]]]:
        """{(dataset, schedule): {model: its runs}}: what stands side by side in a figure."""
        found: dict[tuple[str, str], dict[str, list[Run]]] = {}
        for run in self.all_runs:
            if dataset in (None, run.dataset):
                found.setdefault((run.dataset, run.schedule), {}).setdefault(run.model, []).append(run)
        return found

    def only(self, *datasets: str) -> "Study":
        """The part of the study that concerns these data sets."""
        runs = [group for group in self.runs if group.dataset in datasets]
        comparisons = [comparison for comparison in self.comparisons if comparison.dataset in datasets]
        return self.model_copy(update={"runs": runs, "comparisons": comparisons})

    def selected(self, name: str) -> "Study":
        """The part of the study that a selection concerns."""
        chosen = self.selections[name]
        part = self.only(chosen.dataset)
        runs = [
            group.model_copy(update={"models": [model for model in group.models if model in chosen.models]})
            for group in part.runs
            if group.schedule == chosen.schedule
        ]
        comparisons = [
            comparison
            for comparison in part.comparisons
            if comparison.schedule == chosen.schedule and {comparison.lower, comparison.than} <= {*chosen.models}
        ]
        return part.model_copy(update={"runs": runs, "comparisons": comparisons})

    def run(self, path: str) -> Run:
        """The run of that name, such as digits/VDMv-2/fixed/seed1. Raises UserError if the study has none."""
        for run in self.all_runs:
            if run.path == path:
                return run
        raise UserError(f"{self.name}: has no run {path!r}; its first is {self.all_runs[0].path}")

    @model_validator(mode="after")
    def _consistent(self) -> "Study":
        checks.check_study(self)
        return self


def study_folder(study: Study) -> Path:
    """Where a study's results lie, below the working directory."""
    return Path("results") / study.name


def run_folder(folder: Path, run: Run) -> Path:
    """The folder of a run's files below the study's."""
    return Path(folder) / "runs" / run.path
