"""Table `components`, and the selections: losses and their terms beside the published ones."""

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from diffenc.reporting.tables.common import (
    BY_AUTHORS,
    HERE,
    PUBLISHED_VERSUS,
    UNCOUNTED,
    VERSUS,
    Row,
    first_of,
    groups_of,
    titled,
)
from diffenc.results.runs import PROVENANCE
from diffenc.statistics.welch import Summary, summarise, welch
from diffenc.study.published import NOT_ON_RECORD, Published
from diffenc.study.settings import Selection
from diffenc.study.stages import TERMS
from diffenc.study.study import Run, Study
from diffenc.zoo.configs import FIXED_ENDS
from diffenc.zoo.expected import Expected, expected

ENDS = ("gamma_0", "gamma_1")
Pixels = Mapping[str, Sequence[int] | None]  # of each data set, how often each pixel value occurs in its test images


def components(
    study: Study, runs: pd.DataFrame, tests: pd.DataFrame, published: Published, pixels: Pixels
) -> pd.DataFrame:
    """The loss components, a row per data set, schedule and model: the paper's Table 2.

    Terms are means over seeds in bits per dimension, with standard errors over seeds (missing with one seed);
    gamma_0 and gamma_1 are means too, given where they are learned. A column p_less_than_MODEL has the
    one-sided p-value of the total for each model that a comparison names, published_p_less_than_MODEL the paper's.
    The columns published_... are the paper's, minus_published is our total minus its, with Welch's two-sided p
    where both have a standard error; `trained` says by whom. The columns expected_... are what terms come to by
    formula (`diffenc.zoo.expected`), from `pixels` and the ends of each run: means over seeds, nan where unknown.

    Raises:
        UserError: `runs` is not exactly the study's.
    """
    rows = []
    for key, group in groups_of(study, runs):
        row = key | first_of(group, "parameters", "steps") | {"n": group["seed"].nunique()}
        terms = {term: summarise(group["bpd"][group["term"] == term]) for term in TERMS}
        for term, summary in terms.items():
            row |= {term: summary.mean, f"{term}_se": summary.se}
        row |= {name: math.nan if key["schedule"] in FIXED_ENDS else group[name].mean() for name in ENDS}
        row |= _beside(published, **key, total=terms["total"])
        row |= _expected(study, key, group, pixels.get(key["dataset"]))
        mine = tests[(tests[["dataset", "schedule", "lower", "term"]] == [*key.values(), "total"]).all(axis=1)]
        for than, p in zip(mine["than"], mine["p_less"], strict=True):
            paper = published.p_value(key["dataset"], key["model"], than, key["schedule"])
            row |= {VERSUS + than: p, PUBLISHED_VERSUS + than: math.nan if paper is None else paper}
        row |= {"trained": HERE if Run(**key, seed=group["seed"].iloc[0]) in study.training else BY_AUTHORS}
        rows.append(row | first_of(group, *PROVENANCE))
    frame = titled(pd.DataFrame(rows).astype({"published_n": "Int64"}), study)
    frame.attrs[UNCOUNTED] = [name for name in study.datasets if not pixels.get(name)]
    return frame


def selected(
    study: Study,
    runs: pd.DataFrame,
    tests: pd.DataFrame,
    published: Published,
    pixels: Pixels,
    selection: Selection,
) -> pd.DataFrame:
    """`components` of the selection's models, in its order, with p-values against each other only.

    Raises:
        UserError: `runs` is not exactly the study's.
    """
    frame = components(study, runs, tests, published, pixels)
    frame = frame[(frame["dataset"] == selection.dataset) & (frame["schedule"] == selection.schedule)]
    frame = frame.set_index("model", drop=False).loc[selection.models].reset_index(drop=True)
    others = [
        name
        for name in frame
        if name.startswith((VERSUS, PUBLISHED_VERSUS))
        and (name.split(VERSUS)[-1] not in selection.models or frame[name].isna().all())
    ]
    return frame.drop(columns=others)


def _expected(study: Study, key: Row, group: pd.DataFrame, pixels: Sequence[int] | None) -> Row:
    """The terms that follow from data and ends, means over seeds in bits per dimension."""
    found = [Expected()]
    if pixels:
        ends = group[group["term"] == "total"][["seed", *ENDS]].itertuples(index=False, name=None)
        found = [expected(study.shape(Run(**key, seed=seed)), *of_run, pixels) for seed, *of_run in ends]
    return {f"expected_{term}": summarise([getattr(one, term) for one in found]).mean for term in Expected._fields}


def _beside(published: Published, dataset: str, schedule: str, model: str, total: Summary) -> Row:
    """The paper's result of a model, and by how much ours differs."""
    found = published.result(dataset, model, schedule)
    known = found.model_dump() if found else {}
    values = {name: known.get(name) for term in TERMS for name in (term, f"{term}_se")}
    row = {
        **{f"published_{name}": math.nan if value is None else value for name, value in values.items()},
        "published_n": found.seeds if found else None,
        "published_sure": found.sure if found else NOT_ON_RECORD,
    }
    p, se = math.nan, row["published_total_se"]
    if not (math.isnan(se) or math.isnan(total.se)):
        p = welch(total, Summary(found.total, se, found.seeds)).p_two_sided
    return row | {"minus_published": total.mean - row["published_total"], "minus_published_p_two_sided": p}
