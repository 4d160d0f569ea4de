"""Images in rows and columns on one pair of axes, and the files that hold them."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from diffenc.errors import UserError
from diffenc.results import make

Array = NDArray[np.floating]
EXAMPLES = 10  # rows at most: a taller figure does not fit a page
GAP = 0.06  # between images, as a part of an image's side


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


def read_encodings(path: Path) -> tuple[Array, Array, Array]:
    """x (N, C, H, W), t (T,), x_t (T, N, C, H, W) of the first examples of an encodings.npz; raises UserError."""
    arrays = read_arrays(path, {"x": "NCHW", "t": "T", "x_t": "TNCHW"})
    return arrays["x"][:EXAMPLES], arrays["t"], arrays["x_t"][:, :EXAMPLES]


def at_times(t: Array, times: Sequence[float]) -> list[int]:
    """Where each of `times` stands in t (T,). Raises ValueError naming a time that is not there."""
    nearest = [int(np.abs(t - time).argmin()) for time in times]
    for i, time in zip(nearest, times, strict=True):
        if abs(t[i] - time) > 1e-6:
            raise ValueError(f"t = {time:g} is not among its times")
    return nearest


def picture(image: Array) -> Array:
    """An image (C, H, W) with values in (-1, 1) as what imshow takes: (H, W) as it is, or RGB (H, W, 3) in (0, 1)."""
    if len(image) == 1:
        return image[0]
    return np.clip((np.moveaxis(image, 0, -1) + 1) / 2, 0, 1)


def place(axes: Axes, image: Array, row: int, column: float, **scale: object) -> AxesImage:
    """Draw an image into a cell; `scale` is the colour map and its limits, if it is not RGB."""
    extent = (column + GAP / 2, column + 1 - GAP / 2, row + 1 - GAP / 2, row + GAP / 2)
    scale = {} if image.ndim == 3 else scale
    # "none" keeps the pixels of small images exact squares in svg: "nearest" would resample them
    return axes.imshow(image, extent=extent, interpolation="none", **scale)


def frame(axes: Axes, rows: int, columns: float) -> None:
    """Show all cells of a mosaic and nothing of the axes but the titles of the columns."""
    axes.set(xlim=(0, columns), ylim=(rows, 0), aspect="equal", yticks=[])
    axes.grid(False)
    axes.spines[:].set_visible(False)


def name_columns(axes: Axes, names: Sequence[str], starts: Sequence[float]) -> None:
    """Titles above the columns that start at `starts`."""
    axes.xaxis.tick_top()
    axes.set_xticks([start + 0.5 for start in starts], names)
    axes.tick_params(length=0, pad=2)
