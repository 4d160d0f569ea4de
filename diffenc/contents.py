"""Which tables and figures a study has, by their place below results/STUDY, without a suffix."""

from pathlib import Path

from diffenc import show
from diffenc.study import Study

# they are about the study's comparisons, and there may be none
_OF_COMPARISONS = ("comparisons", "power", "paired", "statistics")


def tables_of(study: Study, dataset: str) -> list[str]:
    """The tables of one data set: those of each kind, then the study's selections."""
    part = study.only(dataset)
    kinds = [kind for kind in study.tables if kind in show.TABLES and _has_rows(kind, part)]
    chosen = [name for name, selection in study.selections.items() if selection.dataset == dataset]
    return [f"tables/{dataset}/{name}" for name in [*kinds, *chosen]]


def tables_of_all(study: Study) -> list[str]:
    """The tables that go over all data sets."""
    return [f"tables/{kind}" for kind in study.tables if kind in show.OF_THE_STUDY and _has_rows(kind, study)]


def _has_rows(kind: str, part: Study) -> bool:
    if kind in _OF_COMPARISONS:
        return bool(part.comparisons)
    if kind == "fid":
        return bool(part.fid_runs())
    table = (show.TABLES | show.OF_THE_STUDY)[kind]
    return any(show.belongs(table.which, part, run) for run in part.all_runs)


def figures_of(study: Study, dataset: str) -> list[str]:
    """The figures of one data set: of the first seed of each model, then of groups of models."""
    of_runs = [
        f"figures/{kind}/{runs[0].path}"
        for kind, figure in show.OF_A_RUN.items()
        if figure.asked_for in study.figures
        for group in study.groups(dataset).values()
        for runs in group.values()
        if show.belongs(figure.which, study, runs[0])
    ]
    of_groups = [
        f"figures/{kind}/{dataset}/{schedule}"
        for kind in show.OF_A_GROUP
        if kind in study.figures
        for _, schedule in study.groups(dataset)
        if show.group_files(kind, study, dataset, schedule, Path())
    ]
    return of_runs + of_groups
