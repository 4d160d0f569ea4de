"""FID of the models, over samples and data sets: the paper's Table 8."""

import math
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from diffenc.io.errors import UserError, make
from diffenc.reporting.tables.common import GROUP, model_columns, weighted
from diffenc.reporting.tables.formatting import Cell, Column, Row, Table, mean_se, number
from diffenc.reporting.tables.notes import said
from diffenc.results import fid as scores
from diffenc.results.fid import Score, Scores
from diffenc.statistics.welch import summarise
from diffenc.study.published import NOT_ON_RECORD, NOTE, Published, Reference
from diffenc.study.settings import INCEPTION, NO_INCEPTION
from diffenc.study.stages import FID
from diffenc.study.study import Run, Study, run_folder

_NO_WEIGHTS = "no Inception weights"
_NONE = "none of fid.models"
_NOT_ASKED_FOR = "not asked for"
_DECIMALS = 2


def fid(
    study: Study,
    runs: pd.DataFrame,
    tests: pd.DataFrame,
    folder: Path,
    published: Published,
) -> Table:
    """A row per model and number of samples: FID to each reference, mean and standard error over seeds.

    A row without a score says why in `not_computed`: the study has `fid.weights: absent`, or none of a group's models
    is in fid.models.

    Raises:
        UserError: a run's fid.json is missing, damaged, of other samples or images than the study says, or made with
            other weights than another's.
    """
    scores_of = found(study, folder)
    frame = pd.DataFrame([row for group in _groups(study) for row in _rows(study, *group, scores_of, published)])
    frame = frame.astype({"samples": "Int64", "published_n": "Int64"})
    columns = [
        *model_columns(study),
        Column("samples", lambda row: "n/a" if pd.isna(row["samples"]) else f"{row['samples']:,}"),
        Column("n", lambda row: str(row["n"]) if row["n"] else "n/a"),
    ]
    for reference in study.fid.references:
        columns.append(Column(_header(reference), _score(reference)))
        columns.append(Column(f"published, {reference}", _published(reference)))
    return Table(frame, columns, _notes(study, frame), GROUP, _best(study, frame))


def _groups(study: Study) -> Iterator[tuple[Row, dict[str, list[Run]]]]:
    """Data set and schedule, with those of their models and runs that are asked for."""
    asked_for = set(study.fid_runs())
    for (dataset, schedule), models in study.groups().items():
        wanted = {model: seeds for model, seeds in models.items() if asked_for.issuperset(seeds)}
        yield {"dataset": dataset, "schedule": schedule}, wanted


def found(study: Study, folder: Path) -> dict[Run, Scores]:
    """The scores of every run that has some, all made with the same weights."""
    if study.fid.weights == NO_INCEPTION:
        return {}
    scored = {run: _read(study, run, run_folder(folder, run) / FID) for run in study.fid_runs()}
    for run, one in scored.items():
        reference, first = next(iter(scored.items()))
        for key in ("implementation", "weights_sha256"):
            if getattr(one, key) != getattr(first, key):
                path = run_folder(folder, run) / FID
                raise UserError(
                    f"{path}: {key} is {getattr(one, key)}, in {reference.path} it is {getattr(first, key)}, not"
                    f" comparable; {make(path)}"
                )
    return scored


def _read(study: Study, run: Run, path: Path) -> Scores:
    """A run's scores, among which are those that the study asks for."""
    found = scores.read(path)
    for count in study.fid.counts:
        for reference in study.fid.references:
            one, images = score(found, count, reference), _images(study, run.dataset, reference)
            if one is None or one.images != images:
                against = "no such score" if one is None else f"one against {one.images:,}"
                asked = f"{count:,} samples against {images:,} {reference} images"
                raise UserError(f"{path}: the study asks for {asked}, this has {against}; {make(path)}")
    return found


def score(run: Scores, count: int, reference: str) -> Score | None:
    """Of so many samples, if it is there."""
    return next((one for one in run.scores if (one.samples, one.reference) == (count, reference)), None)


def _images(study: Study, dataset: str, reference: str) -> int:
    """With how many images of a split the samples are compared."""
    there = getattr(study.spec(dataset), reference)
    return min(there, study.fid.images or there)


