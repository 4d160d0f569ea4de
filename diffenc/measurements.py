"""What is measured of a run: the commands that do it, the file that each writes, and its options from the study."""

from pathlib import Path

from diffenc import results, show
from diffenc.results import run_folder
from diffenc.settings import Strict
from diffenc.study import Run, Study

# the command and the file that it writes; FID goes by samples and is apart
FILES = {
    "evaluate": results.EVALUATION,
    "sample": results.SAMPLES,
    "encode": results.ENCODINGS,
    "inspect": results.INSPECTION,
    "depth": results.DEPTH,
}


def measurements(study: Study, run: Run) -> list[str]:
    """The commands of FILES that the study wants of a run: evaluation, and what its tables and figures show."""
    shown = files_shown(study)
    folder = run_folder(Path(), run)
    return [command for command, file in FILES.items() if command == "evaluate" or folder / file in shown]


def files_shown(study: Study) -> set[Path]:
    """The runs' files that the study's tables and figures are made of, below the study's folder."""
    found = {file for kind in study.tables for file in show.table_files(kind, study, Path())}
    for (dataset, schedule), models in study.groups().items():
        for kind in show.OF_A_GROUP.keys() & set(study.figures):
            for files in show.group_files(kind, study, dataset, schedule, Path()).values():
                found.update(files)
        firsts = [runs[0] for runs in models.values()]
        for figure in show.OF_A_RUN.values():
            if figure.asked_for in study.figures:
                found.update(
                    run_folder(Path(), run) / figure.file for run in firsts if show.belongs(figure.which, study, run)
                )
    return found


def options_of(command: str, study: Study, dataset: str) -> str:
    """How a command of FILES measures the study's runs on a data set, as command line options."""
    settings = {
        "evaluate": study.evaluation_of(dataset),
        "sample": study.samples,
        "inspect": study.inspection,
        "depth": study.depth,
    }
    return as_options(settings[command]) if command in settings else ""


def as_options(settings: Strict) -> str:
    """A part of a study as command line options."""
    given = {name: value for name, value in settings.model_dump().items() if value is not None}
    words = {name: value if isinstance(value, list) else [value] for name, value in given.items()}
    return " ".join(f"--{name} {' '.join(map(str, values))}" for name, values in words.items())
