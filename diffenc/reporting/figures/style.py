"""What all figures share: fonts, a model's colour, and how a figure becomes files."""

import io
import math
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter
from numpy.typing import NDArray

from diffenc.io.files import write_file
from diffenc.reporting.figures.description import describe

WIDTH = 6.75  # inches: the text width of a page
DPI = 200
_STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Arial", "Helvetica", "sans-serif"],
    "mathtext.fontset": "dejavusans",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "figure.titlesize": 10,
    "axes.formatter.useoffset": False,
    "axes.grid": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "legend.frameon": False,
    # text stays text, images stay what they are, and the same input gives the same bytes
    "svg.fonttype": "none",
    "svg.hashsalt": "diffenc",
    "image.composite_image": False,
}
COLOURS = tuple(seaborn.color_palette("colorblind").as_hex())
_LEGEND_COLUMNS = 3
_BAND = partial(Patch, color="0.5", alpha=0.3, linewidth=0)
_THIN = partial(Line2D, [], [], color="0.5", linewidth=0.6)


class Look(NamedTuple):
    """How a model's lines are drawn."""

    color: str
    linestyle: Any


def looks(names: Iterable[str]) -> dict[str, Look]:
    """A colour and a dash for each name, by its place in the order: ten colours, dashes where colours fail."""
    colours = cycle(COLOURS)
    dashes = cycle(["-", (0, (5, 1.5)), (0, (1.5, 1)), (0, (5, 1, 1.5, 1))])
    return dict(zip(dict.fromkeys(names), map(Look, colours, dashes), strict=False))


@contextmanager
def styled() -> Iterator[None]:
    """The figures' settings, for as long as one is made and saved; the user's own are left alone."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def titled(width: float, height: float, title: str) -> Figure:
    """An empty figure, `width` by `height` inches, whose title is broken into lines that fit."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(textwrap.fill(title, round(11 * width)))
    return figure


def colour_bar(figure: Figure, image: AxesImage, label: str) -> None:
    """One bar below all images; lying down, since its label is longer than few rows are tall."""
    bar = figure.colorbar(image, ax=figure.axes, location="bottom", fraction=0.04, aspect=40, pad=0.02, shrink=0.8)
    bar.set_label(label)
    bar.locator = MaxNLocator(8, steps=[1, 2, 5, 10])
    bar.outline.set_linewidth(0.6)


def with_n(name: str, seeds: int) -> str:
    """A model's name with its number of seeds."""
    return f"{name} ({seeds} {'seed' if seeds == 1 else 'seeds'})"


def panels_height(models: int) -> float:
    """Inches for two rows of panels and a legend of so many models."""
    return 4.8 + 0.2 * math.ceil((models + 2) / _LEGEND_COLUMNS)


def band(axes: Axes, low: pd.Series, high: pd.Series, look: Look) -> None:
    """Shade between two curves over one index."""
    axes.fill_between(low.index, low, high, color=look.color, alpha=0.2, linewidth=0)


def wide_range(axis: Axis) -> None:
    """A log scale for positive data over more than a decade and a half; room around data that hardly changes."""
    low, high = axis.get_data_interval()
    if low > 0 and high > 30 * low:
        axis.axes.set(**{f"{axis.axis_name}scale": "log"})
        axis.set_minor_formatter(NullFormatter())
        if high < 100 * low:  # powers of ten alone would be few numbers
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter(StrMethodFormatter("{x:,g}"))
        return
    axis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    if high - low < 0.02 * abs(high):
        room = 0.1 * abs(high)
        axis.axes.set(**{f"{axis.axis_name}lim": (low - room, high + room)})


def leave_out(axes: Axes, low: float, high: float, what: str) -> None:
    """Show from `low` to `high`, with a little room, and say what is beyond."""
    room = 0.05 * (high - low)
    axes.set_ylim(low - room, high + room)
    axes.set_title(f"{f'{title}, ' if (title := axes.get_title()) else ''}beyond the axis: {what}")


def legend_below(figure: Figure, axes: Axes, *kinds: str) -> None:
    """The models of `axes` below the figure, then what a band and a thin line are, if named; read along rows."""
    handles = axes.get_legend_handles_labels()[0]
    handles += [make(label=label) for make, label in zip((_BAND, _THIN), kinds, strict=False)]
    by_column = [handle for i in range(_LEGEND_COLUMNS) for handle in handles[i::_LEGEND_COLUMNS]]
    figure.legend(handles=by_column, loc="outside lower center", ncols=_LEGEND_COLUMNS)


def save(figure: Figure, stem: Path) -> None:
    """Write stem.svg and stem.png, both or none if drawing fails; in both stands what is seen, in words."""
    files, seen = {}, describe(figure)
    for kind, metadata in (("svg", {"Date": None, "Creator": None}), ("png", {"Software": None})):
        for image in (image for axes in figure.axes for image in axes.images if kind == "png"):
            image.set_interpolation("auto")  # "none" would repeat some pixels of a fine image and not others
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, dpi=DPI, metadata=metadata | {"Description": seen})
        files[kind] = buffer.getvalue()
    for kind, content in files.items():
        write_file(Path(stem).with_name(f"{Path(stem).name}.{kind}"), content)


Arrays = Mapping[str, NDArray]
Seeds = Sequence[Arrays]


def over_seeds(axes: Axes, values: pd.DataFrame, look: Look, label: str, width: float = 1.5) -> None:
    """The mean over seeds of values (x, a column a seed), in a band from the lowest to the highest."""
    long = values.stack().rename("y").rename_axis(["x", "seed"]).reset_index()
    seaborn.lineplot(
        long,
        x="x",
        y="y",
        errorbar=("pi", 100),
        ax=axes,
        label=label,
        legend=False,
        linewidth=width,
        **look._asdict(),
    ).set(xlabel=None, ylabel=None)


def curve(axes: Axes, seeds: Seeds, of: Callable[[Arrays], NDArray], look: Look, label: str) -> None:
    """`over_seeds` of an array's values over t."""
    over_seeds(
        axes, pd.DataFrame({i: of(arrays) for i, arrays in enumerate(seeds)}, index=seeds[0]["t"]), look, label
    )


def spread(models: Mapping[str, Seeds]) -> list[str]:
    """The legend's words for the band, if there is one."""
    return ["range over seeds"] * any(len(seeds) > 1 for seeds in models.values())
