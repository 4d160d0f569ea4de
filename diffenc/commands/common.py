"""What several commands share: checking what the user gave before any work is done."""

import tempfile
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from diffenc.errors import UserError
from diffenc.settings import Strict, explain
from diffenc.study import Study, load_study

Command = Callable[[Namespace], None]
Settings = TypeVar("Settings", bound=Strict)


def part(options: Namespace) -> Study:
    """The study, or its part on --dataset. Raises UserError if it has no such part."""
    study = load_study(options.study)
    if options.dataset is None:
        return study
    if options.dataset not in study.datasets:
        raise UserError(f"--dataset {options.dataset}: {options.study} has {', '.join(study.datasets)}; name one")
    return study.only(options.dataset)


def checked(kind: type[Settings], **values: Any) -> Settings:
    """A part of a study from options. Raises UserError naming the option."""
    try:
        return kind(**values)
    except ValidationError as error:
        raise UserError(f"--{explain(error)}")


def check_data(options: Namespace, dataset: str) -> None:
    """Raise UserError if --data holds another data set than the run's."""
    from diffenc import data

    found = data.manifest(options.data)["dataset"]
    if found != dataset:
        raise UserError(
            f"--data {options.data}: holds {found}, the run is on {dataset}; name the folder of {dataset}"
        )


def make_ready(folder: Path) -> None:
    """Find out whether results can be written before the work, not after it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise UserError(f"--out: {folder} cannot be written to ({error.strerror}); name another folder")
