"""Figure `noise_levels`: the schedules, the diffusion loss by noise level, and beside it the weightings."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from diffenc.reporting.figures import style
from diffenc.reporting.figures.style import Seeds, spread
from diffenc.results.noise_levels import by_bin, centres, read
from diffenc.zoo.configs import WEIGHTINGS

LINE = "a line"
PALETTE = seaborn.color_palette("husl", len(WEIGHTINGS)).as_hex()


def noise_levels(files: dict[str, list[Path]], stem: Path, title: str, order: Sequence[str]) -> None:
    """Draw log SNR over t and the diffusion loss per unit of gamma, from {model: its seeds' noise_levels.npz}.

    Lines are means over seeds, bands reach from the lowest to the highest seed. `order` names the study's models, so
    that a model has one colour in all its figures.

    Raises:
        UserError: a file is missing or damaged.
    """
    models = {name: [read(path) for path in paths] for name, paths in files.items()}
    with style.styled():
        style.save(draw(models, title, order), stem)


def draw(models: dict[str, Seeds], title: str, order: Sequence[str]) -> Figure:
    """The figure of {name: its seeds' arrays}; `order` gives the colours."""
    looks = style.looks(order)
    figure = style.titled(style.WIDTH, style.panels_height(len(models)), title)
    (schedules, omegas), (losses, slopes) = figure.subplots(2, 2)
    for name, seeds in models.items():
        label, look = style.with_n(name, len(seeds)), looks[name]
        snr = pd.DataFrame({i: -one["gamma"] for i, one in enumerate(seeds)}, index=seeds[0]["t"])
        style.over_seeds(schedules, snr, look, label)
        # seeds with learned ends have bins of their own: each goes by the first one's
        by_seed = {i: by_bin(one, "m") for i, one in enumerate(seeds)}
        style.over_seeds(losses, pd.DataFrame(by_seed, index=-centres(seeds[0])), look, label)
    first = next(iter(models.values()))[0]
    ends = -first["gamma"][[0, -1]]
    schedules.plot([0, 1], ends, color="0.4", linewidth=0.8, linestyle=":", label=LINE, zorder=0)
    schedules.set(xlabel="t", xlim=(0, 1), ylabel="log SNR")
    losses.set(xlabel="log SNR", ylabel="diffusion loss\n(bits per dimension per unit)")
    style.wide_range(losses.yaxis)
    _weightings(omegas, slopes, first)
    figure.align_ylabels()
    style.legend_below(figure, schedules, *spread(models))
    names = omegas.get_legend_handles_labels()[0]
    figure.legend(handles=names, loc="outside right center", title="weightings\n(dashed: not\nmonotone)")
    return figure


def _weightings(omegas: Axes, slopes: Axes, arrays: Mapping[str, NDArray]) -> None:
    """omega over log SNR, each over its largest value, and omega' = d omega / d gamma."""
    edges = arrays["edges"]
    for i, (name, omega) in enumerate(zip(WEIGHTINGS, arrays["omega"], strict=True)):
        monotone = (np.diff(omega) >= -1e-9 * omega.max()).all()
        look = {"color": PALETTE[i], "linestyle": "-" if monotone else (0, (4, 1.5)), "linewidth": 1.1, "label": name}
        omegas.plot(-edges, omega / omega.max(), **look)
        slopes.plot(-centres(arrays), np.diff(omega) / np.diff(edges) / omega.max(), **look)
    omegas.set(ylabel="$\\omega$ / its largest", xlabel="log SNR")
    slopes.set(ylabel="$\\omega'$ / the largest $\\omega$", xlabel="log SNR")
