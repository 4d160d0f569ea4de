"""Making a study's figures and tables: each by who draws it, from the files that it shows."""

from collections.abc import Callable
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffenc import data
from diffenc.io.errors import UserError
from diffenc.reporting.targets import belongs, caption, group_files
from diffenc.study.outputs import OF_A_GROUP, OF_A_RUN
from diffenc.study.study import Run, Study, run_folder

if TYPE_CHECKING:
    from pandas import DataFrame


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
    if not belongs(OF_A_RUN[kind], study, run):
        raise UserError(f"{run.path}: {run.model} has no encoder, x_t = x; {kind} shows models that have one")
    file = run_folder(folder, run) / OF_A_RUN[kind].file
    title = f"{run.model} on {study.spec(run.dataset).title}, {run.schedule} schedule, seed {run.seed}"
    figure_of_file(kind, file, stem, title)


def figure_of_file(kind: str, file: Path, stem: Path, title: str = "") -> None:
    """Draw a figure of OF_A_RUN from any model's encodings or samples, one of the authors' for instance."""
    _make("figures", kind, OF_A_RUN[kind].made_by, file=file, stem=stem, title=title)


def _make(package: str, kind: str, made_by: str | None, **given: Any) -> Any:
    """Call who makes it with what it asks for, by the names of its parameters.

    Its module is imported now: some need torch, and most do not.
    """
    module, _, function = (made_by or f"{kind}.{kind}").partition(".")
    maker: Callable[..., Any] = getattr(import_module(f"diffenc.reporting.{package}.{module}"), function)
    return maker(**{name: given[name] for name in signature(maker).parameters if name in given})


def _of_group(kind: str, of: str, study: Study, folder: Path, stem: Path) -> None:
    groups = ["/".join(key) for key in study.groups()]
    if of not in groups:
        raise UserError(f"{study.name}: has no group {of!r}; it has {', '.join(groups)}")
    dataset, schedule = of.split("/")
    files = group_files(kind, study, dataset, schedule, folder)
    if not files:
        raise UserError(f"{of}: has no model with {OF_A_GROUP[kind].file}; {kind} shows models that have one")
    title = f"{study.spec(dataset).title}, {schedule} schedule"
    order = study.model_names  # a model has one colour in all figures
    _make("figures", kind, OF_A_GROUP[kind].made_by, files=files, stem=stem, title=title, order=order)


def table(
    kind: str,
    study: Study,
    runs: "DataFrame",
    tests: "DataFrame",
    folder: Path,
    prepared: Path,
    published: Path,
    stem: Path,
) -> None:
    """Write the table `kind`, or a selection of that name, as stem.csv, .json, .md, .html and .tex.

    Args:
        kind: of TABLES_BY_NAME, or the name of a selection.
        study: whose it is, or that part of it that the table is about.
        runs: the part's runs.csv.
        tests: its tests.csv.
        folder: results/STUDY.
        prepared: results/data.
        published: the file of published numbers.
        stem: of the files, without suffix.

    Raises:
        UserError: a run or a file that the table reads is missing or damaged.
    """
    from diffenc.reporting.tables import components, formatting, loss_columns
    from diffenc.study.published import load

    given = {"study": study, "runs": runs, "tests": tests, "folder": folder, "published": load(published)}
    given["pixels"] = {name: data.pixel_counts(data.place(folder, prepared, name)) for name in study.datasets}
    if kind in study.selections:
        parts = (given[name] for name in ("runs", "tests", "published", "pixels"))
        made = components.selected(study, *parts, study.selections[kind])
    else:
        made = _make("tables", kind, None, **given)
    # losses are a frame whose columns are known, any other table comes with its columns
    whole = made if isinstance(made, formatting.Table) else loss_columns.table(made)
    formatting.write(whole, stem, f"{study.title}. {caption(kind, study)}.")
