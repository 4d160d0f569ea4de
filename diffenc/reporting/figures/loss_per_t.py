"""The diffusion loss as a density over t, and each model's difference to the first."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from diffenc.io.errors import UserError, make
from diffenc.reporting.figures import style
from diffenc.results.records import read_evaluation

_FAR = 5


def loss_per_t(files: dict[str, list[Path]], stem: Path, title: str, order: Sequence[str] | None = None) -> None:
    """Draw the diffusion loss in bits per dimension per unit t, from {model: its seeds' evaluation.json}.

    Above, the mean over seeds with a band from the lowest to the highest seed. Below, the mean's difference to the
    first model with a band of one standard error, for models that have several seeds.
    `order` names the study's models, so that a model has one colour in all its figures.

    Raises:
        UserError: a file is missing or damaged, or the files' times differ.
    """
    models, first = {}, None
    for name, paths in files.items():
        seeds = {path: _density(path) for path in paths}
        first = first or next(iter(seeds.items()))
        for path, density in seeds.items():
            if not density.index.equals(first[1].index):
                raise UserError(f"{path}: its times t differ from those of {first[0]}; evaluate both anew")
        models[name] = pd.concat(seeds.values(), axis=1, keys=range(len(seeds)))
    with style.styled():
        style.save(draw(models, title, order or list(models)), stem)


def _density(path: Path) -> pd.Series:
    bins = read_evaluation(path).loss_per_t
    if not bins:
        raise UserError(f"{path}: loss_per_t is empty; {make(path)}")
    return pd.Series([b.diffusion for b in bins], index=[b.t for b in bins], dtype=float)


def draw(models: dict[str, pd.DataFrame], title: str, order: Sequence[str]) -> Figure:
    """The figure of {name: density by t, a column per seed}; `order` gives the colours."""
    looks = style.looks(order)
    figure = style.titled(style.WIDTH, style.panels_height(len(models)), title)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    reference = next(iter(models))
    means = {name: density.mean(axis=1, skipna=False) for name, density in models.items()}
    bands = {}
    for name, density in models.items():
        style.over_seeds(above, density, looks[name], style.with_n(name, density.shape[1]))
        if name == reference:
            below.axhline(0, **looks[name]._asdict())
            continue
        difference = means[name] - means[reference]
        error = np.hypot(density.sem(axis=1), models[reference].sem(axis=1))
        bands[name] = (difference - error.fillna(0), difference + error.fillna(0))
        style.band(below, difference - error, difference + error, looks[name])
        below.plot(difference, **looks[name]._asdict())
    style.wide_range(above.yaxis)
    _leave_out_far_ones(below, bands)
    spread = any(density.shape[1] > 1 for density in models.values())
    above.set_ylabel("diffusion loss\n(bits per dimension per unit t)")
    below.set_ylabel(f"difference to {reference}" + "\n(band: ± standard error)" * spread)
    below.set(xlabel="t", xlim=(0, 1))
    figure.align_ylabels()
    style.legend_below(figure, above, *(["range over seeds"] * spread))
    return figure


def _leave_out_far_ones(axes: Axes, bands: dict[str, tuple[pd.Series, pd.Series]]) -> None:
    """A model that differs by more than so many times what most do would hide how these differ."""
    ends = {name: (low.min(), high.max()) for name, (low, high) in bands.items()}
    reaches = {name: max(-low, high) for name, (low, high) in ends.items()}
    usual = _FAR * float(np.median([*reaches.values(), 0.0]))
    if far := {name: reach for name, reach in reaches.items() if reach > usual > 0}:
        near = [end for name in ends.keys() - far.keys() for end in ends[name]]
        said = ", ".join(f"{name}, up to {reach:.3g}" for name, reach in far.items())
        style.leave_out(axes, min(near), max(near), said)
