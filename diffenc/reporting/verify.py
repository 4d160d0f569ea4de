"""A whole study checked: weights, data, evaluations, tables and page belong together and are as they were written."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from diffenc import data
from diffenc.io.errors import UserError, make
from diffenc.io.files import sha256_of
from diffenc.reporting import render
from diffenc.reporting.html import provenance
from diffenc.reporting.html.tables import csv_uri
from diffenc.reporting.targets import files_shown, part_of, tables_of, tables_of_all
from diffenc.results import custody
from diffenc.results.runs import collect, read_runs
from diffenc.results.tests import add_holm, compare, read_tests
from diffenc.study.outputs import TABLE_FILES
from diffenc.study.stages import (
    CHECKSUMS,
    CONFIG,
    EVALUATION,
    FID,
    FILES,
    KEPT,
    MODEL,
    PAGE,
    PER_IMAGE,
    RUNS,
    TESTS,
    TRAINED,
)
from diffenc.study.study import Study, run_folder

if TYPE_CHECKING:
    from pandas import DataFrame

_RESULTS = {*FILES.values(), PER_IMAGE, FID}


def complaints(study: Study, folder: Path, prepared: Path, published: Path) -> Iterator[str]:
    """What does not fit, is damaged, not finite, or older than what it was made from: a line each.

    Args:
        study: whose results they are.
        folder: results/STUDY.
        prepared: results/data.
        published: the published numbers that tables have.
    """
    yield from before_the_page(study, folder, prepared, published)
    yield from _page(study, folder)


def before_the_page(study: Study, folder: Path, prepared: Path, published: Path) -> Iterator[str]:
    """`complaints`, of all but the page."""
    yield from _data(study, folder, prepared)
    yield from _runs(study, folder, prepared)
    yield from _csv(folder / RUNS, lambda: collect(study, folder))
    if study.comparisons:
        yield from _csv(folder / TESTS, lambda: add_holm(compare(study, read_runs(folder / RUNS))))
    yield from _tables(study, folder, prepared, published)


def _said(work: Callable[[], object]) -> Iterator[str]:
    try:
        work()
    except UserError as error:
        yield str(error)


def _data(study: Study, folder: Path, prepared: Path) -> Iterator[str]:
    """The images; of a study that was trained elsewhere the manifests alone are here."""
    for name in study.datasets:
        own = folder / "data" / name
        yield from _said(
            lambda own=own, name=name: data.manifest(own) if own.is_dir() else data.verify(prepared / name)
        )


def _runs(study: Study, folder: Path, prepared: Path) -> Iterator[str]:
    """Each run's files against each other, and its results against the weights and the data that are there."""
    shown = {folder / file for file in files_shown(study)}
    recorded = provenance.recorded(folder / CHECKSUMS)
    for run in study.all_runs:
        place = run_folder(folder, run)
        elsewhere = recorded.get(str((place / MODEL).relative_to(folder)))
        if not (place / MODEL).is_file() and elsewhere is None:
            yield f"{place / MODEL}: is missing; {make(place / MODEL)}"
            continue
        yield from _training(place)
        measured = {place / EVALUATION, place / PER_IMAGE, *(file for file in shown if file.parent == place)}
        sources, said = {}, []
        for file in sorted(file for file in measured if file.name in _RESULTS):
            try:
                sources[file] = custody.made_from(file)
            except UserError as error:
                said.append(str(error))
        yield from said
        yield from _fit(sources, place / MODEL, elsewhere, data.place(folder, prepared, run.dataset))


def _training(place: Path) -> Iterator[str]:
    """The configuration as the weights' file knows it; and what a training left against its second names."""
    written = custody.config_of(place / MODEL)
    if written is not None and custody.config_sha256(place / CONFIG) != written:
        yield f"{place / CONFIG}: is not as it was written with {MODEL}; restore it"
    for name in TRAINED:
        kept, file = place / KEPT / name, place / name
        both = kept.is_file() and file.is_file() and not kept.samefile(file)
        if both and sha256_of(kept) != sha256_of(file):
            yield f"{file}: was changed since the run was trained; copy {kept} there"


