"""Finite depth: how far the bound in T steps is above the continuous one, and the best variance ratio over t."""

import math
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import NullLocator

from diffenc.reporting.figures import style
from diffenc.results.finite_depth import BEST, BOTH, EQUAL, STEPS, AtDepth, FiniteDepth, read_alike

ABREAST = 3
BLOCK = 4.3  # inches, of a model's two panels
LEGEND = 0.75
_NAMES = {
    EQUAL: r"$\sigma_P = \sigma_Q$",
    BEST: r"best $\sigma_P$",
    STEPS: "best steps",
    BOTH: r"best steps and $\sigma_P$",
}
_MAIN = {
    EQUAL: {"linestyle": "-", "marker": "o"},
    BEST: {"linestyle": (0, (4, 1.5)), "marker": "s", "markerfacecolor": "white"},
    STEPS: {"linestyle": (0, (1, 1)), "marker": "o", "markerfacecolor": "white"},
    BOTH: {"linestyle": (0, (1, 1)), "marker": "s"},
}
_MARKERS = "v^<>dPX*"  # of the fixed ratios
_CURVES = 5  # depths whose ratio is drawn, at most
_FEW = 15  # steps that are marked each
_LEGEND_COLUMNS = 6
_EXCESS = "bits per dimension above\ncontinuous time"
_RATIO = r"best $w = \sigma_Q^2 / \sigma_P^2$"


def depth(files: dict[str, list[Path]], stem: Path, title: str, order: Sequence[str]) -> None:
    """Draw what finite depth costs, from {model: its seeds' depth.json}: two panels a model, three models abreast.

    Above, the total less the continuous bound in bits per dimension against T, on log scales; where something is
    not above it, the scale is linear around 0. Below, the best w over t for several T, on its way to 1. Lines are
    means over seeds, bands reach from the lowest to the highest seed. `order` names the study's models, so that a
    model has one colour in all its figures.

    Raises:
        UserError: a file is missing or damaged, or was made with other settings than the others.
    """
    records = iter(read_alike(path for paths in files.values() for path in paths))
    models = {name: [next(records) for _ in paths] for name, paths in files.items()}
    with style.styled():
        style.save(draw(models, title, order), stem)


