"""Which tables, figures and measurements a study asks for, and the files that each is made of."""

from pathlib import Path
from typing import Any

from diffenc.study.outputs import (
    OF_A_GROUP,
    OF_A_RUN,
    OF_THE_STUDY,
    TABLES,
    TABLES_BY_NAME,
    GroupFigure,
    RunFigure,
    Table,
)
from diffenc.study.published import SINCE
from diffenc.study.settings import NO_INCEPTION
from diffenc.study.stages import FID, FILES, MEASUREMENTS, as_options
from diffenc.study.study import Run, Study, run_folder

# the data sets of tables that have published numbers of others
PUBLISHED_ON = {"literature": ("cifar10", "imagenet32"), "since": tuple(SINCE)}


def tables_of(study: Study, dataset: str) -> list[str]:
    """The tables of one data set: those of each kind, then the study's selections."""
    part = study.only(dataset)
    kinds = [kind for kind in study.tables if kind in TABLES and _has_rows(kind, part)]
    chosen = [name for name, selection in study.selections.items() if selection.dataset == dataset]
    return [f"tables/{dataset}/{name}" for name in [*kinds, *chosen]]


def tables_of_all(study: Study) -> list[str]:
    """The tables that go over all data sets."""
    return [f"tables/{kind}" for kind in study.tables if kind in OF_THE_STUDY and _has_rows(kind, study)]


def _has_rows(kind: str, part: Study) -> bool:
    table = TABLES_BY_NAME[kind]
    if table.of_comparisons:
        return bool(part.comparisons)
    if kind == "fid":
        return bool(part.fid_runs())
    return any(belongs(table, part, run) for run in part.all_runs)


def figures_of(study: Study, dataset: str) -> list[str]:
    """The figures of one data set: of the first seed of each model, then of groups of models."""
    of_runs = [
        f"figures/{kind}/{runs[0].path}"
        for kind, figure in OF_A_RUN.items()
        if (figure.with_ or kind) in study.figures
        for group in study.groups(dataset).values()
        for runs in group.values()
        if belongs(figure, study, runs[0])
    ]
    of_groups = [
        f"figures/{kind}/{dataset}/{schedule}"
        for kind in OF_A_GROUP
        if kind in study.figures
        for _, schedule in study.groups(dataset)
        if group_files(kind, study, dataset, schedule, Path())
    ]
    return of_runs + of_groups


def measurements(study: Study, run: Run) -> list[str]:
    """The commands of FILES that the study wants of a run: evaluation, and what its tables and figures show."""
    shown = files_shown(study)
    folder = run_folder(Path(), run)
    return [command for command, file in FILES.items() if command == "evaluate" or folder / file in shown]


def files_shown(study: Study) -> set[Path]:
    """The runs' files that the study's tables and figures are made of, below the study's folder."""
    found = {file for kind in study.tables for file in table_files(kind, study, Path())}
    for (dataset, schedule), models in study.groups().items():
        for kind in OF_A_GROUP.keys() & set(study.figures):
            for files in group_files(kind, study, dataset, schedule, Path()).values():
                found.update(files)
        firsts = [runs[0] for runs in models.values()]
        for kind, figure in OF_A_RUN.items():
            if (figure.with_ or kind) in study.figures:
                found.update(run_folder(Path(), run) / figure.file for run in firsts if belongs(figure, study, run))
    return found


def options_of(command: str, study: Study, dataset: str) -> str:
    """How a command of FILES measures the study's runs on a data set, as command line options."""
    settings = {"evaluate": study.evaluation_of(dataset), "sample": study.samples}
    settings |= {name: getattr(study, one.key) for name, one in MEASUREMENTS.items() if one.key}
    return as_options(settings[command]) if command in settings else ""


def belongs(output: Table | RunFigure | GroupFigure, study: Study, run: Run) -> bool:
    """Whether a figure or table shows this run: it is of those that it is about, and can be measured."""
    if output.which == "trained":
        return run in study.training
    if output.which == "encoder":
        return study.shape(run).encoder != "identity"
    return study.can_be_measured(run, output.file)


def group_files(kind: str, study: Study, dataset: str, schedule: str, folder: Path) -> dict[str, list[Path]]:
    """{model: the files that a group's figure shows}; empty if there is no such group, or no such model in it."""
    figure = OF_A_GROUP[kind]
    group = study.groups().get((dataset, schedule), {})
    return {
        model: [run_folder(folder, run) / figure.file for run in (runs if figure.all_seeds else runs[:1])]
        for model, runs in group.items()
        if belongs(figure, study, runs[0])
    }


def part_of(kind: str, study: Study) -> Study:
    """The part of the study that a table rests on: a selection's runs, or those on data sets of published numbers."""
    if kind in study.selections:
        return study.selected(kind)
    return study.only(*PUBLISHED_ON[kind]) if kind in PUBLISHED_ON else study


def table_files(kind: str, study: Study, folder: Path) -> list[Path]:
    """The files of the study's runs that a table reads, beside runs.csv and tests.csv."""
    table = TABLES_BY_NAME.get(kind)
    if not table or not table.file or (table.file == FID and not study.fid):
        return []
    runs = [run for run in study.all_runs if belongs(table, study, run)]
    if table.file == FID:
        runs = study.fid_runs() if study.fid.weights != NO_INCEPTION else []
    return [run_folder(folder, run) / table.file for run in runs]


def depends_on(kind: str, study: Study) -> dict[str, Any] | None:
    """The study's settings that a table shows beside its runs: those of FID, or the margin."""
    if kind == "equivalence":
        return {"margin": study.margin}
    return study.fid.model_dump() if study.fid and TABLES_BY_NAME[kind].file == FID else None


def caption(kind: str, study: Study) -> str:
    """A table's caption; a selection's is the study's own."""
    if kind in study.selections:
        return study.selections[kind].title
    return TABLES_BY_NAME[kind].caption
