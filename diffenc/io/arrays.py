"""Arrays on disk: npz files written whole, and read with a check of what they hold."""

import math
import os
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from diffenc.io.errors import UserError, make
from diffenc.io.files import write_atomically

# what reading damaged arrays raises
DAMAGE = (
    *(OSError, ValueError, EOFError, TypeError, RuntimeError, MemoryError, OverflowError),
    *(SyntaxError, struct.error, zlib.error, zipfile.BadZipFile),
)


def save_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Arrays as one compressed npz. Raises UserError, also if a number in one is not finite."""
    for name, array in arrays.items():
        if np.issubdtype(np.asarray(array).dtype, np.floating) and not np.isfinite(array).all():
            raise UserError(f"{path}: {name} holds values that are not finite, so nothing is written")

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
    if not Path(path).exists():
        raise UserError(f"{path}: is missing; {remedy}")
    check_array_file(Path(path), remedy)
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in shapes}
    except KeyError as error:
        raise UserError(f"{path}: has no array {error.args[0].split()[0]}; {remedy}")
    except DAMAGE as error:
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


def check_array_file(path: Path, remedy: str) -> None:
    """Before an .npy or .npz is read: it is a file, and its arrays are as large as it says and fit into memory.

    Raises:
        UserError: it is not, or they do not.
    """
    if not path.is_file():
        raise UserError(f"{path}: is no regular file; {remedy}")
    room = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        if not zipfile.is_zipfile(path):
            return
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                with archive.open(member) as file:
                    said = _said_size(file)
                if max(said, member.file_size) > room:
                    gigabytes = f"{max(said, member.file_size) / 2**30:,.0f} GiB"
                    raise UserError(f"{path}: {member.filename} would be {gigabytes}, more than memory; {remedy}")
                if said > member.file_size:
                    raise UserError(f"{path}: {member.filename} is cut short, {member.file_size:,} bytes; {remedy}")
    except DAMAGE as error:
        raise UserError(f"{path}: is damaged ({' '.join(str(error).split())}); {remedy}")


def _said_size(file: IO[bytes]) -> int:
    """How many bytes of content the header of an .npy says it has."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    return math.prod(shape) * dtype.itemsize


def at_times(t: NDArray, times: Sequence[float]) -> list[int]:
    """Where each of `times` stands in t (T,). Raises ValueError naming a time that is not there."""
    nearest = [int(np.abs(t - time).argmin()) for time in times]
    for i, time in zip(nearest, times, strict=True):
        if abs(t[i] - time) > 1e-6:
            raise ValueError(f"t = {time:g} is not among its times")
    return nearest
