"""The tables of losses and tests for reading: which of a frame's columns are shown, and how."""

import math
from functools import partial

import pandas as pd

from diffenc.reporting.tables.common import (
    BY_AUTHORS,
    PUBLISHED_VERSUS,
    TITLES,
    UNCOUNTED,
    VERSUS,
    WEIGHTED,
    measured,
)
from diffenc.reporting.tables.formatting import Cell, Column, Row, Table, interval, mean_se, number, p_value
from diffenc.reporting.tables.notes import said
from diffenc.study.published import NOT_ON_RECORD, NOTE, decimals
from diffenc.study.stages import TERMS
from diffenc.zoo.configs import FIXED_ENDS
from diffenc.zoo.expected import Expected

_GROUP = 2  # the first two columns, data set and schedule
_OVER_SEEDS = ("mean", "SE")
_ALWAYS = (*TERMS, "published")
NOT_EXPECTED = "no formula"


def table(frame: pd.DataFrame) -> Table:
    """What `losses` made, for reading: `mean ± standard error` to three decimals, the lowest mean total of each data
    set and schedule in bold, and notes on what the numbers are."""
    return Table(frame, _columns(frame), _notes(frame), _GROUP, _best(frame))


def _plain(column: str, decimals: int = 3) -> Cell:
    return lambda row: number(row[column], decimals)


def _difference(row: Row) -> str:
    # four decimals: models are evaluated under the same noise, so a difference is finer than its parts
    return interval(row, "difference", "ci95_low", "ci95_high", decimals=4)


def _test(column: str) -> Cell:
    return lambda row: "exact" if _exact(row) else p_value(row[column])


def _exact(row: Row) -> bool:
    """Neither model's term varies over its seeds: the difference is known, and a p-value would be for show."""
    return row["ci95_low"] == row["ci95_high"]


def _end(name: str) -> Cell:
    return lambda row: "fixed" if row["schedule"] in FIXED_ENDS else number(row[name], 2)


def _versus(row: Row) -> str:
    """Such as 0.027 (VDMv-32, published: 0.03); 0.004 (VDMv-8)."""
    texts = []
    for than, p in ((name.removeprefix(VERSUS), p) for name, p in row.items() if name.startswith(VERSUS)):
        if not pd.isna(p):
            paper = row.get(PUBLISHED_VERSUS + than, math.nan)
            texts.append(f"{p_value(p)} ({than}{'' if pd.isna(paper) else f', published: {paper:.2g}'})")
    return "; ".join(texts) or "no claim"


def _published(row: Row) -> str:
    """Such as 2.641 ± 0.003 (n = 3, sure: high)."""
    if pd.isna(row["published_total"]):
        return NOT_ON_RECORD
    text = number(row["published_total"], _published_decimals(row))
    if not pd.isna(row["published_total_se"]):
        text += f" ± {number(row['published_total_se'], _published_decimals(row))}"
    return f"{text} (n = {row['published_n']}, sure: {row['published_sure']})"


def _published_part(term: str) -> Cell:
    """A term of the published total, with its standard error if it was given."""

    def cell(row: Row) -> str:
        value, se = row[f"published_{term}"], row[f"published_{term}_se"]
        if pd.isna(value):
            return NOT_ON_RECORD
        places = _published_decimals(row) if term == "diffusion" else decimals(value)
        return number(value, places) + ("" if pd.isna(se) else f" ± {number(se, decimals(se))}")

    return cell


def _expected(row: Row) -> str:
    """Such as latent 0.0013; reconstruction 0.0105, of those that follow from data and ends."""
    found = {term: row[f"expected_{term}"] for term in Expected._fields}
    texts = {term: number(x, 4) if x >= 0.0001 else "< 0.0001" for term, x in found.items() if not pd.isna(x)}
    return "; ".join(f"{term} {text}" for term, text in texts.items()) or NOT_EXPECTED


def _published_decimals(row: Row) -> int:
    return decimals(*(row[f"published_{name}"] for name in ("total", "total_se", "diffusion")))


def _minus_published(row: Row) -> str:
    """Such as -0.021 (p = 0.027)."""
    if pd.isna(row["minus_published"]):
        return NOT_ON_RECORD
    p = row["minus_published_p_two_sided"]
    return number(row["minus_published"]) + ("" if pd.isna(p) else f" (p = {p_value(p)})".replace("= <", "<"))