def draw(models: dict[str, list[FiniteDepth]], title: str, order: Sequence[str]) -> Figure:
    """The figure of {name: its seeds' records}; `order` gives the colours."""
    looks = style.looks(order)
    across = min(len(models), ABREAST)
    blocks = math.ceil(len(models) / ABREAST)
    figure = style.titled(style.WIDTH, blocks * BLOCK + LEGEND, title)
    panels = figure.subplots(2 * blocks, across, squeeze=False, height_ratios=[5, 3] * blocks)
    for i, (name, seeds) in enumerate(models.items()):
        above, below = panels[2 * (i // across) : 2 * (i // across) + 2, i % across]
        above.set_title(style.with_n(name, len(seeds)), color=looks[name].color)
        _draw_excess(above, seeds, looks[name])
        _draw_ratios(below, seeds, looks[name])
    for unused in panels[-2:, (len(models) - 1) % across + 1 :].flat:
        unused.remove()
    _scales(panels[::2].ravel().tolist(), panels[1::2].ravel().tolist())
    for left, label in zip(panels[:, 0], [_EXCESS, _RATIO] * blocks, strict=True):
        left.set_ylabel(label)
    figure.align_ylabels()
    _legend(figure, next(iter(models.values()))[0], any(len(seeds) > 1 for seeds in models.values()))
    return figure


def _draw_excess(axes: Axes, seeds: list[FiniteDepth], look: style.Look) -> None:
    """Against T, a line for each choice of sigma_P."""
    for bound, line in _lines(seeds[0]).items():
        having = [same for same in _levels(seeds) if bound in same[0].bounds]
        values = {same[0].T: [at.bounds[bound].excess.mean for at in same] for same in having}
        excess = pd.DataFrame.from_dict(values, orient="index").sort_index()
        style.band(axes, excess.min(axis=1), excess.max(axis=1), look)
        axes.plot(excess.mean(axis=1), color=look.color, **line)
    axes.set(xlabel="T", xscale="log")
    depths = sorted(at.T for at in seeds[0].depths)
    axes.set_xticks(depths, [f"{T:,}" for T in depths])
    axes.xaxis.set_minor_locator(NullLocator())


def _draw_ratios(axes: Axes, seeds: list[FiniteDepth], look: style.Look) -> None:
    """The best w against t, a line for some of the T, the darker the larger."""
    shown = _shown(seeds[0])
    for levels in _levels(seeds):
        if (number := levels[0].T) in shown:
            ratio = pd.DataFrame({i: {row.t: row.w for row in level.ratio} for i, level in enumerate(levels)})
            tint = look._replace(color=_tint(look.color, shown[number]))
            style.band(axes, ratio.min(axis=1), ratio.max(axis=1), tint)
            axes.plot(ratio.mean(axis=1), color=tint.color, marker="." if len(ratio) < _FEW else "", clip_on=False)
    axes.set(xlabel="t", xlim=(0, 1))


def _levels(seeds: list[FiniteDepth]) -> Iterator[tuple[AtDepth, ...]]:
    """Every depth, of all seeds."""
    return zip(*(seed.depths for seed in seeds), strict=True)


def _lines(record: FiniteDepth) -> dict[str, dict[str, Any]]:
    """How each choice of sigma_P is drawn."""
    found = dict.fromkeys(bound for at in record.depths for bound in at.bounds)
    fixed = [bound for bound in found if bound not in _MAIN]
    thin = {"linestyle": "-", "linewidth": 0.7, "markersize": 3.5}
    return {
        **{bound: {"linewidth": 1.6, "markersize": 4, **line} for bound, line in _MAIN.items() if bound in found},
        **{bound: {"marker": marker, **thin} for bound, marker in zip(fixed, cycle(_MARKERS))},
    }


def _shown(record: FiniteDepth) -> dict[int, float]:
    """The T whose ratios are drawn, evenly chosen, and how dark each is, up to 1."""
    depths = sorted(at.T for at in record.depths)
    count = min(len(depths), _CURVES)
    chosen = [depths[i] for i in np.linspace(0, len(depths) - 1, count).round().astype(int)]
    return dict(zip(chosen, np.linspace(0.3, 1, count) if count > 1 else [1.0], strict=True))


def _tint(colour: str, strength: float) -> tuple[float, ...]:
    """The colour on white."""
    return tuple(1 - strength * (1 - part) for part in to_rgb(colour))


def _scales(above: list[Axes], below: list[Axes]) -> None:
    """The same scales in all panels of a kind."""
    values = np.concatenate([line.get_ydata() for axes in above for line in axes.lines])
    low, high = values.min(), 2 * values.max()
    if low > 0:
        scale, low = {"value": "log"}, low / 2
    else:
        least = np.abs(values[values != 0]).min()
        scale, low = {"value": "symlog", "linthresh": max(10.0 ** math.floor(math.log10(least)), 1e-3)}, 2 * low
    for axes in above:
        axes.set_yscale(**scale)
        axes.set_ylim(low, high)
    lowest = min(line.get_ydata().min() for axes in below for line in axes.lines)
    for axes in below:
        axes.set_ylim(lowest - 0.05 * (1 - lowest), 1 + 0.05 * (1 - lowest))


def _name(bound: str) -> str:
    return _NAMES.get(bound, bound.replace("=", " = "))


def _legend(figure: Figure, record: FiniteDepth, spread: bool) -> None:
    """Below the figure: the choices of sigma_P in rows, then the T of the lower panels, and what a band is."""
    lines = [Line2D([], [], color="0.25", label=_name(b), **line) for b, line in _lines(record).items()]
    depths = [Line2D([], [], color=_tint("black", s), label=f"T = {T:,}") for T, s in _shown(record).items()]
    rows = [lines[i : i + _LEGEND_COLUMNS] for i in range(0, len(lines), _LEGEND_COLUMNS)] + [depths]
    rows[-1] += [Patch(color="0.5", alpha=0.3, linewidth=0, label="range over seeds")] * spread
    columns = max(map(len, rows))
    nothing = Line2D([], [], linestyle="", label=" ")
    by_column = [row[j] if j < len(row) else nothing for j in range(columns) for row in rows]
    figure.legend(handles=by_column, loc="outside lower center", ncols=columns, handlelength=2.8, columnspacing=1.2)
