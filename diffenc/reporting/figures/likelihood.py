"""Figure `likelihood`: what the bound and the ODE say of z_t over t, and the gap that has gathered from t to 1."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from diffenc.reporting.figures import style
from diffenc.results.likelihood import Likelihoods, read_alike

_LINES = {"bound": ("-", "bound"), "ode": ((0, (4, 1.5)), "ODE")}


def likelihood(files: dict[str, list[Path]], stem: Path, title: str, order: Sequence[str]) -> None:
    """Draw from {model: its seeds' likelihood.json}: on the left both over t, on the right the bound less the ODE.

    Lines are means over seeds, bands reach from the lowest to the highest seed. `order` names the study's models, so
    that a model has one colour in all its figures.

    Raises:
        UserError: a file is missing or damaged, or was made with other settings than the others.
    """
    records = iter(read_alike(path for paths in files.values() for path in paths))
    models = {name: [next(records) for _ in paths] for name, paths in files.items()}
    with style.styled():
        style.save(draw(models, title, order), stem)


def draw(models: dict[str, list[Likelihoods]], title: str, order: Sequence[str]) -> Figure:
    """The figure of {name: its seeds' records}; `order` gives the colours."""
    looks = style.looks(order)
    figure = style.titled(style.WIDTH, 3.6, title)
    both, gap = figure.subplots(1, 2)
    for name, seeds in models.items():
        over_t = {of: _over_t(seeds, of) for of in _LINES}
        for of, (line, _) in _LINES.items():
            _line(both, over_t[of], looks[name]._replace(linestyle=line))
        _line(gap, over_t["bound"] - over_t["ode"], looks[name]._replace(linestyle="-"))
    gap.axhline(0, color="0.45", linewidth=0.8, zorder=0)
    for axes in (both, gap):
        axes.set(xlabel="t", xlim=(0, 1))
    both.set_ylabel(r"$\log\,q(z_t\,|\,x) - \log\,p(z_t)$," + "\nbits per dimension")
    gap.set_ylabel("bound less ODE, from t to 1,\nbits per dimension")
    handles = [Line2D([], [], color=looks[m].color, label=style.with_n(m, len(s))) for m, s in models.items()]
    handles += [Line2D([], [], color="0.25", linestyle=line, label=label) for line, label in _LINES.values()]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def _over_t(seeds: list[Likelihoods], of: str) -> pd.DataFrame:
    """A row for each t, a column for each seed."""
    return pd.DataFrame({i: {at.t: getattr(at, of) for at in one.over_t} for i, one in enumerate(seeds)})


def _line(axes: Axes, values: pd.DataFrame, look: style.Look) -> None:
    style.band(axes, values.min(axis=1), values.max(axis=1), look)
    axes.plot(values.mean(axis=1), marker="o", markersize=3.5, clip_on=False, **look._asdict())