# What a reader sees, in order: header, the columns it takes from the frame, a row's text, how it is aligned.
_VIEWS: list[tuple[str, tuple[str, ...], Cell, str]] = [
    ("schedule", ("schedule",), lambda row: row["schedule"], "left"),
    ("model", ("model",), lambda row: row["model"], "left"),
    ("claim", ("lower", "than"), lambda row: f"{row['lower']} < {row['than']}", "left"),
    ("seed", ("seed",), lambda row: row["seed"], "left"),
    ("term", ("term",), lambda row: row["term"], "left"),
    ("parameters", ("parameters",), lambda row: f"{row['parameters']:,}", "right"),
    ("steps", ("steps",), lambda row: f"{row['steps']:,}", "right"),
    ("n", ("n",), lambda row: "-" if pd.isna(row["n"]) else str(row["n"]), "right"),
    ("n", ("n_lower", "n_than"), lambda row: f"{row['n_lower']}, {row['n_than']}", "right"),
    *((term, (term, f"{term}_se"), partial(mean_se, name=term), "right") for term in TERMS),
    *((term, (term,), _plain(term), "right") for term in TERMS),
    (
        "MC SE of total",
        ("total_mc_se",),
        lambda row: "-" if row["seed"] in _OVER_SEEDS else number(row["total_mc_se"]),
        "right",
    ),
    ("difference [95 % CI]", ("difference", "ci95_low", "ci95_high"), _difference, "right"),
    ("p, one-sided", ("p_less",), _test("p_less"), "right"),
    ("p, two-sided", ("p_two_sided",), _test("p_two_sided"), "right"),
    ("Hedges' g", ("hedges_g",), _plain("hedges_g", 2), "right"),
    ("γ₀", ("gamma_0",), _end("gamma_0"), "right"),
    ("γ₁", ("gamma_1",), _end("gamma_1"), "right"),
    ("published", ("published_total", "published_total_se"), _published, "left"),
    *((f"published {term}", (f"published_{term}",), _published_part(term), "right") for term in TERMS[1:]),
    ("expected", ("expected_reconstruction",), _expected, "left"),
    ("ours - published", ("minus_published",), _minus_published, "right"),
]


def _columns(frame: pd.DataFrame) -> list[Column]:
    """The columns with something in them, and those that say so if there is nothing."""
    titles = frame.attrs[TITLES]
    found, taken = [Column("data set", lambda row: titles[row["dataset"]], "left")], set()
    for header, needs, cell, align in _VIEWS:
        present = all(name in frame and name not in taken for name in needs)
        if present and (header in _ALWAYS or not frame[list(needs)].isna().all().any()):
            found.append(Column(header, cell, align))
            taken |= set(needs)
    if any(name.startswith(VERSUS) for name in frame):
        found.append(Column("p (lower than)", _versus, "left"))
    return found


def _best(frame: pd.DataFrame) -> frozenset[tuple[int, str]]:
    """The mean totals that are the lowest of their data set and schedule, to the decimals shown."""
    if "total" not in frame:
        return frozenset()
    means = frame[frame["seed"] == "mean"] if "seed" in frame else frame
    shown = means["total"].round(3)
    groups = shown.groupby([means["dataset"], means["schedule"]])
    best = (shown == groups.transform("min")) & (groups.transform("size") > 1)
    return frozenset((frame.index.get_loc(i), "total") for i in best.index[best])


def _on_expected(frame: pd.DataFrame) -> list[str]:
    """What is expected, and of which data sets nothing is, as their manifests are of versions before."""
    shown = frame["expected_reconstruction"].notna().any() and "expected"
    lack = {name: frame.attrs[TITLES][name] for name in frame.attrs[UNCOUNTED] if name in set(frame["dataset"])}
    known = {"not_expected": NOT_EXPECTED, "titles": ", ".join(lack.values())}
    return said("losses", shown, len(lack) > 0 and "uncounted", **known)


def _notes(frame: pd.DataFrame) -> list[str]:
    """What the numbers are, and for each data set where they come from."""
    titles = frame.attrs[TITLES]
    if "difference" in frame:
        notes = said("losses", "tests", (frame["ci95_low"] == frame["ci95_high"]).any() and "exact")
    else:
        notes = said("losses", "seeds" if "seed" in frame else "means")
    if any(name.startswith(VERSUS) for name in frame):
        notes += said("losses", "versus")
    if "published_total" in frame:
        elsewhere = frame["model"][frame["trained"] == BY_AUTHORS]
        compared = frame["minus_published"].notna().any() and "minus_published"
        notes += [NOTE, *said("losses", compared, len(elsewhere) and "elsewhere", models=", ".join(elsewhere))]
        notes += _on_expected(frame)
    notes += frame.attrs[WEIGHTED]
    for dataset, group in frame.groupby("dataset", sort=False):
        release, images = (
            " or ".join(f"{value:,}" if column == "images" else value for value in group[column].unique())
            for column in ("release", "images")
        )
        ways = group[["passes", "protocol"]].drop_duplicates().itertuples(index=False, name=None)
        how = " or ".join(measured(*way) for way in ways)
        notes += said("losses", "source", title=titles[dataset], release=release, images=images, how=how)
    return notes
