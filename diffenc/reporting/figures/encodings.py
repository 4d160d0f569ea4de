"""Encoded examples over t."""

from pathlib import Path

from matplotlib.figure import Figure
from numpy.typing import NDArray

from diffenc.io.arrays import at_times
from diffenc.io.errors import UserError, make
from diffenc.reporting.figures import image_grid, style
from diffenc.study.stages import ENCODING_TIMES


def encodings(file: Path, stem: Path, title: str) -> None:
    """Draw x_t, a row per example and a column per t; grey values and RGB both run from -1 to 1 for every image.

    Raises:
        UserError: the file is missing or damaged, or lacks a time.
    """
    _, t, x_t = image_grid.read_encodings(file)
    try:
        shown = x_t[at_times(t, ENCODING_TIMES)]
    except ValueError as error:
        raise UserError(f"{file}: {error}; {make(file)}")
    with style.styled():
        style.save(draw(shown, title), stem)


def draw(x_t: NDArray, title: str) -> Figure:
    """The figure of x_t (ENCODING_TIMES, N, C, H, W)."""
    columns, rows, channels = x_t.shape[:3]
    cell = (style.WIDTH - 0.1) / columns
    figure = style.titled(style.WIDTH, rows * cell + (1.2 if channels == 1 else 0.5), title)
    axes = figure.subplots()
    for row in range(rows):
        for column in range(columns):
            image = image_grid.picture(x_t[column, row])
            last = image_grid.place(axes, image, row, column, cmap="gray", vmin=-1, vmax=1)
    image_grid.frame(axes, rows, columns)
    image_grid.name_columns(axes, [f"t = {t:g}" for t in ENCODING_TIMES], range(columns))
    if channels == 1:
        style.colour_bar(figure, last, r"encoding $x_t$")
    return figure
