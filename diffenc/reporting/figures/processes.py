"""Figure `processes`: noise ranges, weights, the diffusion loss by noise level, and networks' own errors."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from diffenc.reporting.figures import style
from diffenc.reporting.figures.style import Seeds, spread
from diffenc.results.process import Array, Arrays, by_level, read

BINS = 20  # of t, in which own errors are averaged


def processes(files: dict[str, list[Path]], stem: Path, title: str, order: Sequence[str]) -> None:
    """Draw four panels from {model: its seeds' process.npz}.

    Lines are means over seeds, bands reach from the lowest to the highest seed; weights are the first seed's, a line
    an eigenvalue. `order` names the study's models, so that a model has one colour in all its figures.

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
    (ranges, weights), (losses, errors) = figure.subplots(2, 2)
    for name, seeds in models.items():
        label, look = style.with_n(name, len(seeds)), looks[name]
        levels = pd.DataFrame({i: -one["level"] for i, one in enumerate(seeds)}, index=seeds[0]["times"])
        style.over_seeds(ranges, levels, look, label)
        for value in seeds[0]["weights"].T:
            weights.plot(seeds[0]["times"], value, linewidth=1.2, **look._asdict())
        at, _ = by_level(seeds[0])
        # a learned range differs from seed to seed: each goes by the first one's bins
        style.over_seeds(
            losses, pd.DataFrame({i: _at(one, at) for i, one in enumerate(seeds)}, index=-at), look, label
        )
        own = pd.DataFrame({i: by_time(one) for i, one in enumerate(seeds)}, index=(np.arange(BINS) + 0.5) / BINS)
        style.over_seeds(errors, own, look, label)
    ranges.set(xlabel="t", xlim=(0, 1), ylabel="log SNR")
    weights.set(xlabel="t", xlim=(0, 1), ylabel="eigenvalues of the weight G")
    losses.set(xlabel="log SNR", ylabel="diffusion loss\n(bits per dimension per unit)")
    errors.set(xlabel="t", xlim=(0, 1), ylabel="the network's own error\n(bits per dimension)")
    for axes in (losses, errors):
        style.wide_range(axes.yaxis)
    figure.align_ylabels()
    style.legend_below(figure, ranges, *spread(models))
    return figure


def _at(arrays: Arrays, levels: Array) -> Array:
    at, loss = by_level(arrays)
    return np.interp(levels, at, loss)


def by_time(arrays: Arrays) -> Array:
    """The own error in bins of t, (BINS,)."""
    which = np.minimum((arrays["t"] * BINS).astype(int), BINS - 1).ravel()
    counts = np.bincount(which, minlength=BINS)
    return np.bincount(which, arrays["own"].ravel(), BINS) / np.maximum(counts, 1)
