"""Figure `counterterm`: the encoders' motion over t, and how much of it the counterterm cancels."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from diffenc.io.errors import UserError, make
from diffenc.reporting.figures import style
from diffenc.reporting.figures.style import Arrays, Seeds, curve, spread
from diffenc.results.encoder_analysis import over_images, read, share_left

MOTION = r"motion $\|\mathrm{d}x_t/\mathrm{d}\gamma\|/\sqrt{d}$"
RESIDUAL = r"left of it $\|\mathrm{d}x_t/\mathrm{d}\gamma + \sigma_t^2\hat{x}\|/\sqrt{d}$"
LEFT = "share of the squared motion left"
NOTHING = "as without a counterterm"


def counterterm(files: dict[str, list[Path]], stem: Path, title: str, order: Sequence[str]) -> None:
    """Draw the encoder's motion, what the counterterm leaves of it, and the share left, over t.

    `files` is {model: its seeds' inspection.npz}, of models that have an encoder. Lines are means over seeds, bands
    reach from the lowest to the highest seed. `order` names the study's models, so that a model has one colour in all
    its figures.

    Raises:
        UserError: a file is missing or damaged, is of a model without an encoder, or the files' times differ.
    """
    models = read_inspections(files)
    with style.styled():
        style.save(draw_counterterm(models, title, order), stem)


def read_inspections(files: dict[str, list[Path]]) -> dict[str, list[Arrays]]:
    """{model: each seed's arrays}, from the inspection.npz files."""
    found = {path: read(path) for paths in files.values() for path in paths}
    first = next(iter(found))
    for path, arrays in found.items():
        if "motion" not in arrays:
            raise UserError(f"{path}: has no array motion, as of a model without an encoder; {make(path)}")
        for axis in ("t", "spectrum_t", "frequency"):
            if not np.array_equal(arrays[axis], found[first][axis]):
                raise UserError(f"{path}: its {axis} differs from that of {first}; make both anew")
    return {model: [found[path] for path in paths] for model, paths in files.items()}


def draw_counterterm(models: Mapping[str, Seeds], title: str, order: Sequence[str]) -> Figure:
    """The figure of {name: its seeds' arrays}; `order` gives the colours."""
    looks = style.looks(order)
    figure = style.titled(style.WIDTH, style.panels_height(len(models)), title)
    panels = figure.subplot_mosaic([["motion", "residual"], ["left", "left"]])
    panels["residual"].sharey(panels["motion"])
    for name, seeds in models.items():
        label = style.with_n(name, len(seeds))
        for norm in ("motion", "residual"):
            curve(panels[norm], seeds, lambda arrays, norm=norm: over_images(arrays[norm]), looks[name], label)
        curve(panels["left"], seeds, share_left, looks[name], label)
    panels["motion"].set(title=MOTION, xlabel="t", xlim=(0, 1))
    panels["residual"].set(title=RESIDUAL, xlabel="t", xlim=(0, 1))
    style.wide_range(panels["motion"].yaxis)
    panels["left"].axhline(1, color="0.4", linewidth=0.8, linestyle=":", label=NOTHING)
    panels["left"].set(ylabel=LEFT, xlabel="t", xlim=(0, 1))
    style.wide_range(panels["left"].yaxis)
    if panels["left"].get_yscale() == "linear":
        panels["left"].set_ylim(bottom=0)
    style.legend_below(figure, panels["left"], *spread(models))
    return figure
