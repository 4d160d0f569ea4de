"""Table `paired`: trained models compared on the same test images under the same noise."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from diffenc.io.errors import UserError
from diffenc.reporting.tables.common import CLAIM, GROUP, claim_columns, claim_of, difference_cell, p_cell, sources
from diffenc.reporting.tables.formatting import Column, Row, Table, number
from diffenc.reporting.tables.notes import said
from diffenc.results.arrays import Totals, check_noise, per_image, read_totals
from diffenc.results.runs import check_runs
from diffenc.statistics import paired as over_images
from diffenc.study.stages import PER_IMAGE
from diffenc.study.study import Comparison, Run, Study, run_folder

_PAIRED = [
    *("seeds_lower", "seeds_than", "images", "difference", "ci95_low", "ci95_high", "se_over_images"),
    *("sd_over_pairs", "p_less", "first_better", "correlation", "narrowing"),
]


def paired(study: Study, runs: pd.DataFrame, tests: pd.DataFrame, folder: Path) -> Table:
    """For each comparison the models' difference over test images: of all their seeds together, then pair by pair.

    Raises:
        UserError: `runs` is not exactly the study's, a run's evaluation.npz is missing or damaged, or those of a
            comparison did not draw the same noise.
    """
    check_runs(study, runs)
    rows = [row for comparison in study.comparisons for row in _on_images(study, comparison, Path(folder))]
    frame = pd.DataFrame(rows, columns=[*CLAIM, *_PAIRED])
    columns = [
        *claim_columns(study),
        Column("seeds", _pair, "left"),
        Column("images", lambda row: f"{row['images']:,}"),
        Column("difference [95 % CI]", difference_cell),
        Column("SE over images", lambda row: number(row["se_over_images"], 5)),
        Column("SD over pairs", lambda row: "one pair" if pd.isna(sd := row["sd_over_pairs"]) else number(sd, 5)),
        Column("p, one-sided", p_cell("p_less")),
        Column("first better", lambda row: f"{100 * row['first_better']:.1f} %"),
        Column("correlation", lambda row: number(row["correlation"], 4)),
        Column("narrowing", lambda row: number(row["narrowing"], 1)),
    ]
    return Table(frame, columns, _notes(study, runs, frame) + sources(study, runs), GROUP)


def _on_images(study: Study, comparison: Comparison, folder: Path) -> Iterator[Row]:
    """The rows of one comparison: all seeds' mean, then the first seeds of both models, the second ones, ..."""
    group = study.groups()[comparison.dataset, comparison.schedule]
    lower, than = ({run.seed: _totals(folder, run) for run in group[m]} for m in (comparison.lower, comparison.than))
    check_noise([*lower.values(), *than.values()])
    pairs = [
        (str(a), str(b), over_images.compare_images(*(per_image([t]) for t in (lower[a], than[b]))))
        for a, b in zip(lower, than, strict=False)
    ]
    together = over_images.compare_images(*(per_image(list(runs.values())) for runs in (lower, than)))
    spread = float(np.std([found.difference for _, _, found in pairs], ddof=1))
    for of_lower, of_than, found in [("all", "all", together), *pairs]:
        values = found._asdict()
        values["ci95_low"], values["ci95_high"] = values.pop("ci95")
        values["se_over_images"] = values.pop("se")
        values["sd_over_pairs"] = spread if found is together else np.nan
        yield claim_of(comparison) | {"seeds_lower": of_lower, "seeds_than": of_than} | values


def _totals(folder: Path, run: Run) -> Totals:
    totals = read_totals(run_folder(folder, run) / PER_IMAGE)
    if totals.t.shape[1] < 2:
        raise UserError(f"{totals.file}: holds one image, a paired comparison needs two; raise evaluation.images")
    return totals


def _pair(row: Row) -> str:
    return "all" if row["seeds_lower"] == "all" else f"{row['seeds_lower']}, {row['seeds_than']}"


def _notes(study: Study, runs: pd.DataFrame, frame: pd.DataFrame) -> list[str]:
    uneven = [
        f"{c.lower} < {c.than} ({c.dataset}, {c.schedule})"
        for c in study.comparisons
        if len({len(study.groups()[c.dataset, c.schedule][model]) for model in (c.lower, c.than)}) > 1
    ]
    names = ("images", "claim", *dict.fromkeys(runs["protocol"]), uneven and "uneven")
    return said("paired", *names, claims=", ".join(uneven)) + said("claims", frame.empty and "none")