def _fit(sources: dict[Path, dict[str, str]], weights: Path, elsewhere: str | None, prepared: Path) -> Iterator[str]:
    """Results of one run, {file: what it was made from}, against the weights and data that are there.

    Of weights that stayed `elsewhere` the sha256 is on record. Times of files, which a copy may not keep, are asked
    only of a result that does not say what it was made from, and of weights that are here.
    """
    there = {"weights": sha256_of(weights) if weights.is_file() else elsewhere}
    with contextlib.suppress(UserError):  # it was said
        there |= {split: data.manifest(prepared)[split]["sha256"] for split in ("train", "test")}
    known = {found["weights"] for found in sources.values() if "weights" in found}
    if len(known) == 1 and there["weights"] not in known:
        yield f"{weights}: was changed: its sha256 is {there['weights']}, its results were made from {known.pop()}"
        return
    for file, found in sources.items():
        for what, sha256 in found.items():
            if what in there and there[what] != sha256:
                yield f"{file}: was made from {what} of sha256 {sha256}, there is {there[what]}; {make(file)}"
        if "weights" not in found and elsewhere is None and file.stat().st_mtime < weights.stat().st_mtime:
            yield f"{file}: is older than {weights}; {make(file)}"


def _csv(path: Path, again: Callable[[], "DataFrame"]) -> Iterator[str]:
    """A csv against the same made anew."""
    try:
        expected = again().to_csv(index=False, lineterminator="\n")
        found = path.read_text(encoding="utf-8") if path.is_file() else None
    except (UserError, UnicodeDecodeError) as error:
        yield f"{path}: {error}" if isinstance(error, UnicodeDecodeError) else str(error)
        return
    if found != expected:
        yield f"{path}: {'is missing' if found is None else 'is not what the runs say'}; {make(path)}"


def _tables(study: Study, folder: Path, prepared: Path, published: Path) -> Iterator[str]:
    """Each table against the same made anew, from csv files or not, as the rules make them."""
    with tempfile.TemporaryDirectory() as scratch:
        for stem in tables_of_all(study):
            yield from _table(study, folder, prepared, stem, published, Path(scratch))
        for name in study.datasets:
            part = study.only(name)
            place = folder / "tables" / name
            yield from _csv(place / RUNS, lambda part=part: collect(part, folder))
            yield from _csv(place / TESTS, lambda part=part, place=place: compare(part, read_runs(place / RUNS)))
            for stem in tables_of(study, name):
                yield from _table(part, folder, prepared, stem, published, Path(scratch), place)


def _table(
    study: Study,
    folder: Path,
    prepared: Path,
    stem: str,
    published: Path,
    scratch: Path,
    place: Path | None = None,
) -> Iterator[str]:
    kind = stem.rpartition("/")[2]
    try:
        of = part_of(kind, study)
        if place and kind not in study.selections:
            runs, tests = read_runs(place / RUNS), read_tests(place / TESTS)
        else:
            runs = collect(of, folder)
            tests = add_holm(compare(of, runs))
        render.table(kind, of, runs, tests, folder, prepared, published, scratch / stem)
    except UserError as error:
        yield str(error)
        return
    for suffix in TABLE_FILES:
        found = folder / f"{stem}.{suffix}"
        if not found.is_file():
            yield f"{found}: is missing; {make(found)}"
        elif found.read_bytes() != (scratch / f"{stem}.{suffix}").read_bytes():
            yield f"{found}: is not what the runs say; {make(found)}"


def _page(study: Study, folder: Path) -> Iterator[str]:
    """The page against its checksum, and the csv files that it offers to save against those that are here."""
    page = folder / PAGE
    if not page.is_file():
        yield f"{page}: is missing; {make(page)}"
        return
    content = page.read_bytes()
    if not custody.is_whole_page(content):
        yield f"{page}: was changed; {make(page)}"
        return
    tables = [*tables_of_all(study), *(stem for name in study.datasets for stem in tables_of(study, name))]
    files = [RUNS, *([TESTS] if study.comparisons else []), *(f"{stem}.csv" for stem in tables)]
    for file in (folder / name for name in files):
        if file.is_file() and csv_uri(file.read_bytes()).encode() not in content:
            yield f"{page}: was made from another {file}; {make(page)}"
