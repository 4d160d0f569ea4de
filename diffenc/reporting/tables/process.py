"""Table `process`: the noise range of each model, what one draw varies by, and what differences are made of."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from diffenc.reporting.tables.common import GROUP, model_columns, models_of, over_seeds, releases_of
from diffenc.reporting.tables.formatting import Column, Row, Table, mean_se, number
from diffenc.reporting.tables.notes import said
from diffenc.results import process as measured
from diffenc.results.process import Arrays
from diffenc.results.runs import check_runs
from diffenc.study.stages import PROCESS
from diffenc.study.study import Run, Study, run_folder

PARTS = measured.Difference._fields


def process(study: Study, runs: pd.DataFrame, tests: pd.DataFrame, folder: Path) -> Table:
    """A row per model; bits per dimension, means over seeds, with _se.

    Columns snr_first, snr_last, weight_least, weight_most; total, diffusion, own; one_draw, and se_independent and
    se_spread of a pass over `images`; and the difference to the first model of the data set and schedule that bounds
    the same, pixels or logits: whole, noise_range, own_error and prediction, over the seeds that both have.

    Raises:
        UserError: `runs` is not exactly the study's, or a run's process.npz is missing or damaged.
    """
    check_runs(study, runs)
    frame = pd.DataFrame([row for group in models_of(study) for row in _rows(study, *group, folder)])
    columns = [
        *model_columns(study),
        Column("process", lambda row: row["process"], "left"),
        Column("log SNR", lambda row: f"{number(row['snr_first'], 1)} to {number(row['snr_last'], 1)}"),
        Column("weight", lambda row: f"{number(row['weight_least'], 2)} to {number(row['weight_most'], 2)}"),
        Column("bound", lambda row: mean_se(row, "total")),
        Column("own error", lambda row: mean_se(row, "own")),
        Column("one draw", lambda row: number(row["one_draw"], 2)),
        Column("SE: own times", lambda row: number(row["se_independent"], 4)),
        Column("spread times", lambda row: number(row["se_spread"], 4)),
        Column("less the first", lambda row: _less(row, "whole")),
        *(Column(f"of it {name.replace('_', ' ')}", lambda row, name=name: _less(row, name)) for name in PARTS[1:]),
    ]
    matrices = "; ".join(frame["matrices"][frame["matrices"] != ""])
    names = ("range", "own", "noise", "difference", matrices and "learned")
    given = {"images": f"{frame['images'].max():,}", "matrices": matrices}
    notes = said("process", *names, **given)
    return Table(frame, columns, notes + releases_of(study, runs, {}), GROUP)


def _rows(study: Study, dataset: str, schedule: str, models: dict[str, list[Run]], folder: Path) -> Iterator[Row]:
    firsts: dict[str, dict[int, Arrays]] = {}  # of pixels, of logits: their signals are not each other's
    for model, seeds in models.items():
        found = {run.seed: measured.read(run_folder(folder, run) / PROCESS) for run in seeds}
        shape = study.shape(seeds[0])
        name = f"{shape.process}, K = {shape.variables}, {shape.time}" if shape.process else "vp"
        row = {"dataset": dataset, "schedule": schedule, "model": model, "process": name, "n": len(found)}
        learned = bool(shape.process) and shape.process.startswith("learned")
        row["matrices"] = _matrices(model, found[seeds[0].seed]) if learned else ""
        base = firsts.setdefault(shape.bound, found)
        yield row | _of(list(found.values())) | _differences(found, base, found is base)


def _of(seeds: list[Arrays]) -> Row:
    ends = np.mean([measured.range_of(one) for one in seeds], axis=0)
    weights = [one["weights"] for one in seeds]
    row = {"snr_first": -ends[0], "snr_last": -ends[1], "images": seeds[0]["t"].shape[1]}
    row |= {"weight_least": float(np.min(weights)), "weight_most": float(np.max(weights))}
    row |= over_seeds("total", [float(measured.total(one).mean()) for one in seeds])
    row |= {name: value for term in ("diffusion", "own") for name, value in _mean(term, seeds).items()}
    for name, of in (
        ("one_draw", measured.of_one_draw),
        ("se_independent", measured.of_independent_times),
        ("se_spread", measured.of_spread_times),
    ):
        row[name] = float(np.mean([of(one) for one in seeds]))
    return row


def _matrices(model: str, arrays: Arrays) -> str:
    """Q above its diagonal, and D: its diagonal, or all of it."""
    Q, D = arrays["Q"], arrays["D"]
    above = ", ".join(f"Q_{i}{j} = {number(Q[i, j], 3)}" for i, j in zip(*np.triu_indices(len(Q), 1), strict=True))
    plain = np.array_equal(D, np.diag(np.diag(D)))
    rows = [np.diag(D)] if plain else D
    values = "; ".join(", ".join(number(one, 3) for one in row) for row in rows)
    return f"{model}: {above + ', ' if above else ''}D = {'diag' if plain else ''}({values})"


def _mean(term: str, seeds: list[Arrays]) -> Row:
    return over_seeds(term, [float(one[term].mean()) for one in seeds])


def _differences(found: dict[int, Arrays], base: dict[int, Arrays], same: bool) -> Row:
    shared = [seed for seed in found if seed in base]
    if same or not shared:
        return {"first": same}
    each = [measured.difference(found[seed], base[seed]) for seed in shared]
    parts = {name: over_seeds(name, [getattr(one, name) for one in each]) for name in PARTS}
    return {key: value for part in parts.values() for key, value in part.items()} | {"first": False}


def _less(row: Row, name: str) -> str:
    if pd.isna(row.get(name, np.nan)):
        return "first" if row["first"] else "no seed in common"
    return mean_se(row, name)
