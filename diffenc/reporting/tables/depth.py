"""The bound in T steps, by the choice of the variance ratio."""

import math
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from diffenc.reporting.tables.formatting import Cell, Column, Row, Sheet, mean_se, number
from diffenc.results.finite_depth import BEST, EQUAL, AtDepth, FiniteDepth, read_alike
from diffenc.results.runs import check_runs
from diffenc.statistics.welch import summarise
from diffenc.study.stages import DEPTH
from diffenc.study.study import Study, run_folder

_GROUP = 2  # the first two columns, data set and schedule
_NAMES = {EQUAL: "sigma_P = sigma_Q", BEST: "best sigma_P"}


def depth(study: Study, runs: pd.DataFrame, tests: pd.DataFrame, folder: Path) -> Sheet:
    """The total in bits per dimension, a row per model and depth T and one for T = infinity, the continuous bound.

    Means over seeds with standard errors. total_sigma_Q, total_best and total_w=... by the choice of sigma_P; gain is
    total_sigma_Q less total_best, excess_best the latter less the continuous total; best_w_lowest and best_w_highest
    are over a model's steps, averaged over seeds, and bins the bins of steps that w was fitted in (0 if it was not).

    Raises:
        UserError: `runs` is not exactly the study's, or a run's depth.json is missing, damaged or of other settings.
    """
    check_runs(study, runs)
    rows = [row for dataset in study.datasets for row in _rows(study, dataset, folder)]
    frame = pd.DataFrame(rows)
    frame["T"] = pd.Series([row["T"] for row in rows], dtype=object)  # 10 stays 10 beside infinity
    columns = [
        Column("data set", lambda row: study.facts(row["dataset"]).title, "left"),
        Column("schedule", lambda row: row["schedule"], "left"),
        Column("model", lambda row: row["model"], "left"),
        Column("T", lambda row: "∞" if math.isinf(row["T"]) else f"{row['T']:,}"),
        Column("n", lambda row: str(row["n"])),
        *(Column(_header(bound), _total(bound)) for bound in _bounds(frame)),
        Column("gain of the best", lambda row: "none" if math.isinf(row["T"]) else mean_se(row, "gain")),
        Column("best w over the steps", _range),
    ]
    return Sheet(frame, columns, _notes(study, runs, frame), _GROUP)


def _rows(study: Study, dataset: str, folder: Path) -> Iterator[Row]:
    """The rows of one data set, all of whose runs must have been measured alike."""
    groups = study.groups(dataset)
    every = [run for models in groups.values() for seeds in models.values() for run in seeds]
    found = dict(zip(every, read_alike(run_folder(folder, run) / DEPTH for run in every), strict=True))
    for (_, schedule), models in groups.items():
        for model, seeds in models.items():
            key = {"dataset": dataset, "schedule": schedule, "model": model}
            yield from _of_a_model(key, [found[run] for run in seeds])


def _of_a_model(key: Row, seeds: list[FiniteDepth]) -> Iterator[Row]:
    facts = {"n": len(seeds), "images": seeds[0].images, "passes": seeds[0].passes}
    for levels in zip(*(seed.depths for seed in seeds), strict=True):
        row = key | {"T": levels[0].T} | facts
        for bound in levels[0].bounds:
            row |= _over_seeds(f"total_{bound}", [level.bounds[bound].total.mean for level in levels])
        row |= _over_seeds("gain", [_gain(level) for level in levels])
        ratios = [[ratio.w for ratio in level.ratio] for level in levels]
        row |= {"excess_best": summarise([level.bounds[BEST].excess.mean for level in levels]).mean}
        row |= {"best_w_lowest": summarise([min(w) for w in ratios]).mean}
        row |= {"best_w_highest": summarise([max(w) for w in ratios]).mean}
        yield row | {"bins": len(ratios[0])}  # which depend on the noise alone, and that is every seed's
    row = key | {"T": math.inf} | facts
    continuous = _over_seeds("total", [seed.continuous.total.mean for seed in seeds])
    for bound in seeds[0].depths[0].bounds:
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


def _over_seeds(name: str, values: list[float]) -> Row:
    summary = summarise(values)
    return {name: summary.mean, f"{name}_se": summary.se}


