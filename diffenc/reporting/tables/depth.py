"""The bound in T steps, by the choice of the variance ratio."""

import math
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from diffenc.reporting.tables.common import GROUP, left_out, model_columns, models_of, over_seeds
from diffenc.reporting.tables.formatting import Cell, Column, Row, Table, mean_se, number
from diffenc.reporting.tables.notes import said
from diffenc.results.finite_depth import BEST, BOTH, EQUAL, STEPS, AtDepth, FiniteDepth, read_alike
from diffenc.results.runs import check_runs
from diffenc.statistics.welch import summarise
from diffenc.study.settings import MOST_STEPS
from diffenc.study.stages import DEPTH
from diffenc.study.study import Study, run_folder

_NAMES = {
    EQUAL: "sigma_P = sigma_Q",
    BEST: "best sigma_P",
    STEPS: "best steps",
    BOTH: "best steps and sigma_P",
}


def depth(study: Study, runs: pd.DataFrame, tests: pd.DataFrame, folder: Path) -> Table:
    """The total in bits per dimension, a row per model and depth T and one for T = infinity, the continuous bound.

    Means over seeds with standard errors. total_sigma_Q, total_best and total_w=... by the choice of sigma_P; gain is
    total_sigma_Q less total_best, excess_best the latter less the continuous total; best_w_lowest and best_w_highest
    are over a model's steps, averaged over seeds, and bins the bins of steps that w was fitted in (0 if it was not).
    total_best_steps and total_best_steps_and_sigma_P are there where steps were fitted, on fitted_on training images.

    Raises:
        UserError: `runs` is not exactly the study's, or a run's depth.json is missing, damaged or of other settings.
    """
    check_runs(study, runs)
    rows = [row for dataset in study.datasets for row in _rows(study, dataset, folder)]
    frame = pd.DataFrame(rows)
    frame["T"] = pd.Series([row["T"] for row in rows], dtype=object)  # 10 stays 10 beside infinity
    columns = [
        *model_columns(study),
        Column("T", lambda row: "∞" if math.isinf(row["T"]) else f"{row['T']:,}"),
        Column("n", lambda row: str(row["n"])),
        *(Column(_header(bound), _total(bound)) for bound in _bounds(frame)),
        Column("gain of the best", lambda row: "none" if math.isinf(row["T"]) else mean_se(row, "gain")),
        Column("best w over the steps", _range),
    ]
    return Table(frame, columns, _notes(study, runs, frame), GROUP)


def _rows(study: Study, dataset: str, folder: Path) -> Iterator[Row]:
    """The rows of one data set, all of whose runs must have been measured alike."""
    groups = [group for group in models_of(study, DEPTH) if group[0] == dataset]
    if not groups:
        return
    every = [run for _, _, models in groups for seeds in models.values() for run in seeds]
    found = dict(zip(every, read_alike(run_folder(folder, run) / DEPTH for run in every), strict=True))
    for _, schedule, models in groups:
        for model, seeds in models.items():
            key = {"dataset": dataset, "schedule": schedule, "model": model}
            yield from _of_a_model(key, [found[run] for run in seeds])


def _of_a_model(key: Row, seeds: list[FiniteDepth]) -> Iterator[Row]:
    facts = {"n": len(seeds), "images": seeds[0].images, "passes": seeds[0].passes}
    facts |= {"fitted_on": seeds[0].fitted_on} if seeds[0].fitted_on else {}
    for levels in zip(*(seed.depths for seed in seeds), strict=True):
        row = key | {"T": levels[0].T} | facts
        for bound in levels[0].bounds:
            row |= over_seeds(f"total_{bound}", [level.bounds[bound].total.mean for level in levels])
        row |= over_seeds("gain", [_gain(level) for level in levels])
        ratios = [[ratio.w for ratio in level.ratio] for level in levels]
        row |= {"excess_best": summarise([level.bounds[BEST].excess.mean for level in levels]).mean}
        row |= {"best_w_lowest": summarise([min(w) for w in ratios]).mean}
        row |= {"best_w_highest": summarise([max(w) for w in ratios]).mean}
        yield row | {"bins": len(ratios[0])}  # which depend on the noise alone, and that is every seed's
    row = key | {"T": math.inf} | facts
    continuous = over_seeds("total", [seed.continuous.total.mean for seed in seeds])
    for bound in dict.fromkeys(bound for level in seeds[0].depths for bound in level.bounds):
        finite = bound in _NAMES or _ratio(bound) == 1
        row |= {f"total_{bound}": continuous["total"] if finite else math.inf}
        row |= {f"total_{bound}_se": continuous["total_se"] if finite else math.nan}
    row |= {"gain": 0.0, "gain_se": 0.0, "excess_best": 0.0}
    yield row | {"best_w_lowest": 1.0, "best_w_highest": 1.0, "bins": 0}


