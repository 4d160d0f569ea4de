"""Arrays on disk: npz files written whole, and read with a check of what they hold."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from diffenc.io.errors import UserError, make
from diffenc.io.files import write_atomically


def save_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Arrays as one compressed npz."""

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)

    write_atomically(path, write)


def read_arrays(path: Path, shapes: dict[str, str]) -> dict[str, NDArray]:
    """The arrays of an npz file; `shapes` names each one's axes, a letter each: {"x": "NCHW", "t": "T"}.

    Raises:
        UserError: the file is missing or damaged, lacks an array, or their shapes do not fit together.
    """
    remedy = make(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in shapes}
    except FileNotFoundError:
        raise UserError(f"{path}: is missing; {make(path)}")
    except KeyError as error:
        raise UserError(f"{path}: has no array {error.args[0].split()[0]}; {remedy}")
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: is damaged ({' '.join(str(error).split())}); {remedy}")
    sizes: dict[str, int] = {}
    for name, letters in shapes.items():
        shape = arrays[name].shape
        fits = len(shape) == len(letters) and all(
            sizes.setdefault(a, n) == n for a, n in zip(letters, shape, strict=True)
        )
        if not fits or 0 in shape or ("C" in letters and sizes["C"] not in (1, 3)):
            raise UserError(f"{path}: {name} has shape {shape}, which does not fit ({', '.join(letters)}); {remedy}")
        if not np.isfinite(arrays[name]).all():
            raise UserError(f"{path}: {name} holds values that are not finite; {remedy}")
    return arrays


def at_times(t: NDArray, times: Sequence[float]) -> list[int]:
    """Where each of `times` stands in t (T,). Raises ValueError naming a time that is not there."""
    nearest = [int(np.abs(t - time).argmin()) for time in times]
    for i, time in zip(nearest, times, strict=True):
        if abs(t[i] - time) > 1e-6:
            raise ValueError(f"t = {time:g} is not among its times")
    return nearest
