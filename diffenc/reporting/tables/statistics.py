"""Table `statistics`: every comparison with each seed's value, intervals, effect size and one-sided p-values."""

from pathlib import Path

import pandas as pd

from diffenc.io.errors import UserError, make
from diffenc.reporting.tables.common import (
    CLAIM,
    GROUP,
    claim_columns,
    claim_of,
    difference_cell,
    p_cell,
    samples_of,
    sizes,
    sources,
)
from diffenc.reporting.tables.formatting import Column, Row, Table, number, p_value
from diffenc.reporting.tables.notes import said
from diffenc.results.runs import check_runs
from diffenc.results.tests import add_holm
from diffenc.statistics.resampling import RELABELLINGS, bootstrap_ci, permutation_p
from diffenc.statistics.welch import welch
from diffenc.study.stages import TESTS
from diffenc.study.study import Comparison, Study

_FAMILY = ["p_holm", "holm_tests"]
_TESTED = [
    *("n_lower", "n_than", "bpd_lower", "bpd_than", "difference", "ci95_low", "ci95_high"),
    *("bootstrap95_low", "bootstrap95_high", "hedges_g", "p_less"),
    *("p_permutation", "p_permutation_smallest", "relabellings"),
]


def statistics(study: Study, runs: pd.DataFrame, tests: pd.DataFrame, folder: Path) -> Table:
    """Every comparison of totals, with each seed's value, two intervals, effect size and three one-sided p-values.

    Holm's are those in `tests` (`diffenc.results.tests.add_holm`), which knows the whole study's family; without them
    the family is the tests that are given.

    Raises:
        UserError: `runs` is not exactly the study's, or `tests` lacks one of its comparisons.
    """
    check_runs(study, runs)
    whole = set(_FAMILY) <= set(tests.columns)
    totals = (tests if whole else add_holm(tests)).query("term == 'total'")
    frame = pd.DataFrame([_tested(*found) for found in samples_of(study, runs)], columns=[*CLAIM, *_TESTED])
    frame = frame.merge(totals[[*CLAIM, *_FAMILY]], on=CLAIM, how="left").astype({"holm_tests": "Int64"})
    if (untested := frame["p_holm"].isna()).any():
        claim = "{dataset}/{schedule}: {lower} < {than}".format(**frame[untested].iloc[0])
        raise UserError(f"{TESTS}: has no test of {claim}; {make(f'results/{study.name}/{TESTS}')}")
    columns = [
        *claim_columns(study),
        Column("n", sizes),
        Column("first, by seed", lambda row: _each(row["bpd_lower"]), "left"),
        Column("second, by seed", lambda row: _each(row["bpd_than"]), "left"),
        Column("difference [Welch's 95 % CI]", difference_cell),
        Column("bootstrap 95 % CI", lambda row: _bracket(row["bootstrap95_low"], row["bootstrap95_high"])),
        Column("Hedges' g", lambda row: number(row["hedges_g"], 2)),
        Column("p, Welch", p_cell("p_less")),
        Column("p, Holm", p_cell("p_holm")),
        Column("p, permutation", _permutation),
    ]
    return Table(frame, columns, _notes(frame, whole) + sources(study, runs), GROUP)


def _tested(comparison: Comparison, lower: list[float], than: list[float]) -> list[object]:
    """A row of `statistics`, in the order of its columns."""
    test, permuted = welch(lower, than), permutation_p(lower, than)
    return [
        *claim_of(comparison).values(),
        *(len(lower), len(than), *("; ".join(map(repr, values)) for values in (lower, than))),
        *(test.difference, *test.ci95, *bootstrap_ci(lower, than), test.hedges_g, test.p_less),
        *permuted,
    ]


def _each(values: str) -> str:
    return "; ".join(number(float(value), 4) for value in values.split("; "))


def _bracket(low: float, high: float) -> str:
    return f"[{number(low, 4)}, {number(high, 4)}]"


def _permutation(row: Row) -> str:
    p = row["p_permutation"]
    return f"{'n/a' if pd.isna(p) else p_value(p)} (least {p_value(row['p_permutation_smallest'])})"


def _notes(frame: pd.DataFrame, whole: bool) -> list[str]:
    """`whole`: Holm's family is the whole study's, not only this table's."""
    count = 0 if frame.empty else frame["holm_tests"].iloc[0]
    return said(
        "statistics",
        *("totals", "p", "permutation", "bootstrap"),
        frame["p_permutation"].isna().any() and "too_many",
        (frame["ci95_low"] == frame["ci95_high"]).any() and "exact",
        tests=f"{count} test{'' if count == 1 else 's'}",
        where="the whole study" if whole else "this table",
        most=RELABELLINGS,
    ) + said("claims", frame.empty and "none")
