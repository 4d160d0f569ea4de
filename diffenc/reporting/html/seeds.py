"""The page's picture: each model's seeds, mean and interval on one axis, the margin, the comparison's difference.

Places are percentages of the axis' width: the page draws them with boxes, as sharp on a phone as on paper.
"""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from scipy import special

from diffenc.reporting.tables.formatting import interval, number
from diffenc.results.runs import IDENTITY
from diffenc.statistics.welch import summarise
from diffenc.study.study import Run, Study

if TYPE_CHECKING:
    from pandas import DataFrame

Span = tuple[float, float]  # where a bar begins, and how wide it is
_ROOM = 0.04  # of the axis, left free at each end
_TICKS = 5  # steps on an axis, at most: their numbers stand beside each other on a phone, too
_REACH = 2  # a model further from the two that are compared than so many times their width is beyond the axis


class Row(NamedTuple):
    """A model, or a difference: its mean and 95 % interval as text and on the axis, its seeds there.

    `beyond` is the side, left or right, on which a part of it lies beyond the axis, if any.
    """

    name: str
    value: str
    interval: str
    n: str
    best: bool
    dots: list[float]
    mean: float | None
    span: Span | None
    beyond: str


class Tick(NamedTuple):
    """A number below the axis."""

    place: float
    text: str


class Group(NamedTuple):
    """The models of one data set and schedule on one axis, bits per dimension; below, the first comparison of them.

    The margin is drawn around the model that is compared with, and the difference's 0 stands where that model's mean
    is.
    """

    of: str
    rows: list[Row]
    ticks: list[Tick]
    than: str
    margin: Span | None
    difference: Row | None
    difference_ticks: list[Tick]


class Axis(NamedTuple):
    """From `low` to `high`, with room at both ends."""

    low: float
    high: float

    def place(self, value: float) -> float | None:
        """Where a value stands; None if beyond."""
        if not self.low <= value <= self.high:
            return None
        return round(100 * (_ROOM + (1 - 2 * _ROOM) * (value - self.low) / (self.high - self.low)), 2)

    def span(self, low: float, high: float) -> Span | None:
        """The part of an interval that is on the axis."""
        if high < self.low or low > self.high:
            return None
        ends = [self.place(min(max(end, self.low), self.high)) or 0.0 for end in (low, high)]
        return ends[0], round(ends[1] - ends[0], 2)

    def beyond(self, values: Iterable[float]) -> str:
        """The side on which one of the values lies beyond."""
        values = list(values)
        return "left" if min(values) < self.low else "right" if max(values) > self.high else ""

    def ticks(self, origin: float = 0.0) -> list[Tick]:
        """Round numbers, counted from an origin."""
        rough = (self.high - self.low) / _TICKS
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        first, last = math.ceil((self.low - origin) / step), math.floor((self.high - origin) / step)
        values = [step * i for i in range(first, last + 1)]
        return [Tick(place, number(value, decimals)) for value in values if (place := self.place(origin + value))]


class _Model(NamedTuple):
    seeds: list[float]
    mean: float
    low: float
    high: float

    def ends(self) -> list[float]:
        return [*self.seeds, self.low, self.high]


def groups(study: Study, runs: "DataFrame", tests: "DataFrame | None") -> list[Group]:
    """Every data set and schedule; the main comparison's, the study's first, is the first."""
    total = runs[runs["term"] == "total"]
    values = {Run(*row): bpd for *row, bpd in total[[*IDENTITY, "bpd"]].itertuples(index=False, name=None)}
    rows = [] if tests is None else tests[tests["term"] == "total"].to_dict("records")
    keys = list(study.groups())
    if rows:
        keys.sort(key=lambda key: key != (rows[0]["dataset"], rows[0]["schedule"]))
    return [
        _group(
            f"{study.spec(dataset).title}, {schedule} schedule",
            {model: _model([values[run] for run in of]) for model, of in study.groups()[dataset, schedule].items()},
            next((row for row in rows if (row["dataset"], row["schedule"]) == (dataset, schedule)), None),
            study.margin,
        )
        for dataset, schedule in keys
    ]


def _model(seeds: list[float]) -> _Model:
    """One seed says nothing of the spread: its interval is itself."""
    mean, se, n = summarise(seeds)
    half = float(special.stdtrit(n - 1, 0.975)) * se if n > 1 else 0.0
    return _Model(seeds, mean, mean - half, mean + half)


def _group(of: str, models: dict[str, _Model], test: dict[str, Any] | None, margin: float) -> Group:
    axis = _axis(models, test, margin)
    best = min(round(model.mean, 3) for model in models.values())
    rows = [
        _row(axis, name, model, len(models) > 1 and round(model.mean, 3) == best) for name, model in models.items()
    ]
    if test is None:
        return Group(of, rows, axis.ticks(), "", None, None, [])
    zero = models[test["than"]].mean
    difference, low, high = (zero + test[name] for name in ("difference", "ci95_low", "ci95_high"))
    row = Row(
        name=f"{test['lower']} less {test['than']}",
        value=number(test["difference"]),
        interval=interval(test, "difference", "ci95_low", "ci95_high", 3).partition(" ")[2],
        n=f"{test['n_lower']}, {test['n_than']}",
        best=False,
        dots=[],
        mean=axis.place(difference),
        span=axis.span(low, high),
        beyond=axis.beyond([low, high]),
    )
    return Group(of, rows, axis.ticks(), test["than"], axis.span(zero - margin, zero + margin), row, axis.ticks(zero))


def _axis(models: dict[str, _Model], test: dict[str, Any] | None, margin: float) -> Axis:
    """All models; with a comparison its two, margin and interval, and no more around them than leaves them large."""
    ends = [end for model in models.values() for end in model.ends()]
    low, high = min(ends), max(ends)
    if test is not None:
        zero = models[test["than"]].mean
        ends = models[test["lower"]].ends() + models[test["than"]].ends()
        ends += [zero - margin, zero + margin, zero + test["ci95_low"], zero + test["ci95_high"]]
        reach = _REACH * (max(ends) - min(ends))
        low, high = min(*ends, max(low, min(ends) - reach)), max(*ends, min(high, max(ends) + reach))
    if high - low < 1e-9 * abs(high):  # one run, or all equal
        low, high = low - 0.5, high + 0.5
    return Axis(low, high)


def _row(axis: Axis, name: str, model: _Model, best: bool) -> Row:
    several = len(model.seeds) > 1
    return Row(
        name=name,
        value=number(model.mean),
        interval=f"[{number(model.low)}, {number(model.high)}]" if several else "",
        n=str(len(model.seeds)),
        best=best,
        dots=[place for seed in model.seeds if (place := axis.place(seed)) is not None],
        mean=axis.place(model.mean),
        span=axis.span(model.low, model.high) if several else None,
        beyond=axis.beyond(model.ends()),
    )
