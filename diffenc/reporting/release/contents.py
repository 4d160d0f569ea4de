"""What a release holds: a study's small files where they lay, its weights apart, and the code that made both.

Without weights in `runs` it is laid out as a study that was trained elsewhere, from which Snakemake makes tables and
page whatever the files' times are: a copy that changes them does not make it train or measure again.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import diffenc
from diffenc import data
from diffenc.data.prepare import MANIFEST
from diffenc.io.errors import UserError
from diffenc.io.files import link, sha256_of, write_file
from diffenc.reporting.html.provenance import recorded
from diffenc.reporting.targets import figures_of, files_shown, tables_of, tables_of_all
from diffenc.study.outputs import TABLE_FILES
from diffenc.study.stages import (
    CHECKSUMS,
    CLAIMS,
    CONFIG,
    COST,
    EVALUATION,
    HISTORY,
    MODEL,
    PAGE,
    PER_IMAGE,
    RUNS,
    STUDY,
    TESTS,
)
from diffenc.study.study import Run, Study, run_folder

WEIGHTS, CODE = "weights", "code"
SNAKEFILE = "workflow/Snakefile"
LICENCE, CITATION = "LICENSE", "CITATION.cff"
# of the checkout, beside the package itself: what `make env` and Snakemake need
_OF_THE_CHECKOUT = ("workflow", "config", "envs", "Makefile", "pyproject.toml", "README.md", LICENCE, CITATION)


class Weights(NamedTuple):
    """A run's weights: their sha256, and whether they are in the folder; if not, why."""

    sha256: str
    here: bool
    why: str = ""


def small_files(study: Study, folder: Path) -> list[Path]:
    """All of a study but weights and data, below its folder results/STUDY."""
    tables = [*tables_of_all(study), *(stem for name in study.datasets for stem in tables_of(study, name))]
    figures = [stem for name in study.datasets for stem in figures_of(study, name)]
    found = [STUDY, RUNS, PAGE, *([TESTS] if study.comparisons else [])]
    found += [f"tables/{name}/{file}" for name in study.datasets for file in (RUNS, TESTS)]
    found += [f"{stem}.{suffix}" for stem in tables for suffix in TABLE_FILES]
    found += [f"{stem}.{suffix}" for stem in figures for suffix in ("svg", "png")]
    of_runs = {run_folder(Path(), run) / name for run in study.all_runs for name in (CONFIG, EVALUATION, PER_IMAGE)}
    of_runs |= {run_folder(Path(), run) / name for run in study.training for name in (HISTORY, COST)}
    claims = {run_folder(Path(), run) / CLAIMS for run in study.training}
    of_runs |= {file for file in claims if (folder / file).is_file()} | files_shown(study)
    return [*map(Path, found), *sorted(of_runs)]


def copy_small_files(study: Study, folder: Path, prepared: Path, out: Path) -> None:
    """Those, and the manifest of each data set. Raises OSError."""
    for file in small_files(study, folder):
        _copy(folder / file, out / file)
    for name in study.datasets:
        _copy(data.place(folder, prepared, name) / MANIFEST, out / "data" / name / MANIFEST)


def copy_weights(study: Study, folder: Path, out: Path) -> dict[Run, Weights]:
    """Each run's weights with their configuration, and the list of all their checksums. Raises OSError."""
    known, found = recorded(folder / CHECKSUMS), {}
    for run in study.all_runs:
        source, target = run_folder(folder, run), out / WEIGHTS / run.path
        name = str(run_folder(Path(), run) / MODEL)
        if run not in study.training:
            sha256 = sha256_of(source / MODEL) if (source / MODEL).is_file() else known[name]
            found[run] = Weights(sha256, False, "they are another's to publish")
        elif (source / MODEL).is_file():
            for file in (MODEL, CONFIG):
                target.mkdir(parents=True, exist_ok=True)
                link(source / file, target / file)
            found[run] = Weights(sha256_of(source / MODEL), True)
        else:
            found[run] = Weights(known[name], False, "they stayed where they were trained")
    names = {str(run_folder(Path(), run) / MODEL): one.sha256 for run, one in found.items()}
    write_file(out / CHECKSUMS, "".join(f"{sha256}  {name}\n" for name, sha256 in names.items()))
    return found


def copy_code(study: Study, checkout: Path, out: Path) -> None:
    """The workflow, the package and its lock, and modules of the study's own that lie beside them.

    Raises:
        UserError: `checkout` has no workflow.
        OSError: a file cannot be copied.
    """
    if not (checkout / SNAKEFILE).is_file():
        raise UserError(f"{SNAKEFILE}: is missing; publish from the checkout that made the study")
    package = Path(diffenc.__file__).parent
    for source in (*(checkout / name for name in _OF_THE_CHECKOUT), *_modules(study, checkout), package):
        if source.is_dir():
            unwanted = shutil.ignore_patterns("__pycache__", ".*")
            shutil.copytree(source, out / CODE / source.name, ignore=unwanted)
        elif source.is_file():
            _copy(source, out / CODE / source.name)
    _copy(checkout / LICENCE, out / LICENCE)


def _modules(study: Study, checkout: Path) -> Iterator[Path]:
    """Those of encoders and schedules that the study names as module:Class."""
    named = [*study.schedules, *(model.encoder for model in study.models.values() if model.encoder)]
    for module in sorted({name.partition(":")[0].partition(".")[0] for name in named if ":" in name}):
        yield from (place for place in (checkout / f"{module}.py", checkout / module) if place.exists())


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
