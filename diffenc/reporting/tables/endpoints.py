"""Table `endpoints`: the end points of the noise schedule."""

import math
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from diffenc.reporting.tables.common import GROUP, model_columns, models_of, over_seeds, releases_of
from diffenc.reporting.tables.encoder import DIGITS
from diffenc.reporting.tables.formatting import Cell, Column, Row, Table, mean_se, number
from diffenc.reporting.tables.notes import said
from diffenc.results.runs import check_runs
from diffenc.study.study import Run, Study
from diffenc.zoo.configs import FIXED_ENDS

_ENDS = ("gamma_0", "gamma_1")


def endpoints(study: Study, runs: pd.DataFrame, tests: pd.DataFrame, folder: Path) -> Table:
    """Where gamma = -log SNR starts and ends: per model over seeds if learned, a row per group if fixed.

    snr_0 and snr_1 are exp(-gamma) of the mean end points.

    Raises:
        UserError: `runs` is not exactly the study's.
    """
    check_runs(study, runs)
    ends = runs[runs["term"] == "total"].set_index(["dataset", "model", "schedule", "seed"])[list(_ENDS)]
    frame = pd.DataFrame([row for group in models_of(study) for row in _ends(ends, *group)])
    columns = [*model_columns(study), Column("n", lambda row: str(row["n"]))]
    for end, header in zip(_ENDS, ("γ₀", "γ₁"), strict=True):
        columns += [Column(header, _end(end)), Column(f"{header}, lowest to highest", _range(end))]
    columns.append(Column("SNR at t = 0 to t = 1", _snr))
    return Table(frame, columns, _endpoint_notes(study, runs), GROUP)


def _ends(ends: pd.DataFrame, dataset: str, schedule: str, models: dict[str, list[Run]]) -> Iterator[Row]:
    """A row per model; one for all of them where the schedule is fixed, and the same."""
    values = {model: ends.loc[[tuple(run) for run in seeds]] for model, seeds in models.items()}
    if schedule in FIXED_ENDS and len(models) > 1:
        together = pd.concat(values.values())
        if len(together.drop_duplicates()) == 1:
            values = {f"all {len(models)} models": together}
    for model, found in values.items():
        row = {"dataset": dataset, "schedule": schedule, "model": model, "n": len(found)}
        for end in _ENDS:
            row |= over_seeds(end, found[end]) | {
                f"{end}_lowest": found[end].min(),
                f"{end}_highest": found[end].max(),
            }
        yield row | {f"snr_{i}": math.exp(-row[end]) for i, end in enumerate(_ENDS)}


def _end(name: str) -> Cell:
    return lambda row: f"{number(row[name], 2)} (fixed)" if row["schedule"] in FIXED_ENDS else mean_se(row, name)


def _range(name: str) -> Cell:
    def cell(row: Row) -> str:
        low, high = (number(row[f"{name}_{end}"]) for end in ("lowest", "highest"))
        return "fixed" if row["schedule"] in FIXED_ENDS else f"{low} to {high}"

    return cell


def _snr(row: Row) -> str:
    return f"{_rounded(row['snr_0'])} to {_rounded(row['snr_1'])}"


def _rounded(value: float) -> str:
    """Three significant digits, without an exponent where that is short."""
    if value >= 100:
        return f"{float(f'{value:.{DIGITS}g}'):,.0f}"
    return f"{value:.{DIGITS}g}"


def _endpoint_notes(study: Study, runs: pd.DataFrame) -> list[str]:
    learned = {schedule for _, schedule, _ in models_of(study)} - {*FIXED_ENDS}
    return said("endpoints", "gamma", not learned and "none_learned") + releases_of(study, runs, {})
