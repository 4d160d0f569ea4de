"""Samples of models side by side."""

import math
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from diffenc.io.arrays import read_arrays
from diffenc.reporting.figures import image_grid, style

ABREAST = 3  # models in a row


def samples(files: dict[str, list[Path]], stem: Path, title: str) -> None:
    """Draw a square of samples for each model, from {name: its samples.npz, the first of them}.

    Raises:
        UserError: a file is missing or damaged.
    """
    models = {}
    for name, (path, *_) in files.items():
        found = read_arrays(path, {"samples": "NCHW", "levels": ""})
        models[name] = found["samples"] * (2 / (float(found["levels"]) - 1)) - 1
    with style.styled():
        style.save(draw(models, title), stem)


def draw(models: dict[str, NDArray], title: str) -> Figure:
    """The figure of {name: images (N, C, H, W) in (-1, 1)}."""
    abreast = min(ABREAST, len(models))
    lines = math.ceil(len(models) / abreast)
    side = style.WIDTH / max(abreast, 2)
    figure = style.titled(abreast * side, lines * (side + 0.15) + 0.3, title)
    panels = figure.subplots(lines, abreast, squeeze=False).ravel()
    for axes in panels[len(models) :]:
        axes.set_axis_off()
    for axes, (name, images) in zip(panels, models.items(), strict=False):
        square = math.ceil(math.sqrt(len(images)))
        for i, image in enumerate(images):
            image_grid.place(axes, image_grid.picture(image), i // square, i % square, cmap="gray", vmin=-1, vmax=1)
        image_grid.frame(axes, square, square)
        axes.set(title=name, xticks=np.array([]))
    return figure
