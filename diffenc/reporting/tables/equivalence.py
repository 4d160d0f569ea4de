"""Table `equivalence`: whether two models are the same within the study's margin, and how likely more or less."""

from pathlib import Path

import pandas as pd

from diffenc.reporting.tables.common import CLAIM, GROUP, claim_columns, claim_of, samples_of, sizes, sources
from diffenc.reporting.tables.formatting import Cell, Column, Row, Table, interval, number, p_value
from diffenc.reporting.tables.notes import said
from diffenc.results.claims import stated
from diffenc.results.runs import check_runs
from diffenc.statistics.equivalence import tost
from diffenc.statistics.power import least_visible
from diffenc.statistics.welch import summarise
from diffenc.study.study import Comparison, Study

_TESTED = [
    *("n_lower", "n_than", "margin", "difference", "ci90_low", "ci90_high", "p_equivalent"),
    *("better", "within", "worse", "least_visible", "stated"),
]


def equivalence(study: Study, runs: pd.DataFrame, tests: pd.DataFrame, folder: Path) -> Table:
    """For each comparison of totals two one-sided tests (TOST) with the study's margin, in bits per dimension.

    better, within and worse are probabilities under a flat prior; least_visible is the difference that Welch's
    one-sided test finds with a power of 0.8, with these numbers of seeds and spreads.

    Raises:
        UserError: `runs` is not exactly the study's, or a run's claims.json is damaged.
    """
    check_runs(study, runs)
    rows = [_tested(study, Path(folder), *found) for found in samples_of(study, runs)]
    frame = pd.DataFrame(rows, columns=[*CLAIM, *_TESTED])
    columns = [
        *claim_columns(study),
        Column("n", sizes),
        Column("difference [90 % CI]", lambda row: interval(row, "difference", "ci90_low", "ci90_high")),
        Column("p, within the margin", _p),
        Column("better", _probability("better")),
        Column("within", _probability("within")),
        Column("worse", _probability("worse")),
        Column("least visible", lambda row: number(row["least_visible"], 4)),
        Column("claimed", lambda row: row["stated"], "left"),
    ]
    after = (frame["stated"] == "afterwards").any()
    notes = said("equivalence", "tost", "bayes", "visible", "claimed", after and "after", margin=f"{study.margin:g}")
    return Table(frame, columns, notes + said("claims", frame.empty and "none") + sources(study, runs), GROUP)


def _tested(
    study: Study, folder: Path, comparison: Comparison, lower: list[float], than: list[float]
) -> list[object]:
    """A row, in the order of its columns."""
    test, sizes = tost(lower, than, study.margin), (len(lower), len(than))
    spreads = [summarise(values).se * len(values) ** 0.5 for values in (lower, than)]
    return [
        *claim_of(comparison).values(),
        *(*sizes, study.margin, test.difference, *test.ci90, test.p),
        *(test.probability_better, test.probability_within, test.probability_worse),
        *(least_visible(*spreads, sizes), stated(study, comparison, folder)),
    ]


def _p(row: Row) -> str:
    return "exact" if row["ci90_low"] == row["ci90_high"] else p_value(row["p_equivalent"])


def _probability(name: str) -> Cell:
    return lambda row: number(row[name], 2) if 0.005 <= row[name] <= 0.995 else ("< 0.01", "> 0.99")[row[name] > 0.5]
