"""What a study shows: its figures and tables, the files that each is made of, and who draws it."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffenc.io.errors import UserError
from diffenc.reporting.targets import belongs, caption, group_files
from diffenc.study.outputs import LOSS_TABLES, OF_A_GROUP, OF_A_RUN, OF_THE_STUDY, TABLES
from diffenc.study.study import Run, Study, run_folder

if TYPE_CHECKING:
    from pandas import DataFrame

    from diffenc.reporting.tables.formatting import Sheet


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
    file = run_folder(folder, run) / OF_A_RUN[kind].file
    title = f"{run.model} on {study.facts(run.dataset).title}, {run.schedule} schedule, seed {run.seed}"
    figure_of_file(kind, file, stem, title)


def figure_of_file(kind: str, file: Path, stem: Path, title: str = "") -> None:
    """Draw a figure of OF_A_RUN from any model's encodings or samples, one of the authors' for instance."""
    _function("figures", OF_A_RUN[kind].draw)(file, stem, title)


def _function(package: str, name: str) -> Callable[..., Any]:
    """A function by its module's and its own name, imported now: some of them need torch, and most do not."""
    module, _, function = name.partition(".")
    return getattr(import_module(f"diffenc.reporting.{package}.{module}"), function)


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
        draw(files, stem, title, study.model_names)  # a model has one colour in all figures


def table(
    kind: str, study: Study, runs: "DataFrame", tests: "DataFrame", folder: Path, published: Path, stem: Path
) -> None:
    """Write the table `kind`, or a selection of that name, as stem.csv, .md, .html and .tex.

    Raises:
        UserError: a run or a file that the table reads is missing or damaged.
    """
    from diffenc.reporting.tables import formatting

    sheet = _sheet(kind, study, runs, tests, folder, published)
    formatting.write(sheet, stem, f"{study.title}. {caption(kind, study)}.")


def _sheet(kind: str, study: Study, runs: "DataFrame", tests: "DataFrame", folder: Path, published: Path) -> "Sheet":
    from diffenc.reporting.tables import components, loss_columns
    from diffenc.study.published import load

    if kind in study.selections:
        return loss_columns.sheet(components.selected(study, runs, tests, load(published), study.selections[kind]))
    make = _function("tables", (TABLES | OF_THE_STUDY)[kind].make)
    if kind == "components":
        return loss_columns.sheet(make(study, runs, tests, load(published)))
    if kind in LOSS_TABLES:
        return loss_columns.sheet(make(study, runs) if kind == "seeds" else make(study, runs, tests))
    if kind in ("literature", "fid"):
        return make(study, runs, tests, folder, load(published))
    return make(study, runs, tests, folder)
