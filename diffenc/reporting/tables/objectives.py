"""Table `objectives`: what each model descended, beside the bound and the FID that came of it."""

from pathlib import Path

import pandas as pd

from diffenc.reporting.tables import fid
from diffenc.reporting.tables.common import GROUP, Row, groups_of, model_columns, over_seeds, sources
from diffenc.reporting.tables.formatting import Cell, Column, Table, mean_se
from diffenc.reporting.tables.notes import said
from diffenc.study.settings import Training
from diffenc.study.study import Run, Study

_NO_FID = "not measured"


def objectives(study: Study, runs: pd.DataFrame, tests: pd.DataFrame, folder: Path) -> Table:
    """A row per model: the total in bits per dimension and, of the most samples, FID to each reference, over seeds.

    Columns descended, monotone (of its weighting), times, n, total and fid_REFERENCE, the latter two with _se.

    Raises:
        UserError: `runs` is not exactly the study's, or a run's fid.json is not what the study asks for.
    """
    scores = fid.found(study, folder) if study.fid else {}
    references = study.fid.references if study.fid else []
    rows = []
    for key, group in groups_of(study, runs):
        seeds = [Run(**key, seed=seed) for seed in group["seed"].unique()]
        row = key | _of(study.training.get(seeds[0])) | {"n": len(seeds)}
        row |= over_seeds("total", group["bpd"][group["term"] == "total"].tolist())
        if scores.keys() >= set(seeds):
            for reference in references:
                here = [fid.score(scores[run], max(study.fid.counts), reference).fid for run in seeds]
                row |= over_seeds(f"fid_{reference}", here)
        rows.append(row)
    frame = pd.DataFrame(rows)
    shown = [reference for reference in references if f"fid_{reference}" in frame]
    columns = [
        *model_columns(study),
        Column("descended", lambda row: row["descended"], "left"),
        Column("monotone", lambda row: "yes" if row["monotone"] else "no", "left"),
        Column("times", lambda row: row["times"], "left"),
        Column("n", lambda row: str(row["n"])),
        Column("bound", lambda row: mean_se(row, "total")),
        *(Column(f"FID to {reference}", _fid(reference)) for reference in shown),
    ]
    if not shown:
        columns.append(Column("FID", lambda row: _NO_FID))
    samples = "samples" in study.figures
    notes = said("objectives", "two", samples and "samples", not shown and "no_fid", not_measured=_NO_FID)
    return Table(frame, columns, notes + sources(study, runs), GROUP)


def _of(training: Training | None) -> Row:
    if training is None:
        return {"descended": "trained elsewhere", "monotone": True, "times": "not known"}
    objective = training.objective
    return {
        "descended": str(objective) if objective else "the bound",
        "monotone": objective is None or objective.monotone,
        "times": training.times or "of the schedule",
    }


def _fid(reference: str) -> Cell:
    return lambda row: _NO_FID if pd.isna(row[f"fid_{reference}"]) else mean_se(row, f"fid_{reference}", 2)
