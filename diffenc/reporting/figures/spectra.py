"""Figure `spectra`: power over spatial frequency of images and of their encodings."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from diffenc.reporting.figures import style
from diffenc.reporting.figures.counterterm import read_inspections
from diffenc.reporting.figures.style import Seeds, spread

ABREAST = 3  # models in a row


def spectra(files: dict[str, list[Path]], stem: Path, title: str, order: Sequence[str]) -> None:
    """Draw the radially averaged power of x and x_t, and of x_t - x, a pair of panels a model; as `counterterm`."""
    models = read_inspections(files)
    with style.styled():
        style.save(draw_spectra(models, title), stem)


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
    style.legend_below(figure, panels[0, 0], *spread(models))
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
