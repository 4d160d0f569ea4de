"""Images in rows and columns on one pair of axes, and the files that hold them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from diffenc.io.arrays import read_arrays

Array = NDArray[np.floating]
EXAMPLES = 10  # rows at most: a taller figure does not fit a page
GAP = 0.06  # between images, as a part of an image's side


def read_encodings(path: Path) -> tuple[Array, Array, Array]:
    """x (N, C, H, W), t (T,), x_t (T, N, C, H, W) of the first examples of an encodings.npz; raises UserError."""
    arrays = read_arrays(path, {"x": "NCHW", "t": "T", "x_t": "TNCHW"})
    return arrays["x"][:EXAMPLES], arrays["t"], arrays["x_t"][:, :EXAMPLES]


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
