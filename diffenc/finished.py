"""A finished run keeps its results under a second name: what is deleted beside it is not trained again.

Snakemake deletes a rule's outputs before it makes them anew, also when it has merely lost sight of the job that made
them: it was killed and the job went on, or the node failed in the job's last second.
"""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from diffenc.errors import UserError
from diffenc.results import TRAINED
from diffenc.weights import first_difference, load_model

KEPT = ".trained"


def keep(folder: Path) -> None:
    """Give the results of a run their second names; as links they take no space."""
    discard(folder)
    staged = folder / f"{KEPT}.partial"
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir()
    for name in TRAINED:
        _link(folder / name, staged / name)
    os.replace(staged, folder / KEPT)


def put_back(folder: Path, config: dict[str, Any]) -> bool:
    """Restore the results of this configuration, if they were kept whole; whether they were."""
    kept = folder / KEPT
    if not kept.is_dir():
        return False
    try:
        _, theirs = load_model(kept)
    except UserError as error:
        print(f"diffenc: warning: {str(error).partition('; ')[0]}; training again", file=sys.stderr)
        return False
    if first_difference(theirs, config) or not all((kept / name).is_file() for name in TRAINED):
        return False
    for name in TRAINED:
        if not (folder / name).exists():
            _link(kept / name, folder / name)
            os.utime(folder / name)  # made now, to whoever compares times
    return True


def discard(folder: Path) -> None:
    """Forget them."""
    shutil.rmtree(folder / KEPT, ignore_errors=True)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copy2(source, target)
