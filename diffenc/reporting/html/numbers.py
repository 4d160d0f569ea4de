"""A study's main numbers and its costs for the page, from runs.csv."""

import math
from typing import TYPE_CHECKING, NamedTuple

from diffenc.reporting.tables.formatting import number
from diffenc.results.runs import IDENTITY
from diffenc.statistics.welch import Summary, summarise
from diffenc.study.study import Run, Study

if TYPE_CHECKING:
    from pandas import DataFrame


class Bar(NamedTuple):
    """A model's mean total and each seed's: as text, and as places between 0 and 100 on the group's axis."""

    model: str
    value: str
    n: int
    best: bool
    dots: list[float]
    mean: float
    spread: tuple[float, float] | None


class Group(NamedTuple):
    """The models of one schedule, on one axis from `low` to `high` bits per dimension."""

    schedule: str
    low: str
    high: str
    bars: list[Bar]


class Cost(NamedTuple):
    """What the runs of one model, data set and schedule took."""

    of: str
    schedule: str
    model: str
    runs: int
    device: str
    each: str
    total: str
    peak: str
    attempts: str


ELSEWHERE = "not trained here"
_DOWN, _UP = 4.0, 92.0  # the outermost seeds, away from the axis' ends


def groups(study: Study, runs: "DataFrame") -> dict[str, list[Group]]:
    """{data set: its groups}: every model's total in bits per dimension, mean ± standard error over n seeds."""
    found: dict[str, list[Group]] = {}
    totals = _values(runs)
    for (dataset, schedule), models in study.groups().items():
        values = {model: [totals[run] for run in of] for model, of in models.items()}
        found.setdefault(dataset, []).append(_group(schedule, values))
    return found


def _values(runs: "DataFrame") -> dict[Run, float]:
    total = runs[runs["term"] == "total"]
    return {Run(*row): bpd for *row, bpd in total[[*IDENTITY, "bpd"]].itertuples(index=False, name=None)}


def _group(schedule: str, values: dict[str, list[float]]) -> Group:
    summaries = {model: summarise(of) for model, of in values.items()}
    ends = [bpd for of in values.values() for bpd in of]
    for summary in summaries.values():
        if not math.isnan(summary.se):
            ends += [summary.mean - summary.se, summary.mean + summary.se]
    low, high = min(ends), max(ends)
    if high - low < 1e-9 * abs(high):  # one run, or all equal
        low, high = low - 0.5, high + 0.5

    def place(bpd: float) -> float:
        return round(_DOWN + (_UP - _DOWN) * (bpd - low) / (high - low), 2)

    best = min(round(summary.mean, 3) for summary in summaries.values())
    bars = [
        Bar(
            model,
            _mean_se(summary),
            summary.n,
            len(summaries) > 1 and round(summary.mean, 3) == best,
            [place(bpd) for bpd in values[model]],
            place(summary.mean),
            None if math.isnan(summary.se) else (place(summary.mean - summary.se), place(summary.mean + summary.se)),
        )
        for model, summary in summaries.items()
    ]
    return Group(schedule, number(low), number(high), bars)


def _mean_se(summary: Summary) -> str:
    se = "<0.001" if 0 < summary.se < 0.0005 else number(summary.se)  # no spread of 0 where there is one
    return f"{number(summary.mean)} ± {se}"


def costs(study: Study, runs: "DataFrame") -> tuple[list[Cost], str]:
    """(what each model's trainings took, the device-hours of all): runs not trained here are named, not counted."""
    once = runs[runs["term"] == "total"]
    found = []
    for (dataset, schedule), models in study.groups().items():
        for model, of in models.items():
            mine = once[(once[list(IDENTITY[:3])] == [dataset, model, schedule]).all(axis=1)]
            key = (study.spec(dataset).title, schedule, model, len(of))
            found.append(_cost(key, mine) if of[0] in study.training else Cost(*key, *[ELSEWHERE] * 5))
    return found, hours(float(once["device_hours"].sum()))


def _cost(key: tuple[str, str, str, int], mine: "DataFrame") -> Cost:
    spent = mine["device_hours"]
    return Cost(
        *key,
        device="; ".join(sorted(mine["device"].unique())),
        each=hours(float(spent.mean())),
        total=hours(float(spent.sum())),
        peak=f"{mine['peak_gib'].max():.1f}",
        attempts=f"{int(mine['attempts'].sum()):,}",
    )


def hours(value: float) -> str:
    """Device-hours to three digits: 0.00214, 12.3, 4,120."""
    if value == 0:
        return "0"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{decimals}f}"
