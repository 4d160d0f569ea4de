"""What several tables share: rows and columns of comparisons, groups of runs, where numbers come from."""

from collections.abc import Callable, Iterable, Iterator

import pandas as pd

from diffenc.reporting.tables.formatting import Cell, Column, Row, interval, p_value
from diffenc.reporting.tables.notes import said
from diffenc.results.runs import PROVENANCE, check_runs
from diffenc.statistics.welch import summarise
from diffenc.study.study import Comparison, Run, Study
from diffenc.zoo.configs import DEQUANTISED

GROUP = 2  # the first two columns, data set and schedule
CLAIM = ["dataset", "schedule", "lower", "than"]
VERSUS = "p_less_than_"
PUBLISHED_VERSUS = f"published_{VERSUS}"
TITLES, WEIGHTED = "titles", "weighted"  # of the data sets, and `weighted`, in a frame's attrs
UNCOUNTED = "uncounted"  # there, the data sets whose manifests do not count pixels
HERE, BY_AUTHORS = "here", "by the authors"


def sources(study: Study, runs: pd.DataFrame) -> list[str]:
    """Where each data set's numbers come from."""
    return weighted(study) + [
        f"{study.spec(row['dataset']).title}: {row['release']}; {row['images']:,} test images,"
        f" {measured(row['passes'], row['protocol'])}."
        for row in runs.drop_duplicates(["dataset", *PROVENANCE]).to_dict("records")
    ]


def weighted(study: Study) -> list[str]:
    """Which models were trained under a weighting: what is measured of them is the bound all the same; and which
    bound dequantised pixels."""
    found = {run[:3]: str(one.objective) for run, one in study.training.items() if one.objective}
    models = "; ".join(f"{model}, {schedule} schedule ({how})" for (_, model, schedule), how in found.items())
    logits = ", ".join(dict.fromkeys(run.model for run in study.all_runs if study.shape(run).kind == DEQUANTISED))
    return said("losses", found and "weighted", logits and "dequantised", models=models, logits=logits)


def measured(passes: int, protocol: str) -> str:
    """How test images were evaluated, such as "10 passes, protocol full"; noise that is given goes over them once."""
    if protocol == "given":
        return "under the noise given with the data set"
    return f"{passes} {'pass' if passes == 1 else 'passes'}, protocol {protocol}"


def releases_of(study: Study, runs: pd.DataFrame, images: dict[str, str]) -> list[str]:
    """For each data set its release, and what was looked at."""
    releases = runs.groupby("dataset", sort=False)["release"].first()
    return weighted(study) + [
        f"{study.spec(dataset).title}: {'; '.join([release, *filter(None, [images.get(dataset)])])}."
        for dataset, release in releases.items()
    ]


def samples_of(study: Study, runs: pd.DataFrame) -> Iterator[tuple[Comparison, list[float], list[float]]]:
    """Every comparison with both models' totals, a value a seed, in the study's order."""
    totals = runs[runs["term"] == "total"].set_index(["dataset", "model", "schedule", "seed"])["bpd"]
    for comparison in study.comparisons:
        group = study.groups()[comparison.dataset, comparison.schedule]
        yield comparison, *([float(totals[run]) for run in group[m]] for m in (comparison.lower, comparison.than))


def claim_columns(study: Study) -> list[Column]:
    """Columns that say what is claimed: data set, schedule, `lower < than`."""
    return [
        Column("data set", lambda row: study.spec(row["dataset"]).title, "left"),
        Column("schedule", lambda row: row["schedule"], "left"),
        Column("claim", lambda row: f"{row['lower']} < {row['than']}", "left"),
    ]


def model_columns(study: Study) -> list[Column]:
    """Columns that say which runs a row is about: data set, schedule, model."""
    return [
        Column("data set", lambda row: study.spec(row["dataset"]).title, "left"),
        Column("schedule", lambda row: row["schedule"], "left"),
        Column("model", lambda row: row["model"], "left"),
    ]


def models_of(study: Study, file: str | None = None) -> Iterator[tuple[str, str, dict[str, list[Run]]]]:
    """(data set, schedule, {model: its runs}), each data set in one piece; of those that `file` can be made of."""
    for dataset in study.datasets:
        for (_, schedule), models in study.groups(dataset).items():
            found = {model: runs for model, runs in models.items() if study.can_be_measured(runs[0], file)}
            if found:
                yield dataset, schedule, found


def left_out(study: Study, file: str) -> list[str]:
    """Which models `file` cannot be made of."""
    models = dict.fromkeys(run.model for run in study.all_runs if not study.can_be_measured(run, file))
    return said("models", models and "left_out", models=", ".join(models))


def p_cell(column: str) -> Cell:
    """A p-value, unless nothing varies: the difference is then known, and a p-value would be for show."""
    return lambda row: "exact" if row["ci95_low"] == row["ci95_high"] else p_value(row[column])


def over_seeds(name: str, values: list[float]) -> Row:
    """Mean over seeds, and its standard error as NAME_se."""
    summary = summarise(values)
    return {name: summary.mean, f"{name}_se": summary.se}


def claim_of(comparison: Comparison) -> Row:
    """The columns CLAIM of a comparison."""
    return {name: getattr(comparison, name) for name in CLAIM}


def sizes(row: Row) -> str:
    """How many seeds of each."""
    return f"{row['n_lower']}, {row['n_than']}"


def difference_cell(row: Row) -> str:
    """Difference and its 95 % interval."""
    return interval(row, "difference", "ci95_low", "ci95_high")


def titled(frame: pd.DataFrame, study: Study) -> pd.DataFrame:
    """With what else is read: the data sets' titles, and notes on how models were trained."""
    frame.attrs[WEIGHTED] = weighted(study)
    frame.attrs[TITLES] = {dataset: study.spec(dataset).title for dataset in study.datasets}
    return frame


def groups_of(study: Study, runs: pd.DataFrame) -> Iterator[tuple[Row, pd.DataFrame]]:
    """(dataset, schedule, model) with its rows of `runs`; in the study's order, each data set in one piece."""
    check_runs(study, runs)
    keys = dict.fromkeys((run.dataset, run.schedule, run.model) for run in study.all_runs)
    for key in sorted(keys, key=_first_seen(keys)):
        names = dict(zip(("dataset", "schedule", "model"), key, strict=True))
        yield names, runs[(runs[list(names)] == list(key)).all(axis=1)]


def _first_seen(keys: Iterable[tuple[str, ...]]) -> Callable[[tuple[str, ...]], tuple[int, int]]:
    """A sort key: the place of a key's data set, then of its schedule."""
    datasets = list(dict.fromkeys(key[0] for key in keys))
    schedules = list(dict.fromkeys(key[:2] for key in keys))
    return lambda key: (datasets.index(key[0]), schedules.index(key[:2]))


def first_of(group: pd.DataFrame, *columns: str) -> Row:
    """Columns that are the same in all rows of a group."""
    return {column: group[column].iloc[0] for column in columns}
