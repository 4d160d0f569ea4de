"""Table `by_seed`: models that were trained with the same seeds, paired by them; and new trainings on new images."""

import math
from pathlib import Path

import numpy as np
import pandas as pd

from diffenc.reporting.tables.common import CLAIM, GROUP, claim_columns, claim_of, sources
from diffenc.reporting.tables.formatting import Cell, Column, Row, Table, interval, number, p_value
from diffenc.reporting.tables.notes import said
from diffenc.results.arrays import check_noise, read_totals
from diffenc.results.runs import check_runs
from diffenc.statistics.by_seed import compare_seeds
from diffenc.statistics.crossed import crossed
from diffenc.study.stages import PER_IMAGE
from diffenc.study.study import Comparison, Study, run_folder

_PAIRED = [
    *("n", "difference", "ci95_low", "ci95_high", "p_less", "p_flip", "smallest", "correlation", "worth"),
    *("crossed_low", "crossed_high", "se_seeds", "se_images", "se_noise", "se_both"),
]
NONE = "fewer than two seeds in common"


def by_seed(study: Study, runs: pd.DataFrame, tests: pd.DataFrame, folder: Path) -> Table:
    """For each comparison the differences of its seeds, and one interval for both sources of chance.

    crossed_low and crossed_high: 95 %, of the difference of new trainings on new images under new noise; se_seeds,
    se_images (noise and all), se_noise and se_both are square roots of its variance's parts. All missing where the
    two models have fewer than two seeds in common.

    Raises:
        UserError: `runs` is not exactly the study's, a run's evaluation.npz is missing or damaged, or those of a
            comparison did not draw the same noise.
    """
    check_runs(study, runs)
    rows = [claim_of(one) | _compared(study, one, Path(folder)) for one in study.comparisons]
    frame = pd.DataFrame(rows, columns=[*CLAIM, *_PAIRED])
    columns = [
        *claim_columns(study),
        Column("seeds", lambda row: str(row["n"]) if row["n"] > 1 else NONE),
        Column("difference [95 % CI, paired]", _interval("difference", "ci95_low", "ci95_high")),
        Column("p, paired t", _p("p_less")),
        Column("p, sign flip", lambda row: f"{_p('p_flip')(row)} (least {_p('smallest')(row)})"),
        Column("correlation", _number("correlation", 2)),
        Column("worth seeds", _number("worth", 1)),
        Column("[95 % CI, new training and images]", _interval("difference", "crossed_low", "crossed_high")),
        Column("SE of seeds", _number("se_seeds", 4)),
        Column("of images", _number("se_images", 4)),
        Column("of it noise", _number("se_noise", 4)),
        Column("of both", _number("se_both", 4)),
    ]
    notes = said("by_seed", "paired", "flip", "worth", "crossed") + said("claims", frame.empty and "none")
    return Table(frame, columns, notes + sources(study, runs), GROUP)


def _compared(study: Study, comparison: Comparison, folder: Path) -> Row:
    models = study.groups()[comparison.dataset, comparison.schedule]
    lower, than = ({run.seed: run for run in models[model]} for model in (comparison.lower, comparison.than))
    seeds = [seed for seed in lower if seed in than]
    if len(seeds) < 2:
        return {"n": len(seeds)}
    both = [[read_totals(run_folder(folder, of[seed]) / PER_IMAGE) for seed in seeds] for of in (lower, than)]
    check_noise([*both[0], *both[1]])
    totals = [np.array([one.total for one in runs]) for runs in both]
    by_seeds = compare_seeds(*(one.mean(axis=(1, 2)) for one in totals))
    row = by_seeds._asdict()
    row["p_flip"], (row["ci95_low"], row["ci95_high"]) = by_seeds.p_flip, row.pop("ci95")
    if totals[0].shape[2] < 2:
        return row
    found = crossed(totals[0] - totals[1])
    parts = (found.of_seeds, found.of_images, found.of_noise, found.of_both)
    errors = dict(zip(("se_seeds", "se_images", "se_noise", "se_both"), map(math.sqrt, parts), strict=True))
    return row | {"crossed_low": found.ci95[0], "crossed_high": found.ci95[1]} | errors


def _interval(*names: str) -> Cell:
    return lambda row: "n/a" if pd.isna(row[names[1]]) else interval(row, *names)


def _number(name: str, decimals: int) -> Cell:
    return lambda row: number(row[name], decimals)


def _p(name: str) -> Cell:
    return lambda row: "n/a" if pd.isna(row[name]) else p_value(row[name])
