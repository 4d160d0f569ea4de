"""The comparison with the literature: the paper's Table 1, with its own results and ours below."""

import math
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from diffenc.data import catalog
from diffenc.reporting.tables.common import measured
from diffenc.reporting.tables.formatting import Cell, Column, Row, Table, number
from diffenc.reporting.tables.notes import said
from diffenc.results.runs import PROVENANCE, check_runs
from diffenc.statistics.welch import summarise
from diffenc.study.published import NOT_ON_RECORD, SURE, Literature, Published, Result, decimals
from diffenc.study.study import Run, Study

DATASETS = {name: catalog.DATASETS[name].title for name in ("cifar10", "imagenet32")}
LITERATURE, PAPER, OURS = "literature", "DiffEnc paper", "this study"
# of the paper's results, those that it sets beside the literature
TABLE_1 = ("VDMv-32", "DiffEnc-32-4", "DiffEnc-32-8")
_NOT_REPORTED, _NOT_HERE, _NO_FIXED = "none reported", "not in this study", "no run with a fixed schedule"
_NONE = {LITERATURE: _NOT_REPORTED, PAPER: NOT_ON_RECORD}
_NO_MODEL = "no model"


def literature(study: Study, runs: pd.DataFrame, tests: pd.DataFrame, folder: Path, published: Published) -> Table:
    """Bits per dimension on CIFAR-10's and ImageNet32's test sets: literature, the paper's large models, ours.

    Literature stands in the published file's order, the paper's; ours are all models with a fixed schedule, means
    over seeds. For each data set NAME the columns NAME (the mean), NAME_se, NAME_n, NAME_decimals (how many its
    source gives) and NAME_steps, and the release of ImageNet32.

    Raises:
        UserError: `runs` is not exactly the study's.
    """
    check_runs(study, runs)
    rows = [_of_literature(one) for one in published.literature]
    rows += _of_paper(published)
    rows += _of_study(study, runs)
    frame = pd.DataFrame(rows)
    whole = {f"{name}_{what}": "Int64" for name in DATASETS for what in ("n", "decimals", "steps")}
    frame = frame.astype(whole)
    columns = [
        Column("source", lambda row: row["source"], "left"),
        Column("model", lambda row: row["model"], "left"),
        Column("type", lambda row: row["type"], "left"),
        *(Column(title, _value(name, study), "left") for name, title in DATASETS.items()),
        Column("sure", lambda row: row["sure"], "left"),
    ]
    return Table(frame, columns, _notes(study, runs, frame), group=1, bold=_best(frame))


def _row(source: str, model: str, kind: str, sure: str) -> Row:
    """A row without numbers."""
    nothing = {"": math.nan, "_se": math.nan, "_n": None, "_decimals": None, "_steps": None}
    return {
        **{"source": source, "model": model, "type": kind},
        **{name + what: value for name in DATASETS for what, value in nothing.items()},
        **{"imagenet32_release": "none", "sure": sure},
    }


def _of_literature(one: Literature) -> Row:
    row = _row(LITERATURE, one.model, one.type, one.sure)
    for name in DATASETS:
        value = getattr(one, name)
        if value is not None:
            row |= {name: value, f"{name}_decimals": decimals(value)}
    if one.imagenet32 is not None:
        row["imagenet32_release"] = "old" if one.old else "new"
    return row


def _of_paper(published: Published) -> Iterator[Row]:
    for model in TABLE_1:
        found = {name: published.result(name, model, "fixed") for name in DATASETS}
        results = {name: result for name, result in found.items() if result}
        sure = " / ".join(dict.fromkeys(result.sure for result in results.values())) or NOT_ON_RECORD
        row = _row(PAPER, model, "Diff", sure)
        for name, result in results.items():
            row |= _published(name, result)
        if "imagenet32" in results:
            row["imagenet32_release"] = "new"
        yield row


def _published(name: str, result: Result) -> Row:
    return {
        name: result.total,
        f"{name}_se": math.nan if result.total_se is None else result.total_se,
        f"{name}_n": result.seeds,
        f"{name}_decimals": decimals(
            *(x for x in (result.total, result.total_se, result.diffusion) if x is not None)
        ),
    }