def _rows(
    study: Study, key: Row, models: dict[str, list[Run]], found: dict[Run, Scores], published: Published
) -> Iterator[Row]:
    """The rows of one data set and schedule."""
    blank = {f"{name}{se}": math.nan for r in study.fid.references for name in _names(r) for se in ("", "_se")}
    blank |= {"published_n": pd.NA, "published_sure": NOT_ON_RECORD}
    blank |= {"not_computed": "", "implementation": "", "weights_sha256": ""}
    if not models:
        yield key | {"model": _NONE, "samples": pd.NA, "n": 0} | blank | {"not_computed": _NOT_ASKED_FOR}
    for model, seeds in models.items():
        here = [found[run] for run in seeds if run in found]
        for count in study.fid.counts:
            row = key | {"model": model, "samples": count, "n": len(here)} | blank
            if here:
                row |= {"implementation": here[0].implementation, "weights_sha256": here[0].weights_sha256}
            else:
                row["not_computed"] = _NO_WEIGHTS
            for reference in study.fid.references:
                row |= _ours(here, count, reference) | _beside(published, key, model, count, reference)
            yield row


def _names(reference: str) -> tuple[str, str]:
    """The columns of our mean and of the published one; with _se, of their standard errors."""
    return f"fid_{reference}", f"published_{reference}"


def _ours(seeds: list[Scores], count: int, reference: str) -> Row:
    """Mean and standard error over seeds, if there are any."""
    if not seeds:
        return {}
    summary = summarise([score(one, count, reference).fid for one in seeds])
    return {f"fid_{reference}": summary.mean, f"fid_{reference}_se": summary.se}


def _beside(published: Published, key: Row, model: str, count: int, reference: Reference) -> Row:
    """The paper's score of a model, if it is on record."""
    dataset, schedule = key["dataset"], key["schedule"]
    paper = published.fid(dataset, model, count, reference, schedule)
    result = published.result(dataset, model, schedule)
    if paper is None or result is None:
        return {}
    se = math.nan if paper.se is None else paper.se
    score = {f"published_{reference}": paper.value, f"published_{reference}_se": se}
    return score | {"published_n": result.seeds, "published_sure": result.sure}


def _header(reference: str) -> str:
    return f"FID to {reference}"


def _score(reference: str) -> Cell:
    return lambda row: row["not_computed"] or mean_se(row, f"fid_{reference}", _DECIMALS)


def _published(reference: str) -> Cell:
    """Such as 14.60 ± 0.10 (n = 3, sure: high)."""

    def cell(row: Row) -> str:
        value, se = row[f"published_{reference}"], row[f"published_{reference}_se"]
        if pd.isna(value):
            return NOT_ON_RECORD
        text = number(value, _DECIMALS) if pd.isna(se) else mean_se(row, f"published_{reference}", _DECIMALS)
        return f"{text} (n = {row['published_n']}, sure: {row['published_sure']})"

    return cell


def _best(study: Study, frame: pd.DataFrame) -> frozenset[tuple[int, str]]:
    """The lowest means among models with as many samples, to the decimals shown."""
    best = set()
    for reference in study.fid.references:
        shown = frame[f"fid_{reference}"].round(_DECIMALS)
        among = shown.groupby([frame["dataset"], frame["schedule"], frame["samples"]])
        lowest = (shown == among.transform("min")) & (among.transform("count") > 1)
        best |= {(i, _header(reference)) for i in frame.index[lowest]}
    return frozenset(best)


def _notes(study: Study, frame: pd.DataFrame) -> list[str]:
    """What was computed, how, and what it can show."""
    settings = study.fid
    datasets = list(frame["dataset"].unique())
    compared = {d: {reference: _images(study, d, reference) for reference in settings.references} for d in datasets}
    fewest = min(*settings.counts, *(images for one in compared.values() for images in one.values()))
    notes = said(
        "fid",
        *("fid", "samples", "no_likelihood"),
        fewest < scores.FEATURES and (frame["n"] > 0).any() and "singular",
        steps=settings.steps,
        seed=settings.seed,
        features=scores.FEATURES,
    )
    notes += [NOTE, *weighted(study), *_made_with(frame)]
    for dataset, images in compared.items():
        against = " and ".join(f"{count:,} {reference} images" for reference, count in images.items())
        notes += said("fid", "compared", title=study.spec(dataset).title, images=against)
    return notes


def _made_with(frame: pd.DataFrame) -> list[str]:
    """On which implementation and weights the scores rest, or that there are none."""
    notes, scored = [], frame[frame["n"] > 0][["implementation", "weights_sha256"]].drop_duplicates()
    for implementation, sha256 in scored.itertuples(index=False, name=None):
        name = "standard" if sha256 == scores.STANDARD_SHA256 else "not_standard"
        notes += said("fid", name, implementation=implementation, inception=INCEPTION, sha256=sha256[:16])
    missing = frame["not_computed"].unique()
    return notes + said(
        "fid",
        _NO_WEIGHTS in missing and "no_weights",
        _NOT_ASKED_FOR in missing and "not_asked_for",
        no_weights=_NO_WEIGHTS,
        absent=NO_INCEPTION,
        inception=INCEPTION,
        not_asked_for=_NOT_ASKED_FOR,
    )
