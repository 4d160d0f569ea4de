"""Figure `compression`: net and gross bits per dimension against T, beside the bound and other compressors."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from diffenc.reporting.figures import style
from diffenc.results.compression import BIT_SWAP, TOP_DOWN, Compressions, read_alike
from diffenc.results.finite_depth import BEST, EQUAL

_ORDERS = {TOP_DOWN: ("-", "gross, top-down"), BIT_SWAP: ((0, (1, 1)), "gross, Bit-Swap's order")}
_RATIOS = {EQUAL: ("-", r"net, $\sigma_P = \sigma_Q$"), BEST: ((0, (4, 1.5)), r"net, best $\sigma_P$")}


def compression(files: dict[str, list[Path]], stem: Path, title: str, order: Sequence[str]) -> None:
    """Draw rates from {model: its seeds' compression.json}: net on the left, gross on the right, against T.

    Lines are means over seeds, bands reach from the lowest to the highest seed. `order` names the study's models, so
    that a model has one colour in all its figures.

    Raises:
        UserError: a file is missing or damaged, or was made with other settings than the others.
    """
    records = iter(read_alike(path for paths in files.values() for path in paths))
    models = {name: [next(records) for _ in paths] for name, paths in files.items()}
    with style.styled():
        style.save(draw(models, title, order), stem)


def draw(models: dict[str, list[Compressions]], title: str, order: Sequence[str]) -> Figure:
    """The figure of {name: its seeds' records}; `order` gives the colours."""
    looks = style.looks(order)
    figure = style.titled(style.WIDTH, 3.6, title)
    net, gross = figure.subplots(1, 2)
    for name, seeds in models.items():
        for ratio, (line, _) in _RATIOS.items():
            _line(net, _rates(seeds, "net", ratio, TOP_DOWN), looks[name]._replace(linestyle=line))
        for order_, (line, _) in _ORDERS.items():
            _line(gross, _rates(seeds, "gross", BEST, order_), looks[name]._replace(linestyle=line))
    others = next(iter(models.values()))[0].others
    for axes in (net, gross):
        for one in others.values():
            axes.axhline(one.rate, color="0.45", linewidth=0.8, linestyle=":", zorder=0)
        depths = sorted({rate.T for rate in next(iter(models.values()))[0].rates})
        axes.set(xscale="log", xlabel="T")
        axes.set_xticks(depths, [f"{T:,}" for T in depths])
        axes.xaxis.set_minor_locator(NullLocator())
    for name, one in others.items():
        net.annotate(name, (1, one.rate), xycoords=("axes fraction", "data"), ha="right", va="bottom", size=7)
    net.set_ylabel("bits per dimension, net")
    gross.set(ylabel="bits per dimension,\nthe whole file", yscale="log")
    handles = [Line2D([], [], color=looks[m].color, label=style.with_n(m, len(s))) for m, s in models.items()]
    handles += [
        Line2D([], [], color="0.25", linestyle=line, label=label) for line, label in (_RATIOS | _ORDERS).values()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def _rates(seeds: list[Compressions], value: str, ratio: str, order: str) -> pd.DataFrame:
    """A row for each T, a column for each seed; none where a model has no such order."""
    rates = {
        i: {rate.T: getattr(rate, value) for rate in one.rates if (rate.ratio, rate.order) == (ratio, order)}
        for i, one in enumerate(seeds)
    }
    return pd.DataFrame(rates).sort_index()


def _line(axes: Axes, rates: pd.DataFrame, look: style.Look) -> None:
    if rates.empty:
        return
    style.band(axes, rates.min(axis=1), rates.max(axis=1), look)
    axes.plot(rates.mean(axis=1), marker="o", markersize=3.5, **look._asdict())