def _of_study(study: Study, runs: pd.DataFrame) -> list[Row]:
    """A row for each model; a single one that says so if there is none."""
    rows: dict[str, Row] = {}
    for name in DATASETS:
        for model, here in study.groups().get((name, "fixed"), {}).items():
            by = "trained here" if here[0] in study.training else "authors' weights"
            row = rows.setdefault(model, _row(OURS, model, "Diff", by))
            row |= _measured(name, here, runs)
            if by not in row["sure"]:
                row["sure"] += f", {by}"
            if name == "imagenet32":
                row["imagenet32_release"] = "new"
    if not rows:
        return [
            _row(OURS, _NO_MODEL, "Diff", _NO_FIXED if any(_learned(study, name) for name in DATASETS) else _NOT_HERE)
        ]
    return list(rows.values())


def _learned(study: Study, name: str) -> list[str]:
    """The models with another schedule than the fixed one on a data set, which are not shown."""
    groups = {schedule: models for (_, schedule), models in study.groups(name).items() if schedule != "fixed"}
    return list(dict.fromkeys(model for models in groups.values() for model in models))


def _absent(study: Study, name: str, model: str) -> str:
    """Why a model, or all of them, has no number of ours."""
    learned = _learned(study, name)
    return _NO_FIXED if model in learned or (learned and model == _NO_MODEL) else _NOT_HERE


def _measured(name: str, here: list[Run], runs: pd.DataFrame) -> Row:
    mine = (runs[["dataset", "model", "schedule", "term"]] == [*here[0][:3], "total"]).all(axis=1)
    found = summarise(runs["bpd"][mine])
    steps = runs["steps"][mine].iloc[0]
    values = {"": found.mean, "_se": found.se, "_n": found.n, "_decimals": 3, "_steps": steps}
    return {name + what: value for what, value in values.items()}


def _value(name: str, study: Study) -> Cell:
    """Such as 2.641 ± 0.003 (n = 3); for ImageNet32 with the release."""

    def cell(row: Row) -> str:
        if pd.isna(row[name]):
            return _absent(study, name, row["model"]) if row["source"] == OURS else _NONE[row["source"]]
        text = number(row[name], row[f"{name}_decimals"])
        if row["source"] == OURS or not pd.isna(row[f"{name}_se"]):
            text += f" ± {number(row[f'{name}_se'], row[f'{name}_decimals'])}"
        told = [f"n = {row[f'{name}_n']}"] if not pd.isna(row[f"{name}_n"]) else []
        told += [row["imagenet32_release"]] if name == "imagenet32" else []
        return f"{text} ({', '.join(told)})" if told else text

    return cell


def _best(frame: pd.DataFrame) -> frozenset[tuple[int, str]]:
    """The lowest of each column, to two decimals as in the literature; of ImageNet32, of each release."""
    best = set()
    for name, title in DATASETS.items():
        releases = frame["imagenet32_release"] if name == "imagenet32" else frame["type"].notna()
        for _, values in frame[name].round(2).groupby(releases):
            best |= {(i, title) for i in values.index[values == values.min()]}
    return frozenset(best)


def _notes(study: Study, runs: pd.DataFrame, frame: pd.DataFrame) -> list[str]:
    levels = "; ".join(f"{level}: {meaning}" for level, meaning in SURE.items())
    known = {"levels": levels, "not_reported": _NOT_REPORTED, "not_on_record": NOT_ON_RECORD}
    notes = said("literature", "bits", "imagenet32", "sources", **known)
    for name, title in DATASETS.items():
        mine = runs[(runs["dataset"] == name) & (runs["schedule"] == "fixed")]
        if mine.empty:
            absent = f"{_NO_FIXED} in this study" if _learned(study, name) else _NOT_HERE
            notes += said("literature", "absent", title=title, why=absent, study=study.name)
            continue
        trained = frame[frame["source"] == OURS].dropna(subset=[name])
        steps = "; ".join(f"{row['model']} {row[f'{name}_steps']:,}" for row in trained.to_dict("records"))
        release, images, *how = (mine[column].iloc[0] for column in PROVENANCE)
        ours = {"title": title, "release": release, "images": images, "how": measured(*how), "steps": steps}
        notes += said("literature", "ours", **ours)
    learned = [f"{title}: {', '.join(of)}" for name, title in DATASETS.items() if (of := _learned(study, name))]
    return notes + said("literature", learned and "learned", models="; ".join(learned))
