"""Which of a machine's GPUs a command takes, so that commands beside each other take different ones.

Snakemake starts as many jobs as there are GPUs, but does not say which is whose. To take one is to lock a file of its
name: the lock is the system's and goes with the process, however that ends.
"""

import fcntl
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

_held: list[IO[str]] = []


def names() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them, in torch's order."""
    import torch

    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count()
    return named.split(",")[:count] if named else [str(index) for index in range(count)]


def take(count: int, names: Sequence[str]) -> list[int]:
    """Places in `names` of `count` GPUs that no other command has taken; with too few of these, of the first ones."""
    folder = Path(tempfile.gettempdir(), f"diffenc-gpus-{os.getuid()}")
    folder.mkdir(exist_ok=True)
    free = []
    for index, name in enumerate(names):
        if len(free) < count and _lock(folder / name.replace("/", "_")):
            free.append(index)
    return free + [index for index in range(len(names)) if index not in free][: count - len(free)]


def _lock(path: Path) -> bool:
    file = path.open("w")
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return False
    _held.append(file)
    return True
