"""What the encoders do, in numbers, and where the schedules end."""

import math
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from diffenc.arrays import at_times
from diffenc.errors import UserError
from diffenc.records import inspection
from diffenc.records.inspection import SPECTRUM_TIMES
from diffenc.results import INSPECTION, check_runs, make, run_folder
from diffenc.statistics import summarise
from diffenc.study import Run, Study
from diffenc.typeset import Cell, Column, Row, Sheet, mean_se, number

TIMES = SPECTRUM_TIMES
_GROUP = 2  # the first two columns, data set and schedule
_NUMBERS = ("rms_change", "rms_y", "share_of_motion_left")
_ENDS = ("gamma_0", "gamma_1")
_NO_ENCODER = "none has an encoder"
_DIGITS = 3  # significant ones: the changes span orders of magnitude
_MOST_DECIMALS = 7


def encoder(study: Study, runs: pd.DataFrame, tests: pd.DataFrame, folder: Path) -> Sheet:
    """For each model with an encoder and each t of TIMES, mean and standard error over seeds.

    rms_change is ||x_t - x|| / sqrt(d) and rms_y ||y|| / sqrt(d), root mean squares over test images in units of x in
    (-1, 1); share_of_motion_left is `inspection.share_left`. A group without an encoder has one row that says so.

    Raises:
        UserError: `runs` is not exactly the study's, or a run's inspection.npz is missing, damaged or lacks a time.
    """
    check_runs(study, runs)
    frame = pd.DataFrame([row for group in _groups(study) for row in _encoders(study, *group, folder)])
    columns = [
        *_named(study),
        Column("t", lambda row: number(row["t"], 1)),
        Column("n", lambda row: str(row["n"]) if row["n"] else "n/a"),
        Column("RMS of x_t - x", _measured("rms_change")),
        Column("RMS of y", _measured("rms_y", missing="no y")),
        Column("share of motion left", _measured("share_of_motion_left")),
    ]
    return Sheet(frame, columns, _encoder_notes(study, runs, frame), _GROUP)


def _encoders(study: Study, dataset: str, schedule: str, models: dict[str, list[Run]], folder: Path) -> Iterator[Row]:
    """The rows of one data set and schedule."""
    key = {"dataset": dataset, "schedule": schedule}
    found = {model: seeds for model, seeds in models.items() if study.shape(seeds[0]).encoder != "identity"}
    for model, seeds in found.items():
        tables = [_by_time(run_folder(folder, run) / INSPECTION) for run in seeds]
        for t in TIMES:
            row = key | {"model": model, "t": t, "n": len(seeds), "images": int(tables[0]["images"][t])}
            for name in _NUMBERS:
                row |= _over_seeds(name, [table[name][t] for table in tables])
            yield row
    if not found:
        nothing = {name: math.nan for number in _NUMBERS for name in (number, f"{number}_se")}
        yield key | {"model": _NO_ENCODER, "t": math.nan, "n": 0, "images": 0} | nothing


def _by_time(path: Path) -> pd.DataFrame:
    """A run's numbers at TIMES, a row each; rms_y is missing where there is no y."""
    arrays = inspection.read(path)
    try:
        at = at_times(arrays["t"], TIMES)
    except ValueError as error:
        raise UserError(f"{path}: {error}; {make(path)}")
    if "motion" not in arrays:
        raise UserError(f"{path}: has no array motion, as of a model without an encoder; {make(path)}")
    y = inspection.over_images(arrays["y"])[at] if "y" in arrays else math.nan
    values = (inspection.over_images(arrays["change"])[at], y, inspection.share_left(arrays)[at])
    return pd.DataFrame(dict(zip(_NUMBERS, values, strict=True)) | {"images": len(arrays["image"])}, index=TIMES)


def _over_seeds(name: str, values: list[float]) -> Row:
    summary = summarise(values)
    return {name: summary.mean, f"{name}_se": summary.se}


def _measured(name: str, missing: str = "n/a") -> Cell:
    """`mean ± SE` to three significant digits of the mean; `missing` where a model has no such number."""

    def cell(row: Row) -> str:
        if pd.isna(row[name]):
            return missing if row["n"] else "n/a"
        size = math.floor(math.log10(abs(row[name]))) if row[name] else 0
        return mean_se(row, name, min(max(_DIGITS - 1 - size, 0), _MOST_DECIMALS))

    return cell


def _encoder_notes(study: Study, runs: pd.DataFrame, frame: pd.DataFrame) -> list[str]:
    notes = [
        "Mean ± standard error over n seeds (n/a with one). RMS: root mean square over images, pixels and channels,"
        " in units of x, which lies between -1 and 1. x_t - x: what the encoder changed of the image at t. y: what a"
        " trainable encoder's network puts into x_t = alpha_t^2 x + sigma_t^2 y; the non-trainable one has none.",
        "Share of motion left: the sum over images of the squared norm of dx_t/dgamma + sigma_t^2 x_hat, over that of"
        " dx_t/dgamma. The generative model cancels the encoder's motion dx_t/dgamma by its counterterm"
        " -sigma_t^2 x_hat: 0 means that all of it is cancelled, 1 that as much is left as without a counterterm,"
        " above 1 that it adds more than it takes away, as it does when the encoder hardly moves.",
        "What is left is not a loss by itself: it enters the diffusion term in one sum with the denoiser's error, and"
        " the denoiser is trained on that sum. With r the x_hat that would cancel the motion, the best x_hat is the"
        " mean of (x_t + sigma_t^2 r) / (1 + sigma_t^2) given z_t, a compromise wherever r differs from x_t. For the"
        " non-trainable encoder r = x_t, and the share is the relative error of the denoiser. The bound on the"
        " likelihood holds whatever the share.",
    ]
    return notes + _sources(study, runs, {d: f"{n:,} test images" for d, n in _images(frame).items() if n})


