"""Heat maps of what the encoder does: the rate of change of x_t, summed over channels."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from diffenc.io.arrays import at_times
from diffenc.io.errors import UserError, make
from diffenc.reporting.figures import image_grid, style
from diffenc.study.stages import HEATMAP_TIMES

STEP = 0.1  # t - s
COLUMNS = (0.4, 0.6, 0.8, 1.0)
ALL_COLUMNS = HEATMAP_TIMES[1:]
LABEL = "change of the encoding, summed over channels, per unit t"
_APART = 0.15  # between the originals and the maps


def rates(t: NDArray, x_t: NDArray, columns: Sequence[float]) -> NDArray[np.float64]:
    """(x_t - x_s) / (t - s), s = t - 0.1, summed over channels.

    t (T,) holds the times of x_t (T, N, C, H, W); the result is (len(columns), N, H, W).

    Raises:
        ValueError: a t of `columns`, or its s, is not in t.
    """
    ends = at_times(t, columns)
    starts = at_times(t, [column - STEP for column in columns])
    change = x_t[ends].astype(np.float64) - x_t[starts]
    return change.sum(axis=2) / (t[ends] - t[starts])[:, None, None, None]


def heatmap(file: Path, stem: Path, title: str, columns: Sequence[float] = COLUMNS) -> None:
    """Draw the original beside its maps at each t of `columns`, a row per example, all on one scale around 0.

    Raises:
        UserError: the file is missing or damaged, or lacks a time.
    """
    x, t, x_t = image_grid.read_encodings(file)
    try:
        maps = rates(t, x_t, columns)
    except ValueError as error:
        raise UserError(f"{file}: {error}; {make(file)}")
    with style.styled():
        style.save(draw(x, maps, columns, title), stem)


def full_heatmap(file: Path, stem: Path, title: str) -> None:
    """Draw the maps at every t from 0.1 to 1. Raises UserError as `heatmap` does."""
    heatmap(file, stem, title, ALL_COLUMNS)


def draw(x: NDArray, maps: NDArray, columns: Sequence[float], title: str) -> Figure:
    """The figure of originals x (N, C, H, W) and maps (columns, N, H, W)."""
    wide = len(columns) + 1 + _APART
    cell = min(0.9, (style.WIDTH - 0.1) / wide)
    figure = style.titled(max(wide * cell + 0.1, 4.8), len(x) * cell + 1.25, title)
    axes = figure.subplots()
    limit = float(np.abs(maps).max()) or 1.0  # VDM's encoding does not change at all
    starts = [0, *(1 + _APART + j for j in range(len(columns)))]
    for row, original in enumerate(x):
        image_grid.place(axes, image_grid.picture(original), row, 0, cmap="gray", vmin=-1, vmax=1)
        for start, image in zip(starts[1:], maps[:, row], strict=True):
            last = image_grid.place(axes, image, row, start, cmap="RdBu_r", vmin=-limit, vmax=limit)
    image_grid.frame(axes, len(x), wide)
    image_grid.name_columns(axes, ["original", *(f"t = {t:.1f}" for t in columns)], starts)
    style.colour_bar(figure, last, LABEL)
    return figure
