"""Table `since`: likelihoods from Table 1 to today, each kind by itself, with the paper's and this study's bounds."""

import math
from itertools import groupby
from pathlib import Path

import pandas as pd

from diffenc.reporting.tables.common import sources
from diffenc.reporting.tables.formatting import Cell, Column, Row, Table, number
from diffenc.reporting.tables.literature import OURS, PAPER, TABLE_1
from diffenc.reporting.tables.notes import said
from diffenc.results.runs import check_runs
from diffenc.statistics.welch import summarise
from diffenc.study.published import KINDS, SINCE, SURE, Published, Since, decimals
from diffenc.study.study import Study
from diffenc.zoo.configs import DEQUANTISED

PIXELS = "pixels"
_GROUP = ("kind", "of")
_KINDS = [*KINDS.values()]
_PAPERS_YEAR = 2024
_NONE = "-"


def since(study: Study, runs: pd.DataFrame, tests: pd.DataFrame, folder: Path, published: Published) -> Table:
    """Bits per dimension by what they are of: `kind` of likelihood, and `of` pixels or dequantised data.

    A column for each data set and release that has a number; for each NAME also NAME_se, NAME_n and NAME_decimals.
    `depth` is the k of a bound in k steps. Rows of a group go by year; the study's own models, under all schedules,
    stand last among the bounds of pixels.

    Raises:
        UserError: `runs` is not exactly the study's.
    """
    check_runs(study, runs)
    rows = [_of_others(one) for one in published.since] + _of_paper(published) + _of_study(study, runs)
    frame = pd.DataFrame(sorted(rows, key=_place))
    shown = [name for name in SINCE if frame[name].notna().any()]
    whole = {f"{name}_{what}": "Int64" for name in SINCE for what in ("n", "decimals")}
    frame = frame.replace({"year": {math.inf: None}}).astype(whole | {"year": "Int64", "depth": "Int64"})
    columns = [
        *(Column(header, _word(header), "left") for header in _GROUP),
        Column("model", _word("model"), "left"),
        Column("augmented", _word("augmented"), "left"),
        *(Column(SINCE[name].title, _value(name)) for name in shown),
        Column("sure", _word("sure"), "left"),
        Column("source", _word("source"), "left"),
        Column("year", lambda row: _NONE if pd.isna(row["year"]) else str(row["year"])),
        Column("steps", _word("steps")),
    ]
    return Table(frame, columns, _notes(study, runs, published), group=len(_GROUP), bold=_best(frame, shown))


def _place(row: Row) -> tuple:
    """A sort key: kind, k, pixels before other data, year."""
    return _KINDS.index(row["kind"]), row["depth"] or 0, row["of"] != PIXELS, row["of"], row["year"]


def _row(model: str, year: float, source: str, sure: str) -> Row:
    """A bound of pixels without numbers; `year` is infinite for what is not published."""
    nothing = {"": math.nan, "_se": math.nan, "_n": None, "_decimals": None}
    return {
        **{"kind": KINDS["bound"], "depth": None, "of": PIXELS, "model": model, "year": year, "augmented": "no"},
        **{name + what: value for name in SINCE for what, value in nothing.items()},
        **{"steps": _NONE, "sure": sure, "source": source},
    }


def _number(name: str, value: float, se: float | None, n: int | None, *others: float | None) -> Row:
    se = math.nan if se is None else se
    return {name: value, f"{name}_se": se, f"{name}_n": n, f"{name}_decimals": decimals(value, se, *others)}


def _of_others(one: Since) -> Row:
    augmented = one.augmented if isinstance(one.augmented, str) else ("yes" if one.augmented else "no")
    of = f"dequantised, {one.dequantisation}" if one.dequantisation else PIXELS
    row = _row(one.model, one.year, one.source, one.sure)
    row |= {"kind": KINDS[one.kind], "depth": one.depth, "of": of + (f", k = {one.depth}" if one.depth else "")}
    row |= {"augmented": augmented, "steps": f"{one.steps:,}" if one.steps else _NONE}
    for name, value in one.values.items():
        row |= _number(name, value, None, one.seeds)
    return row


