"""What a study shows: its figures and tables, the files that each is made of, and who draws it."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from diffenc import results
from diffenc.errors import UserError
from diffenc.settings import NO_INCEPTION
from diffenc.study import LOSS_TABLES, Run, Study

if TYPE_CHECKING:
    from pandas import DataFrame

    from diffenc.typeset import Sheet

Which = Literal["all", "encoder", "trained"]


class RunFigure(NamedTuple):
    """A figure of one run: the study's name for it, the run's file that it shows, who draws it, and of which runs."""

    asked_for: str
    file: str
    draw: str
    caption: str
    which: Which = "encoder"


class GroupFigure(NamedTuple):
    """A figure that compares the models of one data set and schedule."""

    file: str
    draw: str
    caption: str
    which: Which = "all"
    all_seeds: bool = True


class Table(NamedTuple):
    """A table, who makes it, and the file of each run that it reads beside runs.csv and tests.csv, if any."""

    make: str
    caption: str
    file: str | None = None
    which: Which = "all"


OF_A_RUN = {
    "heatmaps": RunFigure(
        "heatmaps",
        results.ENCODINGS,
        "heat.heatmap",
        "How the encoding changes with time: (x_t - x_s) / (t - s) for s = t - 0.1, summed over channels, beside the"
        " original image. All maps share one scale.",
    ),
    "heatmaps_full": RunFigure(
        "heatmaps",
        results.ENCODINGS,
        "heat.full_heatmap",
        "How the encoding changes with time, at every t from 0.1 to 1.0.",
    ),
    "encodings": RunFigure(
        "encodings",
        results.ENCODINGS,
        "encoded.encodings",
        "The encoder's mean x_t of test images, from t = 0 (the image) to t = 1.",
    ),
    "process": RunFigure(
        "process",
        results.ENCODINGS,
        "process.process",
        "The diffusion process without an encoder, and with this one: z_t = alpha_t x_t + sigma_t eps, with the same"
        " noise.",
    ),
    "sample_page": RunFigure(
        "sample_page", results.SAMPLES, "pages.sample_page", "Ancestral samples, one after the other.", "all"
    ),
}
OF_A_GROUP = {
    "samples": GroupFigure(
        results.SAMPLES,
        "sampled.samples",
        "Ancestral samples of each model, drawn with the same noise.",
        all_seeds=False,
    ),
    "curves": GroupFigure(
        results.HISTORY,
        "learning.curves",
        "Training loss and its terms over the steps, in bits per dimension: the mean over seeds, each seed, and their"
        " range.",
        "trained",
    ),
    "loss_per_t": GroupFigure(
        results.EVALUATION,
        "times.loss_per_t",
        "The diffusion loss by time t, in bits per dimension per unit of t, and below its difference to the first"
        " model's, with the spread over seeds.",
    ),
    "counterterm": GroupFigure(
        results.INSPECTION,
        "inspected.counterterm",
        "What the counterterm -sigma^2 x_hat leaves of the encoder's motion dx_t/dgamma, over t.",
        "encoder",
    ),
    "encoder_change": GroupFigure(
        results.INSPECTION,
        "inspected.encoder_change",
        "How far the encoder moves an image, and the size of its output y, over t.",
        "encoder",
    ),
    "spectra": GroupFigure(
        results.INSPECTION,
        "inspected.spectra",
        "Power over spatial frequency of test images and of their encodings.",
        "encoder",
    ),
    "depth": GroupFigure(
        results.DEPTH,
        "depths.depth",
        "Finite depth T: by how much each bound exceeds the continuous one, and the best variance ratio over t.",
    ),
}
TABLES = {
    "components": Table("losses.components", "The loss on the test set and its three terms"),
    "seeds": Table("losses.seeds", "Every seed's loss on the test set"),
    "comparisons": Table("losses.comparisons", "Welch's tests across seeds, for each term of the loss"),
    "power": Table("inference.power", "How many seeds it takes to see a difference"),
    "paired": Table(
        "inference.paired", "The same test images under the same noise: trained models compared", results.PER_IMAGE
    ),
    "cost": Table("cost.cost", "What training costs, and the encoder's share of it"),
    "encoder": Table("encoder.encoder", "What the encoder does", results.INSPECTION, "encoder"),
    "endpoints": Table("encoder.endpoints", "The end points of the noise schedule"),
    "depth": Table(
        "depth.depth", "Bounds of finite depth T, by the variance ratio of the generative model", results.DEPTH
    ),
    "fid": Table("fid.fid", "FID", results.FID),
}
OF_THE_STUDY = {
    "statistics": Table("inference.statistics", "Every comparison's statistics"),
    "literature": Table(
        "literature.literature", "The literature, the paper and this study: bits per dimension on the test set"
    ),
}
FIGURE_CAPTIONS = {kind: figure.caption for kind, figure in (OF_A_RUN | OF_A_GROUP).items()}


TABLE_FILES = ("md", "html", "csv", "tex")


def belongs(which: Which, study: Study, run: Run) -> bool:
    """Whether a figure or table of `which` runs shows this one."""
    if which == "trained":
        return run in study.training
    return which == "all" or study.shape(run).encoder != "identity"


def group_files(kind: str, study: Study, dataset: str, schedule: str, folder: Path) -> dict[str, list[Path]]:
    """{model: the files that a group's figure shows}; empty if there is no such group, or no such model in it."""
    figure = OF_A_GROUP[kind]
    group = study.groups().get((dataset, schedule), {})
    return {
        model: [results.run_folder(folder, run) / figure.file for run in (runs if figure.all_seeds else runs[:1])]
        for model, runs in group.items()
        if belongs(figure.which, study, runs[0])
    }


def part_of(kind: str, study: Study) -> Study:
    """The part of the study that a table rests on: a selection's runs, or those on the literature's data sets."""
    if kind in study.selections:
        return study.selected(kind)
    return study.only("cifar10", "imagenet32") if kind == "literature" else study


def table_files(kind: str, study: Study, folder: Path) -> list[Path]:
    """The files of the study's runs that a table reads, beside runs.csv and tests.csv."""
    table = (TABLES | OF_THE_STUDY).get(kind)
    if not table or not table.file:
        return []
    runs = [run for run in study.all_runs if belongs(table.which, study, run)]
    if kind == "fid":
        runs = study.fid_runs() if study.fid.weights != NO_INCEPTION else []
    return [results.run_folder(folder, run) / table.file for run in runs]


def caption(kind: str, study: Study) -> str:
    """A table's caption; a selection's is the study's own."""
    if kind in study.selections:
        return study.selections[kind].title
    return (TABLES | OF_THE_STUDY)[kind].caption


def figure(kind: str, of: str, study: Study, folder: Path, stem: Path) -> None:
    """Draw the figure `kind` of a run (by its path) or of a group (DATASET/SCHEDULE) as stem.svg and stem.png.

    Raises:
        UserError: the study has no such run or group, or a file that the figure shows is missing or damaged.
    """
    if kind in OF_A_RUN:
        _of_run(kind, study.run(of), study, folder, stem)
    else:
        _of_group(kind, of, study, folder, stem)


def _of_run(kind: str, run: Run, study: Study, folder: Path, stem: Path) -> None:
    if not belongs(OF_A_RUN[kind].which, study, run):
        raise UserError(f"{run.path}: {run.model} has no encoder, x_t = x; {kind} shows models that have one")
    file = results.run_folder(folder, run) / OF_A_RUN[kind].file
    title = f"{run.model} on {study.facts(run.dataset).title}, {run.schedule} schedule, seed {run.seed}"
    figure_of_file(kind, file, stem, title)


def figure_of_file(kind: str, file: Path, stem: Path, title: str = "") -> None:
    """Draw a figure of OF_A_RUN from any model's encodings or samples, one of the authors' for instance."""
    _function("figures", OF_A_RUN[kind].draw)(file, stem, title)


def _function(package: str, name: str) -> Callable[..., Any]:
    """A function by its module's and its own name, imported now: some of them need torch, and most do not."""
    module, _, function = name.partition(".")
    return getattr(import_module(f"diffenc.{package}.{module}"), function)


def _of_group(kind: str, of: str, study: Study, folder: Path, stem: Path) -> None:
    groups = ["/".join(key) for key in study.groups()]
    if of not in groups:
        raise UserError(f"{study.name}: has no group {of!r}; it has {', '.join(groups)}")
    dataset, schedule = of.split("/")
    files = group_files(kind, study, dataset, schedule, folder)
    if not files:
        raise UserError(f"{of}: has no model with {OF_A_GROUP[kind].file}; {kind} shows models that have one")
    title = f"{study.facts(dataset).title}, {schedule} schedule"
    draw = _function("figures", OF_A_GROUP[kind].draw)
    if kind == "samples":
        draw({model: one[0] for model, one in files.items()}, stem, title)
    else:
        draw(files, stem, title, study.models)  # a model has one colour in all figures


def table(
    kind: str, study: Study, runs: "DataFrame", tests: "DataFrame", folder: Path, published: Path, stem: Path
) -> None:
    """Write the table `kind`, or a selection of that name, as stem.csv, .md, .html and .tex.

    Raises:
        UserError: a run or a file that the table reads is missing or damaged.
    """
    from diffenc import typeset

    sheet = _sheet(kind, study, runs, tests, folder, published)
    typeset.write(sheet, stem, f"{study.title}. {caption(kind, study)}.")


def _sheet(kind: str, study: Study, runs: "DataFrame", tests: "DataFrame", folder: Path, published: Path) -> "Sheet":
    from diffenc.published import load
    from diffenc.tables import losses, views

    if kind in study.selections:
        return views.sheet(losses.selected(study, runs, tests, load(published), study.selections[kind]))
    make = _function("tables", (TABLES | OF_THE_STUDY)[kind].make)
    if kind == "components":
        return views.sheet(make(study, runs, tests, load(published)))
    if kind in LOSS_TABLES:
        return views.sheet(make(study, runs) if kind == "seeds" else make(study, runs, tests))
    if kind in ("literature", "fid"):
        return make(study, runs, tests, folder, load(published))
    return make(study, runs, tests, folder)
