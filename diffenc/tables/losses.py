"""The losses and their tests, one tidy frame a table: loss components, per-seed values, tests."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pandas as pd

from diffenc.published import NOT_ON_RECORD, Published
from diffenc.results import PROVENANCE, TERMS, check_runs
from diffenc.settings import Selection
from diffenc.statistics import Summary, summarise, welch
from diffenc.study import Run, Study
from diffenc.tables.views import BY_AUTHORS, HERE, PUBLISHED_VERSUS, TITLES, VERSUS

Row = dict[str, Any]
_ENDS = ("gamma_0", "gamma_1")


def components(study: Study, runs: pd.DataFrame, tests: pd.DataFrame, published: Published) -> pd.DataFrame:
    """The loss components, a row per data set, schedule and model: the paper's Table 2.

    Terms are means over seeds in bits per dimension, with standard errors over seeds (missing with one seed);
    gamma_0 and gamma_1 are means too, given for learned schedules only. A column p_less_than_MODEL has the
    one-sided p-value of the total for each model that a comparison names, published_p_less_than_MODEL the paper's.
    The columns published_... are the paper's, minus_published is our total minus its, with Welch's two-sided p
    where both have a standard error; `trained` says by whom.

    Raises:
        UserError: `runs` is not exactly the study's.
    """
    rows = []
    for key, group in _groups(study, runs):
        row = key | _facts(group, "parameters", "steps") | {"n": group["seed"].nunique()}
        terms = {term: summarise(group["bpd"][group["term"] == term]) for term in TERMS}
        for term, summary in terms.items():
            row |= {term: summary.mean, f"{term}_se": summary.se}
        row |= {name: group[name].mean() if key["schedule"] == "learned" else math.nan for name in _ENDS}
        row |= _beside(published, **key, total=terms["total"])
        mine = tests[(tests[["dataset", "schedule", "lower", "term"]] == [*key.values(), "total"]).all(axis=1)]
        for than, p in zip(mine["than"], mine["p_less"], strict=True):
            paper = published.p_value(key["dataset"], key["model"], than, key["schedule"])
            row |= {VERSUS + than: p, PUBLISHED_VERSUS + than: math.nan if paper is None else paper}
        row |= {"trained": HERE if Run(**key, seed=group["seed"].iloc[0]) in study.training else BY_AUTHORS}
        rows.append(row | _facts(group, *PROVENANCE))
    return _titled(pd.DataFrame(rows).astype({"published_n": "Int64"}), study)


def selected(
    study: Study, runs: pd.DataFrame, tests: pd.DataFrame, published: Published, selection: Selection
) -> pd.DataFrame:
    """`components` of the selection's models, in its order, with p-values against each other only.

    Raises:
        UserError: `runs` is not exactly the study's.
    """
    frame = components(study, runs, tests, published)
    frame = frame[(frame["dataset"] == selection.dataset) & (frame["schedule"] == selection.schedule)]
    frame = frame.set_index("model", drop=False).loc[selection.models].reset_index(drop=True)
    others = [
        name
        for name in frame
        if name.startswith((VERSUS, PUBLISHED_VERSUS))
        and (name.split(VERSUS)[-1] not in selection.models or frame[name].isna().all())
    ]
    return frame.drop(columns=others)


def _beside(published: Published, dataset: str, schedule: str, model: str, total: Summary) -> Row:
    """The paper's result of a model, and by how much ours differs."""
    found = published.result(dataset, model, schedule)
    se = math.nan if found is None or found.total_se is None else found.total_se
    row = {
        "published_total": found.total if found else math.nan,
        "published_total_se": se,
        "published_diffusion": math.nan if found is None or found.diffusion is None else found.diffusion,
        "published_n": found.seeds if found else None,
        "published_sure": found.sure if found else NOT_ON_RECORD,
    }
    p = math.nan
    if not (math.isnan(se) or math.isnan(total.se)):
        p = welch(total, Summary(found.total, se, found.seeds)).p_two_sided
    return row | {"minus_published": total.mean - row["published_total"], "minus_published_p_two_sided": p}


def seeds(study: Study, runs: pd.DataFrame) -> pd.DataFrame:
    """Every run, a row per seed, then a row `mean` and a row `SE` (over seeds) for each model.

    Terms are in bits per dimension; total_mc_se is the Monte Carlo standard error of one run's total; gamma_0
    and gamma_1 are given for learned schedules only.

    Raises:
        UserError: `runs` is not exactly the study's.
    """
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
    return _titled(pd.DataFrame(rows)[order].astype({"n": "Int64"}), study)


def comparisons(study: Study, runs: pd.DataFrame, tests: pd.DataFrame) -> pd.DataFrame:
    """The tests, a row per comparison and term: tests.csv's columns, and what data and protocol they rest on.

    Raises:
        UserError: `runs` is not exactly the study's.
    """
    check_runs(study, runs)
    facts = runs.drop_duplicates("dataset").set_index("dataset")[list(PROVENANCE)]
    return _titled(tests.join(facts, on="dataset"), study)


def _titled(frame: pd.DataFrame, study: Study) -> pd.DataFrame:
    """With the data sets' titles, for reading."""
    frame.attrs[TITLES] = {dataset: study.facts(dataset).title for dataset in study.datasets}
    return frame


def _groups(study: Study, runs: pd.DataFrame) -> Iterator[tuple[Row, pd.DataFrame]]:
    """(dataset, schedule, model) with its rows of `runs`; in the study's order, each data set in one piece."""
    check_runs(study, runs)
    keys = dict.fromkeys((run.dataset, run.schedule, run.model) for run in study.all_runs)
    for key in sorted(keys, key=_first_seen(keys)):
        names = dict(zip(("dataset", "schedule", "model"), key, strict=True))
        yield names, runs[(runs[list(names)] == list(key)).all(axis=1)]


def _first_seen(keys: Iterable[tuple[str, ...]]) -> Callable[[tuple[str, ...]], tuple[int, int]]:
    """A sort key: the place of a key's data set, then of its schedule."""
    datasets = list(dict.fromkeys(key[0] for key in keys))
    schedules = list(dict.fromkeys(key[:2] for key in keys))
    return lambda key: (datasets.index(key[0]), schedules.index(key[:2]))


def _facts(group: pd.DataFrame, *columns: str) -> Row:
    return {column: group[column].iloc[0] for column in columns}
