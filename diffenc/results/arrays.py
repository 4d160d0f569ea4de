"""Per-image terms of a run (evaluation.npz), for paired comparisons."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from diffenc.io.arrays import read_arrays
from diffenc.io.errors import UserError, make
from diffenc.statistics.paired import Array
from diffenc.study.stages import TERMS

_PARTS = TERMS[1:]  # of the total


class Totals(NamedTuple):
    """A run's negative ELBO: times t and totals, (passes, N), in bits per dimension."""

    file: Path
    t: Array
    total: Array


def read_totals(file: Path) -> Totals:
    """Read an evaluation.npz.

    Raises:
        UserError: the file is missing or damaged.
    """
    arrays = read_arrays(file, dict.fromkeys(("t", *_PARTS), "PN"))
    return Totals(Path(file), arrays["t"], sum(arrays[part].astype(np.float64) for part in _PARTS))


def check_noise(runs: Sequence[Totals]) -> None:
    """Refuse evaluations that did not draw the same noise for the same images.

    Raises:
        UserError: a file has other passes, images or times than the first.
    """
    first = runs[0]
    for run in runs[1:]:
        if run.t.shape != first.t.shape:
            fault = f"has (passes, images) {run.t.shape}, {first.file} has {first.t.shape}"
        elif not np.array_equal(run.t, first.t):
            fault = f"t is not that of {first.file}: the noise is another"
        else:
            continue
        raise UserError(f"{run.file}: {fault}; {make(run.file)}")


def per_image(runs: Sequence[Totals]) -> Array:
    """The total of each image (N,), averaged over passes and runs."""
    return np.mean([run.total.mean(axis=0) for run in runs], axis=0)
