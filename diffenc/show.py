"""What a study shows: its figures and tables, the files that each is made of, and who draws it."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from diffenc import results
from diffenc.catalog import DATASETS
from diffenc.errors import UserError
from diffenc.study import Run, Study
from diffenc.zoo import MODELS

if TYPE_CHECKING:
    from pandas import DataFrame


class RunFigure(NamedTuple):
    """A figure of one run: the study's name for it, and the file of the run that it shows."""

    asked_for: str
    file: str


class GroupFigure(NamedTuple):
    """A figure that compares the models of one data set and schedule."""

    file: str
    all_seeds: bool


OF_A_RUN = {
    "heatmaps": RunFigure("heatmaps", results.ENCODINGS),
    "heatmaps_full": RunFigure("heatmaps", results.ENCODINGS),
    "encodings": RunFigure("encodings", results.ENCODINGS),
}
OF_A_GROUP = {
    "samples": GroupFigure(results.SAMPLES, all_seeds=False),
    "curves": GroupFigure(results.HISTORY, all_seeds=True),
    "loss_per_t": GroupFigure(results.EVALUATION, all_seeds=True),
}
TABLE_CAPTIONS = {
    "components": "The loss on the test set and its three terms",
    "seeds": "Every seed's loss on the test set",
    "comparisons": "Welch's tests across seeds, for each term of the loss",
}
FIGURE_CAPTIONS = {
    "heatmaps": "How the encoding changes with time: (x_t - x_s) / (t - s) for s = t - 0.1, summed over channels,"
    " beside the original image. All maps share one scale.",
    "heatmaps_full": "How the encoding changes with time, at every t from 0.1 to 1.0.",
    "encodings": "The encoder's mean x_t of test images, from t = 0 (the image) to t = 1.",
    "samples": "Ancestral samples of each model, drawn with the same noise.",
    "curves": "Training loss and its terms over the steps, in bits per dimension: the mean over seeds, each seed,"
    " and their range.",
    "loss_per_t": "The diffusion loss by time t, in bits per dimension per unit of t, and below its difference to"
    " the first model's, with the spread over seeds.",
}


def has_encoder(model: str) -> bool:
    """Whether its encodings differ from the images."""
    return MODELS[model].encoder != "identity"


def group_files(kind: str, group: dict[str, list[Run]], folder: Path) -> dict[str, list[Path]]:
    """{model: the files that a group's figure shows}."""
    name, all_seeds = OF_A_GROUP[kind]
    return {
        model: [results.run_folder(folder, run) / name for run in (runs if all_seeds else runs[:1])]
        for model, runs in group.items()
    }


def figure(kind: str, of: str, study: Study, folder: Path, stem: Path) -> None:
    """Draw the figure `kind` of a run (by its path) or of a group (DATASET/SCHEDULE) as stem.svg and stem.png.

    Raises:
        UserError: the study has no such run or group, or a file that the figure shows is missing or damaged.
    """
    if kind in OF_A_RUN:
        _of_run(kind, study.run(of), folder, stem)
    else:
        _of_group(kind, of, study, folder, stem)


def _of_run(kind: str, run: Run, folder: Path, stem: Path) -> None:
    if not has_encoder(run.model):
        raise UserError(f"{run.path}: {run.model} has no encoder, x_t = x; {kind} shows models that have one")
    file = results.run_folder(folder, run) / OF_A_RUN[kind].file
    title = f"{run.model} on {DATASETS[run.dataset].title}, {run.schedule} schedule, seed {run.seed}"
    figure_of_encodings(kind, file, stem, title)


def figure_of_encodings(kind: str, file: Path, stem: Path, title: str = "") -> None:
    """Draw a figure of OF_A_RUN from any model's encodings, one of the authors' for instance."""
    from diffenc import figures

    if kind == "encodings":
        figures.encodings(file, stem, title)
    elif kind == "heatmaps":
        figures.heatmap(file, stem, title)
    else:
        figures.heatmap(file, stem, title, figures.ALL_COLUMNS)


def _of_group(kind: str, of: str, study: Study, folder: Path, stem: Path) -> None:
    from diffenc import figures

    groups = {"/".join(key): group for key, group in study.groups().items()}
    if of not in groups:
        raise UserError(f"{study.name}: has no group {of!r}; it has {', '.join(groups)}")
    dataset, schedule = of.split("/")
    files = group_files(kind, groups[of], folder)
    title = f"{DATASETS[dataset].title}, {schedule} schedule"
    if kind == "samples":
        figures.samples({model: one[0] for model, one in files.items()}, stem, title)
    elif kind == "curves":
        figures.curves(files, stem, title, study.models)  # a model has one colour in all figures
    else:
        figures.loss_per_t(files, stem, title, study.models)  # a model has one colour in all figures


def table(kind: str, study: Study, runs: "DataFrame", tests: "DataFrame", stem: Path) -> None:
    """Write the table `kind` as stem.csv, stem.md and stem.tex. Raises UserError if a run is missing."""
    from diffenc import tables, typeset

    if kind == "components":
        frame = tables.components(study, runs, tests)
    elif kind == "seeds":
        frame = tables.seeds(study, runs)
    else:
        frame = tables.comparisons(study, runs, tests)
    typeset.write(tables.sheet(frame), stem, f"{study.title}. {TABLE_CAPTIONS[kind]}.")