def _of_paper(published: Published) -> list[Row]:
    """The large models under a fixed schedule, each where the file has it."""
    rows = []
    for model in TABLE_1:
        found = {name: result for name in SINCE if (result := published.result(name, model, "fixed"))}
        row = _row(model, _PAPERS_YEAR, PAPER, " / ".join(dict.fromkeys(one.sure for one in found.values())))
        row["steps"] = _several({name: one.steps for name, one in found.items()})
        for name, one in found.items():
            row |= _number(name, one.total, one.total_se, one.seeds, one.diffusion)
        rows.append(row)
    return rows


def _of_study(study: Study, runs: pd.DataFrame) -> list[Row]:
    """A row for each model and schedule, means over seeds."""
    rows: dict[tuple[str, str], Row] = {}
    steps: dict[tuple[str, str], dict[str, int]] = {}
    totals = runs[runs["term"] == "total"]
    for (name, schedule), models in study.only(*SINCE).groups().items():
        for model, here in models.items():
            by = "trained here" if here[0] in study.training else "authors' weights"
            label = model if schedule == "fixed" else f"{model}, {schedule} schedule"
            mine = totals[(totals[["dataset", "model", "schedule"]] == [name, model, schedule]).all(axis=1)]
            bpd = summarise(mine["bpd"])
            row = rows.setdefault((model, schedule), _row(label, math.inf, OURS, by))
            if study.shape(here[0]).kind == DEQUANTISED:
                row["of"] = "dequantised, uniform"
            row |= _number(name, bpd.mean, bpd.se, bpd.n) | {f"{name}_decimals": 3}
            row["sure"] += "" if by in row["sure"] else f", {by}"
            steps.setdefault((model, schedule), {})[name] = int(mine["steps"].iloc[0])
    for key, row in rows.items():
        row["steps"] = _several(steps[key])
    return list(rows.values())


def _several(steps: dict[str, int | None]) -> str:
    """Of each data set where they differ, such as 8,000,000 (CIFAR-10); 1,500,000 (ImageNet32, new)."""
    known = {name: f"{count:,}" for name, count in steps.items() if count}
    if len(known) == len(steps) and len(set(known.values())) == 1:
        return next(iter(known.values()))
    return "; ".join(f"{count} ({SINCE[name].title})" for name, count in known.items()) or _NONE


def _word(name: str) -> Cell:
    return lambda row: row[name]


def _value(name: str) -> Cell:
    """Such as 2.641 ± 0.003 (n = 3), or 2.35* of what is not sure."""

    def cell(row: Row) -> str:
        if pd.isna(row[name]):
            return _NONE
        text = number(row[name], row[f"{name}_decimals"])
        if row["source"] == OURS or not pd.isna(row[f"{name}_se"]):
            text += f" ± {number(row[f'{name}_se'], row[f'{name}_decimals'])}"
        n = row[f"{name}_n"]
        return text + ("*" if row["sure"] == "low" else "") + ("" if pd.isna(n) else f" (n = {n})")

    return cell


def _best(frame: pd.DataFrame, shown: list[str]) -> frozenset[tuple[int, str]]:
    """The lowest of what is alike: of one kind, of the same data, in one release, without augmentation, and sure.

    To two decimals, as in the literature, and where there are several.
    """
    best = set()
    alike = frame[(frame["augmented"] == "no") & (frame["sure"] != "low")]
    for name in (one for one in shown if SINCE[one].release != "unknown"):
        for _, values in alike.dropna(subset=[name])[name].round(2).groupby([alike["kind"], alike["of"]]):
            if len(values) > 1:
                best |= {(i, SINCE[name].title) for i in values.index[values == values.min()]}
    return frozenset(best)


def _notes(study: Study, runs: pd.DataFrame, published: Published) -> list[str]:
    levels = "; ".join(f"{level}: {meaning}" for level, meaning in SURE.items())
    noted = sorted((one for one in published.since if one.note), key=lambda one: one.note)
    by_note = {note: "; ".join(one.model for one in ones) for note, ones in groupby(noted, lambda one: one.note)}
    notes = said("since", "kinds", "data", "alike", "sure", levels=levels, none=_NONE)
    notes += [f"{models}: {note}." for note, models in by_note.items()]
    ours = runs[runs["dataset"].isin(list(SINCE))]
    return notes + (sources(study, ours) if len(ours) else said("since", "absent", study=study.name))
