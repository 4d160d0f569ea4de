"""Figure `noise_levels`: the schedules as log SNR over t, and the diffusion loss by noise level."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from diffenc.reporting.figures import style
from diffenc.reporting.figures.style import Seeds, spread
from diffenc.results.noise_levels import by_bin, centres, read

LINE = "a line"


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
    above, below = figure.subplots(2, 1)
    for name, seeds in models.items():
        label, look = style.with_n(name, len(seeds)), looks[name]
        snr = pd.DataFrame({i: -one["gamma"] for i, one in enumerate(seeds)}, index=seeds[0]["t"])
        style.over_seeds(above, snr, look, label)
        # seeds with learned ends have bins of their own: each goes by the first one's
        losses = {i: by_bin(one, "m") for i, one in enumerate(seeds)}
        style.over_seeds(below, pd.DataFrame(losses, index=-centres(seeds[0])), look, label)
    first = next(iter(models.values()))[0]
    ends = -first["gamma"][[0, -1]]
    above.plot([0, 1], ends, color="0.4", linewidth=0.8, linestyle=":", label=LINE, zorder=0)
    above.set(xlabel="t", xlim=(0, 1), ylabel="log SNR")
    below.set(xlabel="log SNR", ylabel="diffusion loss\n(bits per dimension per unit)")
    style.wide_range(below.yaxis)
    figure.align_ylabels()
    style.legend_below(figure, above, *spread(models))
    return figure
