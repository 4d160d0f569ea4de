"""tests.csv: every comparison of a study for every term, with Holm's correction over the family."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

from diffenc.results.runs import check_runs, read_table
from diffenc.statistics.welch import holm, summarise, welch
from diffenc.study.stages import TERMS
from diffenc.study.study import Comparison, Study

if TYPE_CHECKING:
    from pandas import DataFrame

TEST_COLUMNS = (
    *("dataset", "schedule", "lower", "than", "term", "n_lower", "n_than", "mean_lower", "mean_than"),
    *("difference", "ci95_low", "ci95_high", "t", "df", "p_less", "p_two_sided", "hedges_g"),
)


def add_holm(tests: "DataFrame") -> "DataFrame":
    """tests.csv's frame with `p_holm`, p_less adjusted over the family, and `holm_tests`, how many tests it has.

    The family is every test of a total in the frame: the terms are parts of it and no claims of their own, and both
    columns are missing there.
    """
    family = tests["term"] == "total"
    adjusted = tests.assign(p_holm=math.nan, holm_tests=math.nan)
    adjusted.loc[family, "p_holm"] = holm(tests.loc[family, "p_less"])
    adjusted.loc[family, "holm_tests"] = float(family.sum())
    return adjusted


def read_tests(path: Path) -> "DataFrame":
    """Read a tests.csv; raises UserError as `read_runs` does."""
    return read_table(path, TEST_COLUMNS)


def compare(study: Study, runs: "DataFrame") -> "DataFrame":
    """Every comparison of the study for every term, in bits per dimension: tests.csv, from `runs.collect`'s frame.

    Raises:
        UserError: a seed that the study names is missing in `runs`, is there twice, or is none of the study's.
    """
    import pandas as pd

    check_runs(study, runs)
    rows = [_row(comparison, term, runs) for comparison in study.comparisons for term in TERMS]
    return pd.DataFrame(rows, columns=list(TEST_COLUMNS))


def _row(comparison: Comparison, term: str, runs: "DataFrame") -> dict[str, object]:
    here = runs[
        (runs["dataset"] == comparison.dataset) & (runs["schedule"] == comparison.schedule) & (runs["term"] == term)
    ]
    lower, than = (here["bpd"][here["model"] == m].to_numpy() for m in (comparison.lower, comparison.than))
    test = welch(lower, than)
    return {
        **comparison.model_dump(),
        "term": term,
        "n_lower": len(lower),
        "n_than": len(than),
        "mean_lower": summarise(lower).mean,
        "mean_than": summarise(than).mean,
        "difference": test.difference,
        "ci95_low": test.ci95[0],
        "ci95_high": test.ci95[1],
        "t": test.t,
        "df": test.df,
        "p_less": test.p_less,
        "p_two_sided": test.p_two_sided,
        "hedges_g": test.hedges_g,
    }
