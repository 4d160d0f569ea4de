"""What a study's runs took, for the page, from runs.csv."""

import math
from typing import TYPE_CHECKING, NamedTuple

from diffenc.results.runs import IDENTITY
from diffenc.study.study import Study

if TYPE_CHECKING:
    from pandas import DataFrame


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
