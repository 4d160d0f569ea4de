"""Table `encoder`: what the encoders do, in numbers."""

import math
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from diffenc.io.arrays import at_times
from diffenc.io.errors import UserError, make
from diffenc.reporting.tables.common import GROUP, model_columns, models_of, over_seeds, releases_of
from diffenc.reporting.tables.formatting import Cell, Column, Row, Table, mean_se, number
from diffenc.reporting.tables.notes import said
from diffenc.results import encoder_analysis
from diffenc.results.runs import check_runs
from diffenc.study.stages import INSPECTION, SPECTRUM_TIMES
from diffenc.study.study import Run, Study, run_folder

TIMES = SPECTRUM_TIMES
_NUMBERS = ("rms_change", "rms_y", "share_of_motion_left")
_NO_ENCODER = "none has an encoder"
DIGITS = 3  # significant ones: the changes span orders of magnitude
_MOST_DECIMALS = 7


def encoder(study: Study, runs: pd.DataFrame, tests: pd.DataFrame, folder: Path) -> Table:
    """For each model with an encoder and each t of TIMES, mean and standard error over seeds.

    rms_change is ||x_t - x|| / sqrt(d) and rms_y ||y|| / sqrt(d), root mean squares over test images in units of x in
    (-1, 1); share_of_motion_left is `encoder_analysis.share_left`. A group without an encoder has one row that says
    so.

    Raises:
        UserError: `runs` is not exactly the study's, or a run's inspection.npz is missing, damaged or lacks a time.
    """
    check_runs(study, runs)
    frame = pd.DataFrame([row for group in models_of(study) for row in _encoders(study, *group, folder)])
    columns = [
        *model_columns(study),
        Column("t", lambda row: number(row["t"], 1)),
        Column("n", lambda row: str(row["n"]) if row["n"] else "n/a"),
        Column("RMS of x_t - x", _measured("rms_change")),
        Column("RMS of y", _measured("rms_y", missing="no y")),
        Column("share of motion left", _measured("share_of_motion_left")),
    ]
    return Table(frame, columns, _encoder_notes(study, runs, frame), GROUP)


def _encoders(study: Study, dataset: str, schedule: str, models: dict[str, list[Run]], folder: Path) -> Iterator[Row]:
    """The rows of one data set and schedule."""
    key = {"dataset": dataset, "schedule": schedule}
    found = {model: seeds for model, seeds in models.items() if study.shape(seeds[0]).encoder != "identity"}
    for model, seeds in found.items():
        tables = [_by_time(run_folder(folder, run) / INSPECTION) for run in seeds]
        for t in TIMES:
            row = key | {"model": model, "t": t, "n": len(seeds), "images": int(tables[0]["images"][t])}
            for name in _NUMBERS:
                row |= over_seeds(name, [table[name][t] for table in tables])
            yield row
    if not found:
        nothing = {name: math.nan for number in _NUMBERS for name in (number, f"{number}_se")}
        yield key | {"model": _NO_ENCODER, "t": math.nan, "n": 0, "images": 0} | nothing


def _by_time(path: Path) -> pd.DataFrame:
    """A run's numbers at TIMES, a row each; rms_y is missing where there is no y."""
    arrays = encoder_analysis.read(path)
    try:
        at = at_times(arrays["t"], TIMES)
    except ValueError as error:
        raise UserError(f"{path}: {error}; {make(path)}")
    if "motion" not in arrays:
        raise UserError(f"{path}: has no array motion, as of a model without an encoder; {make(path)}")
    y = encoder_analysis.over_images(arrays["y"])[at] if "y" in arrays else math.nan
    values = (encoder_analysis.over_images(arrays["change"])[at], y, encoder_analysis.share_left(arrays)[at])
    return pd.DataFrame(dict(zip(_NUMBERS, values, strict=True)) | {"images": len(arrays["image"])}, index=TIMES)


def _measured(name: str, missing: str = "n/a") -> Cell:
    """`mean ± SE` to three significant digits of the mean; `missing` where a model has no such number."""

    def cell(row: Row) -> str:
        if pd.isna(row[name]):
            return missing if row["n"] else "n/a"
        size = math.floor(math.log10(abs(row[name]))) if row[name] else 0
        return mean_se(row, name, min(max(DIGITS - 1 - size, 0), _MOST_DECIMALS))

    return cell


def _encoder_notes(study: Study, runs: pd.DataFrame, frame: pd.DataFrame) -> list[str]:
    counted = {d: f"{n:,} test images" for d, n in _images(frame).items() if n}
    return said("encoder", "rms", "share", "no_loss") + releases_of(study, runs, counted)


def _images(frame: pd.DataFrame) -> dict[str, int]:
    return {dataset: int(group["images"].max()) for dataset, group in frame.groupby("dataset", sort=False)}
