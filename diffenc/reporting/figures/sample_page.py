"""Figure `sample_page`: ancestral samples, one after the other."""

import math
from pathlib import Path

from matplotlib.figure import Figure
from numpy.typing import NDArray

from diffenc.io.arrays import read_arrays
from diffenc.reporting.figures import image_grid, style

ABREAST = 20  # columns and rows at most


def sample_page(file: Path, stem: Path, title: str) -> None:
    """Draw the samples of a samples.npz in a square, the first ABREAST^2 of them.

    Raises:
        UserError: the file is missing or damaged.
    """
    found = read_arrays(file, {"samples": "NCHW", "levels": ""})
    images = found["samples"][: ABREAST**2] * (2 / (float(found["levels"]) - 1)) - 1
    with style.styled():
        style.save(draw(images, f"{title}: {_counted(len(images), len(found['samples']))}"), stem)


def _counted(shown: int, drawn: int) -> str:
    samples = f"{drawn:,} {'sample' if drawn == 1 else 'samples'}"
    return samples if shown == drawn else f"first {shown:,} of {samples}"


def draw(images: NDArray, title: str) -> Figure:
    """The figure of images (N, C, H, W) in (-1, 1), read along rows."""
    columns = math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    side = (style.WIDTH - 0.1) / columns
    figure = style.titled(style.WIDTH, rows * side + 0.35, title)
    axes = figure.subplots()
    for i, image in enumerate(images):
        image_grid.place(axes, image_grid.picture(image), i // columns, i % columns, cmap="gray", vmin=-1, vmax=1)
    image_grid.frame(axes, rows, columns)
    axes.set(xticks=[])
    return figure