def _bounds(frame: pd.DataFrame) -> list[str]:
    """The choices of sigma_P, by the frame's columns."""
    return [name.removeprefix("total_") for name in frame if name.startswith("total_") and not name.endswith("_se")]


def _total(bound: str) -> Cell:
    def cell(row: Row) -> str:
        if pd.isna(row[f"total_{bound}"]):
            return "not asked for"  # of this data set
        return "∞" if math.isinf(row[f"total_{bound}"]) else mean_se(row, f"total_{bound}")

    return cell


def _header(bound: str) -> str:
    return _NAMES.get(bound, bound.replace("=", " = "))


def _range(row: Row) -> str:
    low, high = number(row["best_w_lowest"]), number(row["best_w_highest"])
    return low if low == high else f"{low} to {high}"


def _notes(study: Study, runs: pd.DataFrame, frame: pd.DataFrame) -> list[str]:
    finite = frame[frame["T"] < math.inf]
    notes = [
        "Total in bits per dimension, mean ± standard error over n seeds (n/a with one): reconstruction and latent"
        " terms, and the sum of T KL divergences, of q(z_s given z_t and x) from the model's p(z_s given z_t)."
        " w = sigma_Q^2 / sigma_P^2. T = ∞: the bound in continuous time, for which the models were trained, from the"
        " same images, times and noise.",
        "Best: the closed form of each step, sigma_P^2 = sigma_Q^2 + the mean squared difference of mu_P and mu_Q in"
        " a dimension, estimated in bins of neighbouring steps, for one half of the images on the other half, so that"
        f" fitting it gains nothing by itself{_binned(finite)}. It costs: where the relative variance of the squared"
        " difference inside a bin exceeds the draws in half of it, the best can come out above sigma_P = sigma_Q, as"
        " it never does with the exact mean. Its w goes to 1 as T grows, and its gain to none."
        f" {_gains(finite)}",
    ]
    if apart := [bound for bound in _bounds(frame) if bound not in _NAMES and _ratio(bound) != 1]:
        rates = ", ".join(f"{_rate(_ratio(bound)):.4f} for {_header(bound)}" for bound in apart)
        notes.append(
            "A fixed w other than 1 costs (w - 1 - log w) / (2 log 2) bits per dimension in every step, whatever the"
            f" model: {rates}. So its bound grows linearly in T, and in continuous time there is none: the ratio must"
            " go to 1. At small T a w below 1 can be better than 1, as the best w is below 1 there."
        )
    below = finite[finite["excess_best"] < 0]
    if len(below):
        names = "; ".join(f"{row.model}, {row.schedule}, T = {row.T:,}" for row in below.itertuples())
        notes.append(
            f"The best sigma_P is below the bound in continuous time for {names}. That is possible: in steps a larger"
            " sigma_P makes up for some of the mean's error, in continuous time nothing does."
        )
    return [*notes, *_sources(study, runs, frame)]


def _binned(finite: pd.DataFrame) -> str:
    """How many bins, from the smallest to the largest T; with one all steps share a w."""
    fewest, most = finite["bins"].min(), finite["bins"].max()
    if most == 1:
        return "; here all steps are one bin, with one w"
    return (
        f", here in {fewest if fewest == most else f'{fewest} to {most}'} bins, by T and by how many draws there are"
    )


def _gains(finite: pd.DataFrame) -> str:
    """From which to which model's gain, at each T."""
    parts = []
    for depth, rows in finite.groupby("T"):
        low, high = number(rows["gain"].min()), number(rows["gain"].max())
        parts.append(f"{low if low == high else f'{low} to {high}'} at T = {depth:,}")
    return f"Over the models it gains {', '.join(parts)}."


def _rate(w: float) -> float:
    return (w - 1 - math.log(w)) / (2 * math.log(2))


def _sources(study: Study, runs: pd.DataFrame, frame: pd.DataFrame) -> list[str]:
    releases = runs.drop_duplicates("dataset").set_index("dataset")["release"]
    facts = frame.drop_duplicates("dataset").set_index("dataset")
    return [
        f"{study.facts(dataset).title}: {releases[dataset]}; the first {row['images']:,} test images, {row['passes']}"
        f" {'pass' if row['passes'] == 1 else 'passes'}. Every model and seed has the same noise, whose error the"
        " standard errors over seeds therefore leave out."
        for dataset, row in facts.iterrows()
    ]