def _images(frame: pd.DataFrame) -> dict[str, int]:
    return {dataset: int(group["images"].max()) for dataset, group in frame.groupby("dataset", sort=False)}


def endpoints(study: Study, runs: pd.DataFrame, tests: pd.DataFrame, folder: Path) -> Sheet:
    """Where gamma = -log SNR starts and ends: per model over seeds if learned, a row per group if fixed.

    snr_0 and snr_1 are exp(-gamma) of the mean end points.

    Raises:
        UserError: `runs` is not exactly the study's.
    """
    check_runs(study, runs)
    ends = runs[runs["term"] == "total"].set_index(["dataset", "model", "schedule", "seed"])[list(_ENDS)]
    frame = pd.DataFrame([row for group in _groups(study) for row in _ends(ends, *group)])
    columns = [*_named(study), Column("n", lambda row: str(row["n"]))]
    for end, header in zip(_ENDS, ("γ₀", "γ₁"), strict=True):
        columns += [Column(header, _end(end)), Column(f"{header}, lowest to highest", _range(end))]
    columns.append(Column("SNR at t = 0 to t = 1", _snr))
    return Sheet(frame, columns, _endpoint_notes(study, runs), _GROUP)


def _ends(ends: pd.DataFrame, dataset: str, schedule: str, models: dict[str, list[Run]]) -> Iterator[Row]:
    """A row per model; one for all of them where the schedule is fixed, and the same."""
    values = {model: ends.loc[[tuple(run) for run in seeds]] for model, seeds in models.items()}
    if schedule == "fixed" and len(models) > 1:
        together = pd.concat(values.values())
        if len(together.drop_duplicates()) == 1:
            values = {f"all {len(models)} models": together}
    for model, found in values.items():
        row = {"dataset": dataset, "schedule": schedule, "model": model, "n": len(found)}
        for end in _ENDS:
            row |= _over_seeds(end, found[end]) | {
                f"{end}_lowest": found[end].min(),
                f"{end}_highest": found[end].max(),
            }
        yield row | {f"snr_{i}": math.exp(-row[end]) for i, end in enumerate(_ENDS)}


def _end(name: str) -> Cell:
    return lambda row: f"{number(row[name], 2)} (fixed)" if row["schedule"] == "fixed" else mean_se(row, name)


def _range(name: str) -> Cell:
    def cell(row: Row) -> str:
        low, high = (number(row[f"{name}_{end}"]) for end in ("lowest", "highest"))
        return "fixed" if row["schedule"] == "fixed" else f"{low} to {high}"

    return cell


def _snr(row: Row) -> str:
    return f"{_rounded(row['snr_0'])} to {_rounded(row['snr_1'])}"


def _rounded(value: float) -> str:
    """Three significant digits, without an exponent where that is short."""
    if value >= 100:
        return f"{float(f'{value:.{_DIGITS}g}'):,.0f}"
    return f"{value:.{_DIGITS}g}"


def _endpoint_notes(study: Study, runs: pd.DataFrame) -> list[str]:
    notes = [
        "gamma = -log SNR rises linearly from γ₀ at t = 0 to γ₁ at t = 1. A learned schedule trains both with the"
        " networks: mean ± standard error over n seeds (n/a with one), the lowest and the highest seed. The SNR,"
        " alpha^2 / sigma^2 = exp(-gamma), is that of the mean end points.",
    ]
    if "learned" not in {schedule for _, schedule, _ in _groups(study)}:
        notes.append("No schedule is learned here: every run keeps the end points of its configuration.")
    return notes + _sources(study, runs, {})


def _groups(study: Study) -> Iterator[tuple[str, str, dict[str, list[Run]]]]:
    """(data set, schedule, {model: its runs}), each data set in one piece."""
    for dataset in study.datasets:
        for (_, schedule), models in study.groups(dataset).items():
            yield dataset, schedule, models


def _named(study: Study) -> list[Column]:
    return [
        Column("data set", lambda row: study.facts(row["dataset"]).title, "left"),
        Column("schedule", lambda row: row["schedule"], "left"),
        Column("model", lambda row: row["model"], "left"),
    ]


def _sources(study: Study, runs: pd.DataFrame, images: dict[str, str]) -> list[str]:
    """For each data set its release, and what was looked at."""
    releases = runs.groupby("dataset", sort=False)["release"].first()
    return [
        f"{study.facts(dataset).title}: {'; '.join([release, *filter(None, [images.get(dataset)])])}."
        for dataset, release in releases.items()
    ]
