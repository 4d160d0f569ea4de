"""The losses and their tests, one tidy frame a table: loss components, per-seed values, tests."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from diffenc.results import PROVENANCE, TERMS, check_runs
from diffenc.statistics import summarise
from diffenc.study import Study
from diffenc.tables.views import VERSUS

if TYPE_CHECKING:
    from pandas import DataFrame

Row = dict[str, Any]
_ENDS = ("gamma_0", "gamma_1")


def components(study: Study, runs: "DataFrame", tests: "DataFrame") -> "DataFrame":
    """The loss components, a row per data set, schedule and model: the paper's Table 2.

    Terms are means over seeds in bits per dimension, with standard errors over seeds (missing with one seed);
    gamma_0 and gamma_1 are means too, given for learned schedules only. A column p_less_than_MODEL has the
    one-sided p-value of the total for each model that a comparison names.

    Raises:
        UserError: `runs` is not exactly the study's.
    """
    import pandas as pd

    rows = []
    for key, group in _groups(study, runs):
        row = key | _facts(group, "parameters", "steps") | {"n": group["seed"].nunique()}
        for term in TERMS:
            summary = summarise(group["bpd"][group["term"] == term])
            row |= {term: summary.mean, f"{term}_se": summary.se}
        row |= {name: group[name].mean() if key["schedule"] == "learned" else math.nan for name in _ENDS}
        mine = tests[(tests[["dataset", "schedule", "lower", "term"]] == [*key.values(), "total"]).all(axis=1)]
        row |= {VERSUS + than: p for than, p in zip(mine["than"], mine["p_less"], strict=True)}
        rows.append(row | _facts(group, *PROVENANCE))
    return pd.DataFrame(rows)


def seeds(study: Study, runs: "DataFrame") -> "DataFrame":
    """Every run, a row per seed, then a row `mean` and a row `SE` (over seeds) for each model.

    Terms are in bits per dimension; total_mc_se is the Monte Carlo standard error of one run's total; gamma_0
    and gamma_1 are given for learned schedules only.

    Raises:
        UserError: `runs` is not exactly the study's.
    """
    import pandas as pd

    rows = []
    for key, group in _groups(study, runs):
        wide = group.pivot(index="seed", columns="term", values="bpd").loc[group["seed"].unique(), list(TERMS)]
        totals = group[group["term"] == "total"].set_index("seed")
        for end in _ENDS:
            wide[end] = totals[end] if key["schedule"] == "learned" else math.nan
        facts = _facts(group, *PROVENANCE)
        for seed, values in wide.iterrows():
            rows.append(key | {"seed": str(seed), "total_mc_se": totals["mc_se"][seed]} | dict(values) | facts)
        over_seeds = {column: summarise(wide[column]) for column in wide}
        for name, part in (("mean", "mean"), ("SE", "se")):
            values = {column: getattr(summary, part) for column, summary in over_seeds.items()}
            rows.append(key | {"seed": name, "n": len(wide)} | values | facts)
    order = ["dataset", "schedule", "model", "seed", "n", *TERMS, "total_mc_se", *_ENDS, *PROVENANCE]
    return pd.DataFrame(rows)[order].astype({"n": "Int64"})


def comparisons(study: Study, runs: "DataFrame", tests: "DataFrame") -> "DataFrame":
    """The tests, a row per comparison and term: tests.csv's columns, and what data and protocol they rest on.

    Raises:
        UserError: `runs` is not exactly the study's.
    """
    check_runs(study, runs)
    facts = runs.drop_duplicates("dataset").set_index("dataset")[list(PROVENANCE)]
    return tests.join(facts, on="dataset")


def _groups(study: Study, runs: "DataFrame") -> Iterator[tuple[Row, "DataFrame"]]:
    """(dataset, schedule, model) with its rows of `runs`; in the study's order, each data set in one piece."""
    check_runs(study, runs)
    keys = dict.fromkeys((run.dataset, run.schedule, run.model) for run in study.training)
    for key in sorted(keys, key=_first_seen(keys)):
        names = dict(zip(("dataset", "schedule", "model"), key, strict=True))
        yield names, runs[(runs[list(names)] == list(key)).all(axis=1)]


def _first_seen(keys: Iterable[tuple[str, ...]]) -> Callable[[tuple[str, ...]], tuple[int, int]]:
    """A sort key: the place of a key's data set, then of its schedule."""
    datasets = list(dict.fromkeys(key[0] for key in keys))
    schedules = list(dict.fromkeys(key[:2] for key in keys))
    return lambda key: (datasets.index(key[0]), schedules.index(key[:2]))


def _facts(group: "DataFrame", *columns: str) -> Row:
    return {column: group[column].iloc[0] for column in columns}