def _gain(level: AtDepth) -> float:
    return level.bounds[EQUAL].total.mean - level.bounds[BEST].total.mean


def _ratio(bound: str) -> float:
    """w of a bound called w=0.5."""
    return float(bound.removeprefix("w="))


def _bounds(frame: pd.DataFrame) -> list[str]:
    """The choices of sigma_P, by the frame's columns."""
    return [name.removeprefix("total_") for name in frame if name.startswith("total_") and not name.endswith("_se")]


def _total(bound: str) -> Cell:
    def cell(row: Row) -> str:
        if pd.isna(row[f"total_{bound}"]):
            # of this data set; or the steps are too many to be fitted
            return "not fitted" if bound in (STEPS, BOTH) else "not asked for"
        return "∞" if math.isinf(row[f"total_{bound}"]) else mean_se(row, f"total_{bound}")

    return cell


def _header(bound: str) -> str:
    return _NAMES.get(bound, bound.replace("=", " = "))


def _range(row: Row) -> str:
    low, high = number(row["best_w_lowest"]), number(row["best_w_highest"])
    return low if low == high else f"{low} to {high}"


def _notes(study: Study, runs: pd.DataFrame, frame: pd.DataFrame) -> list[str]:
    finite = frame[frame["T"] < math.inf]
    fixed = [bound for bound in _bounds(frame) if bound not in _NAMES and _ratio(bound) != 1]
    below = [f"{row.model}, {row.schedule}, T = {row.T:,}" for row in finite[finite["excess_best"] < 0].itertuples()]
    steps = {"fitted_on": frame["fitted_on"].max(), "most": MOST_STEPS} if BOTH in _bounds(frame) else {}
    notes = said(
        "depth",
        *("total", "best", fixed and "fixed", below and "below", steps and "steps"),
        bins=_binned(finite),
        gains=_gains(finite),
        rates=", ".join(f"{_rate(_ratio(bound)):.4f} for {_header(bound)}" for bound in fixed),
        models="; ".join(below),
        **steps,
    )
    return [*notes, *left_out(study, DEPTH), *_sources(study, runs, frame)]


def _binned(finite: pd.DataFrame) -> str:
    """How many bins, from the smallest to the largest T; with one all steps share a w."""
    fewest, most = finite["bins"].min(), finite["bins"].max()
    bins = fewest if fewest == most else f"{fewest} to {most}"
    return "".join(said("depth", "one_bin" if most == 1 else "several_bins", bins=bins))


def _gains(finite: pd.DataFrame) -> str:
    """From which to which model's gain, at each T."""
    parts = []
    for depth, rows in finite.groupby("T"):
        low, high = number(rows["gain"].min()), number(rows["gain"].max())
        parts.append(f"{low if low == high else f'{low} to {high}'} at T = {depth:,}")
    return ", ".join(parts)


def _rate(w: float) -> float:
    return (w - 1 - math.log(w)) / (2 * math.log(2))


def _sources(study: Study, runs: pd.DataFrame, frame: pd.DataFrame) -> list[str]:
    releases = runs.drop_duplicates("dataset").set_index("dataset")["release"]
    facts = frame.drop_duplicates("dataset").set_index("dataset")
    notes = []
    for dataset, row in facts.iterrows():
        passes = f"{row['passes']} {'pass' if row['passes'] == 1 else 'passes'}"
        values = {"title": study.spec(dataset).title, "release": releases[dataset], "passes": passes}
        notes += said("depth", "source", images=row["images"], **values)
    return notes
