"""A finished run keeps its results under a second name: what is deleted beside it is not trained again.

Snakemake deletes a rule's outputs before it makes them anew, also when it has merely lost sight of the job that made
them: it was killed and the job went on, or the node failed in the job's last second.
"""

import contextlib
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from diffenc.errors import UserError
from diffenc.results import MODEL, TRAINED
from diffenc.weights import first_difference, load_model

KEPT = ".trained"


def keep(folder: Path) -> None:
    """Give the results of a run their second names; the weights, as a link, take no space.

    Raises:
        UserError: they cannot be written.
    """
    staged = folder / f"{KEPT}.partial"
    shutil.rmtree(staged, ignore_errors=True)
    try:
        staged.mkdir()
        for name in TRAINED:
            _copy(folder / name, staged / name)
        discard(folder)
        os.replace(staged, folder / KEPT)
    except OSError as error:
        raise UserError(f"{folder / KEPT}: cannot be written ({error.strerror or error}); free space, then run again")


def kept_since(folder: Path, moment: float) -> bool:
    """Whether the run was finished after that moment, in seconds of the epoch."""
    kept = folder / KEPT
    return kept.is_dir() and kept.stat().st_mtime > moment


def put_back(folder: Path, config: dict[str, Any]) -> bool:
    """Restore the results of this configuration, if they were kept whole; whether they are now there."""
    kept = folder / KEPT
    if not kept.is_dir():
        return False
    try:
        _, theirs = load_model(kept)
    except UserError as error:
        print(f"diffenc: warning: {str(error).partition('; ')[0]}; training again", file=sys.stderr)
        return False
    if first_difference(theirs, config) or not complete(kept):
        return False
    for name in TRAINED:
        if not (folder / name).exists():
            _copy(kept / name, folder / name)
            os.utime(folder / name)  # made now, to whoever compares times
    return True


def complete(folder: Path) -> bool:
    """Whether all that a training writes is in the folder."""
    return all((folder / name).is_file() for name in TRAINED)


def discard(folder: Path) -> None:
    """Forget them."""
    shutil.rmtree(folder / KEPT, ignore_errors=True)


def _copy(source: Path, target: Path) -> None:
    if source.name == MODEL:
        with contextlib.suppress(OSError):  # a file system without hard links
            os.link(source, target)
            return
    shutil.copy2(source, target)
