"""Table `schedules`: the variance of the diffusion term under schedules with the same ends."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from diffenc.reporting.tables.common import GROUP, model_columns, models_of, over_seeds, releases_of
from diffenc.reporting.tables.formatting import Cell, Column, Row, Table, mean_se
from diffenc.reporting.tables.notes import said
from diffenc.results import noise_levels
from diffenc.results.runs import check_runs
from diffenc.study.stages import NOISE_LEVELS
from diffenc.study.study import Run, Study, run_folder

_NAMES = {
    noise_levels.OWN: "its own schedule",
    **{name: name for name in noise_levels.SCHEDULES},
    noise_levels.LEAST: "the least",
}


def schedules(study: Study, runs: pd.DataFrame, tests: pd.DataFrame, folder: Path) -> Table:
    """A row per model: the variance of one image's diffusion term at one time, (bits per dimension)^2, over seeds.

    Raises:
        UserError: `runs` is not exactly the study's, or a run's noise_levels.npz is missing or damaged.
    """
    check_runs(study, runs)
    frame = pd.DataFrame([row for group in models_of(study) for row in _rows(*group, folder)])
    columns = [*model_columns(study), Column("n", lambda row: str(row["n"]))]
    columns += [Column(header, _variance(name)) for name, header in _NAMES.items()]
    images = {dataset: f"{int(part['draws'].max()):,} draws" for dataset, part in frame.groupby("dataset")}
    return Table(frame, columns, said("schedules", "variance", "least") + releases_of(study, runs, images), GROUP)


def _rows(dataset: str, schedule: str, models: dict[str, list[Run]], folder: Path) -> Iterator[Row]:
    for model, seeds in models.items():
        found = [noise_levels.read(run_folder(folder, run) / NOISE_LEVELS) for run in seeds]
        row = {"dataset": dataset, "schedule": schedule, "model": model, "n": len(seeds)}
        row["draws"] = int(found[0]["count"].sum())
        each = [noise_levels.variances(arrays) for arrays in found]
        for name in _NAMES:
            row |= over_seeds(name, [one[name] for one in each])
        yield row


def _variance(name: str) -> Cell:
    return lambda row: mean_se(row, name, 2)
