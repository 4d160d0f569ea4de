"""What the encoders do over t, and how much of their motion the counterterm cancels."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from diffenc.errors import UserError
from diffenc.figures import style
from diffenc.records.inspection import over_images, read, share_left
from diffenc.results import make

Arrays = Mapping[str, NDArray]
Seeds = Sequence[Arrays]
ABREAST = 3  # models in a row
MOTION = r"motion $\|\mathrm{d}x_t/\mathrm{d}\gamma\|/\sqrt{d}$"
RESIDUAL = r"left of it $\|\mathrm{d}x_t/\mathrm{d}\gamma + \sigma_t^2\hat{x}\|/\sqrt{d}$"
LEFT = "share of the squared motion left"
NOTHING = "as without a counterterm"
CHANGE = r"change $\|x_t - x\|/\sqrt{d}$"
Y = r"network's output $\|y\|/\sqrt{d}$"
IMAGE = r"the images: $\|x\|/\sqrt{d}$"


def counterterm(files: dict[str, list[Path]], stem: Path, title: str, order: Sequence[str]) -> None:
    """Draw the encoder's motion, what the counterterm leaves of it, and the share left, over t.

    `files` is {model: its seeds' inspection.npz}, of models that have an encoder. Lines are means over seeds, bands
    reach from the lowest to the highest seed. `order` names the study's models, so that a model has one colour in all
    its figures.

    Raises:
        UserError: a file is missing or damaged, is of a model without an encoder, or the files' times differ.
    """
    models = _read(files)
    with style.styled():
        style.save(draw_counterterm(models, title, order), stem)


def encoder_change(files: dict[str, list[Path]], stem: Path, title: str, order: Sequence[str]) -> None:
    """Draw how far x_t is from x over t, and the size of y where an encoder has one; otherwise as `counterterm`."""
    models = _read(files)
    with style.styled():
        style.save(draw_change(models, title, order), stem)


def spectra(files: dict[str, list[Path]], stem: Path, title: str, order: Sequence[str]) -> None:
    """Draw the radially averaged power of x and x_t, and of x_t - x, a pair of panels a model; as `counterterm`."""
    models = _read(files)
    with style.styled():
        style.save(draw_spectra(models, title), stem)


def _read(files: dict[str, list[Path]]) -> dict[str, list[Arrays]]:
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
            _curve(panels[norm], seeds, lambda arrays, norm=norm: over_images(arrays[norm]), looks[name], label)
        _curve(panels["left"], seeds, share_left, looks[name], label)
    panels["motion"].set(title=MOTION, xlabel="t", xlim=(0, 1))
    panels["residual"].set(title=RESIDUAL, xlabel="t", xlim=(0, 1))
    style.wide_range(panels["motion"].yaxis)
    panels["left"].axhline(1, color="0.4", linewidth=0.8, linestyle=":", label=NOTHING)
    panels["left"].set(ylabel=LEFT, xlabel="t", xlim=(0, 1))
    style.wide_range(panels["left"].yaxis)
    if panels["left"].get_yscale() == "linear":
        panels["left"].set_ylim(bottom=0)
    style.legend_below(figure, panels["left"], *_spread(models))
    return figure


def draw_change(models: Mapping[str, Seeds], title: str, order: Sequence[str]) -> Figure:
    """The figure of {name: its seeds' arrays}; `order` gives the colours. Without any y there is one panel."""
    looks = style.looks(order)
    with_y = {name: seeds for name, seeds in models.items() if "y" in seeds[0]}
    figure = style.titled(style.WIDTH, style.panels_height(len(models)) - 1.8, title)
    change, *others = figure.subplots(1, 2 if with_y else 1, squeeze=False, sharey=True)[0]
    image = over_images(next(iter(models.values()))[0]["image"])
    shown = [(change, models, "change", CHANGE), *((axes, with_y, "y", Y) for axes in others)]
    for axes, drawn, norm, text in shown:
        for name, seeds in drawn.items():
            label = style.with_n(name, len(seeds))
            _curve(axes, seeds, lambda arrays, norm=norm: over_images(arrays[norm]), looks[name], label)
        axes.axhline(image, color="0.4", linewidth=0.8, linestyle=":", label=IMAGE)
        axes.set(title=text, xlabel="t", xlim=(0, 1))
    change.set_ylim(0, 1.05 * max(axes.dataLim.ymax for axes, *_ in shown))
    style.legend_below(figure, change, *_spread(models))
    return figure


def _curve(axes: Axes, seeds: Seeds, of: Callable[[Arrays], NDArray], look: style.Look, label: str) -> None:
    """The mean of `of` over seeds, in a band from the lowest to the highest, over t."""
    values = pd.DataFrame([of(arrays) for arrays in seeds], columns=seeds[0]["t"])
    style.band(axes, values.min(), values.max(), look)
    axes.plot(values.mean(), label=label, **look._asdict())


def _spread(models: Mapping[str, Seeds]) -> list[str]:
    return ["range over seeds"] * any(len(seeds) > 1 for seeds in models.values())


def draw_spectra(models: Mapping[str, Seeds], title: str) -> Figure:
    """The figure of {name: its seeds' arrays}: above x and x_t, below x_t - x, for each model."""
    abreast = min(ABREAST, len(models))
    lines = math.ceil(len(models) / abreast)
    figure = style.titled(style.WIDTH, 3.4 * lines + 0.9, title)
    panels = figure.subplots(2 * lines, abreast, squeeze=False, sharex=True, sharey="row")
    pairs = [(panels[2 * i, j], panels[2 * i + 1, j]) for i in range(lines) for j in range(abreast)]
    for unused in pairs[len(models) :]:
        for axes in unused:
            axes.set_axis_off()
    for (name, seeds), (above, below) in zip(models.items(), pairs, strict=False):
        _spectra_of(seeds, above, below)
        above.set_title(style.with_n(name, len(seeds)))
        below.set_xlabel("cycles per image")
        below.tick_params(labelbottom=True)  # also where the panel below it is empty
    for above, below in pairs[::abreast]:
        above.set_ylabel(r"power of $x_t$")
        below.set_ylabel(r"power of $x_t - x$")
    style.legend_below(figure, panels[0, 0], *_spread(models))
    return figure


def _spectra_of(seeds: Seeds, above: Axes, below: Axes) -> None:
    """One model's: power of x and x_t above, of x_t - x below, by spatial frequency, a colour for each t."""
    frequency, times = seeds[0]["frequency"], seeds[0]["spectrum_t"]
    above.plot(frequency, seeds[0]["power_x"], color="black", linestyle=":", label="the images x", zorder=3)
    for i, (t, colour) in enumerate(zip(times, colormaps["viridis_r"](np.linspace(0.1, 1, len(times))), strict=True)):
        for axes, name in ((above, "power_x_t"), (below, "power_change")):
            power = np.array([arrays[name][i] for arrays in seeds])
            axes.fill_between(frequency, power.min(axis=0), power.max(axis=0), color=colour, alpha=0.3, linewidth=0)
            axes.plot(frequency, power.mean(axis=0), color=colour, label=f"t = {t:.1f}")
            axes.set(yscale="log", xlim=(0, frequency[-1]))
