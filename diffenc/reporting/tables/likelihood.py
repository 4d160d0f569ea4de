"""Table `likelihood`: the ODE's log likelihood beside the bound, and what it is off by."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from diffenc.reporting.tables.common import GROUP, left_out, model_columns, models_of, over_seeds, releases_of
from diffenc.reporting.tables.formatting import Cell, Column, Row, Table, mean_se, number
from diffenc.reporting.tables.notes import said
from diffenc.results.likelihood import Likelihoods, read_alike
from diffenc.results.runs import check_runs
from diffenc.study.stages import LIKELIHOOD
from diffenc.study.study import Run, Study, run_folder

_ERRORS = ("dequantisation_se", "probes_se", "solver")


def likelihood(study: Study, runs: pd.DataFrame, tests: pd.DataFrame, folder: Path) -> Table:
    """A row per model and way of dequantisation: bits per dimension, means over seeds.

    Columns bound, ode, gap and weighted with _se over seeds; mc_se, dequantisation_se and probes_se, standard errors
    of the mean over seeds (nan if unknown or exact), and solver and evaluations, means over seeds.

    Raises:
        UserError: `runs` is not exactly the study's, or a run's likelihood.json is missing, damaged or of other
            settings.
    """
    check_runs(study, runs)
    rows = [row for group in models_of(study, LIKELIHOOD) for row in _rows(*group, folder)]
    columns = [
        *model_columns(study),
        Column("dequantisation", lambda row: row["dequantisation"], "left"),
        Column("bound", _rate("bound")),
        Column("ODE", _rate("ode")),
        Column("gap", _rate("gap")),
        Column("weighted", _rate("weighted")),
        Column("evaluations", lambda row: f"{row['evaluations']:,.0f}"),
        Column("Monte Carlo", _error("mc_se")),
        *(Column(name.removesuffix("_se"), _error(name)) for name in _ERRORS),
    ]
    notes = _notes(rows[0]) + left_out(study, LIKELIHOOD) + releases_of(study, runs, _images(rows))
    return Table(pd.DataFrame(rows), columns, notes, GROUP)


def _rows(dataset: str, schedule: str, models: dict[str, list[Run]], folder: Path) -> Iterator[Row]:
    for model, seeds in models.items():
        found = read_alike(run_folder(folder, run) / LIKELIHOOD for run in seeds)
        for i in range(len(found[0].ways)):
            yield {"dataset": dataset, "schedule": schedule, "model": model, **_of(found, i)}


def _of(found: list[Likelihoods], i: int) -> Row:
    """Of all seeds' i-th way."""
    first, ways = found[0], [one.ways[i] for one in found]
    row: Row = {"dequantisation": ways[0].dequantisation.replace("_", " "), "n": len(found)}
    row |= {name: getattr(first, name) for name in ("images", "draws", "probes", "tolerance", "steps", "precision")}
    row |= over_seeds("bound", [one.bound.mean for one in found])
    for name in ("ode", "gap", "weighted"):
        values = [getattr(way, name) for way in ways]
        row |= over_seeds(name, values) if None not in values else {name: None, f"{name}_se": None}
    row["mc_se"] = _of_mean([one.bound.mc_se for one in found])
    row |= {name: _of_mean([getattr(way, name) for way in ways]) for name in ("dequantisation_se", "probes_se")}
    return row | {name: sum(getattr(way, name) for way in ways) / len(ways) for name in ("solver", "evaluations")}


def _of_mean(errors: list[float | None]) -> float | None:
    """The error of a mean over seeds, of which every one has an independent error."""
    if None in errors:
        return None
    return sum(error**2 for error in errors if error is not None) ** 0.5 / len(errors)


def _rate(name: str) -> Cell:
    def cell(row: Row) -> str:
        if pd.isna(row[name]):
            return "n/a"
        return number(row[name]) if pd.isna(row[f"{name}_se"]) else mean_se(row, name)

    return cell


def _error(name: str) -> Cell:
    return lambda row: "n/a" if pd.isna(row[name]) else number(row[name], 4)


def _images(rows: list[Row]) -> dict[str, str]:
    return {row["dataset"]: f"the first {row['images']:,} test images, {_times(row['draws'])} each" for row in rows}


def _times(draws: int) -> str:
    return f"{draws} {'draw' if draws == 1 else 'draws'} of z_0"


def _notes(row: Row) -> list[str]:
    probes = f"{row['probes']} {'probe' if row['probes'] == 1 else 'probes'}"
    trace = f"Hutchinson's estimate with {probes}" if row["probes"] else "the exact trace"
    solved = f"in {row['steps']:,} even steps" if row["steps"] else f"to a tolerance of {row['tolerance']:g}"
    return said("likelihood", "ode", "gap", "ways", "errors", trace=trace, solved=solved, precision=row["precision"])
