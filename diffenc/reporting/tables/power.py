"""Table `power`: how many seeds it takes to see a difference."""

from pathlib import Path

import pandas as pd

from diffenc.reporting.tables.common import CLAIM, GROUP, claim_columns, claim_of, samples_of, sizes, sources
from diffenc.reporting.tables.formatting import Cell, Column, Row, Table, number
from diffenc.reporting.tables.notes import said
from diffenc.results.runs import check_runs
from diffenc.statistics import power as of_welch
from diffenc.statistics.welch import summarise
from diffenc.study.study import Comparison, Study

EFFECTS = (0.01, 0.02, 0.05)  # bits per dimension
_PLANNED = [
    *("n_lower", "n_than", "sd_lower", "sd_than"),
    *(f"power_to_see_{effect:g}" for effect in EFFECTS),
    *(f"seeds_to_see_{effect:g}{sd}" for effect in EFFECTS for sd in ("", "_upper_sd")),
]


def power(study: Study, runs: pd.DataFrame, tests: pd.DataFrame, folder: Path) -> Table:
    """For each comparison the spread over seeds, the chance that its test had to find EFFECTS, and the seeds needed.

    The columns seeds_to_see_X_upper_sd have both standard deviations at the upper end of their 90 % intervals.

    Raises:
        UserError: `runs` is not exactly the study's.
    """
    check_runs(study, runs)
    frame = pd.DataFrame([_planned(*found) for found in samples_of(study, runs)], columns=[*CLAIM, *_PLANNED])
    columns = [
        *claim_columns(study),
        Column("n", sizes),
        Column("SD of first", _spread("sd_lower")),
        Column("SD of second", _spread("sd_than")),
        *(Column(f"power for {effect:g}", _power(effect)) for effect in EFFECTS),
        *(Column(f"seeds for {effect:g}", _seeds(effect)) for effect in EFFECTS),
    ]
    return Table(frame, columns, _notes(study, frame) + sources(study, runs), GROUP)


def _planned(comparison: Comparison, lower: list[float], than: list[float]) -> list[object]:
    """A row of `power`, in the order of its columns."""
    sizes = len(lower), len(than)
    found = [summarise(values).se * n**0.5 for values, n in zip((lower, than), sizes, strict=True)]
    upper = [of_welch.sd_interval(sd, n)[1] for sd, n in zip(found, sizes, strict=True)]
    return [
        *claim_of(comparison).values(),
        *(*sizes, *found),
        *(of_welch.power(effect, *found, sizes) for effect in EFFECTS),
        *(of_welch.seeds_needed(effect, *sds) for effect in EFFECTS for sds in (found, upper)),
    ]


def _spread(column: str) -> Cell:
    return lambda row: number(row[column], 4) if row[column] else "no spread"


def _power(effect: float) -> Cell:
    def cell(row: Row) -> str:
        if row["sd_lower"] == row["sd_than"] == 0:
            return "no spread"
        chance = row[f"power_to_see_{effect:g}"]
        return "> 0.99" if chance > 0.99 else number(chance, 2)

    return cell


def _seeds(effect: float) -> Cell:
    def cell(row: Row) -> str:
        if row["sd_lower"] == row["sd_than"] == 0:
            return "no spread"
        name = f"seeds_to_see_{effect:g}"
        return f"{row[name]:,} (up to {row[f'{name}_upper_sd']:,})"

    return cell


def _notes(study: Study, frame: pd.DataFrame) -> list[str]:
    still = (frame[["sd_lower", "sd_than"]] == 0).any(axis=None)
    lone = [runs[0].path for group in study.groups().values() for runs in group.values() if len(runs) == 1]
    names = ("power", "upper", still and "no_spread", lone and "lone")
    return said("power", *names, runs=", ".join(lone)) + said("claims", frame.empty and "none")
