"""A figure in words, for who cannot see it, read from what is drawn: every panel's curves by their values."""

import re
from collections import Counter
from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

_MANY = 4  # curves: of more than so many in a panel, those that end lowest and highest are described
_THIN = 1  # points: thinner lines are single seeds
_OUTSTANDING = 0.05  # of a curve's range: so far beyond both its ends a turn is worth a word

Look = tuple[str, str]  # a line's colour and dash: what shows one model in every panel looks alike
Curve = tuple[str, NDArray, NDArray]  # its name, if it is known, and its finite points x, y in the axes' units


def describe(figure: Figure) -> str:
    """Each panel in a sentence: what it shows, and from where to where every curve goes, or what images there are."""
    lines = [line for axes in figure.axes for line in axes.get_lines()]
    named = {(_look(line), name) for line in lines if (name := _name(line))}
    looks = Counter(look for look, _ in named)
    names = {look: name for look, name in named if looks[look] == 1}  # of many models some look alike
    return " ".join(sentence for axes in figure.axes for sentence in _panel(axes, names))


def _panel(axes: Axes, names: dict[Look, str]) -> Iterator[str]:
    if axes.get_label() == "<colorbar>":
        low, high = map(_number, axes.get_xlim())
        yield f"Colours: {_plain(axes.get_xlabel())}, from {low} to {high}."
    elif axes.images:
        texts = [text.get_text() for text in (*axes.get_xticklabels(), *axes.texts)]
        words = ", ".join(dict.fromkeys(filter(None, map(_plain, texts))))
        yield f"{_said(axes.get_title())}{len(axes.images)} images{f', named {words}' if words else ''}."
    elif curves := _curves(axes, names):
        ends = {(x[0], x[-1]) for _, x, _ in curves}
        over = f"over {_across(axes)}" + (" from {} to {}".format(*map(_number, *ends)) if len(ends) == 1 else "")
        sentences = dict.fromkeys(_curve(*curve) for curve in _chosen(curves)) or [_range(curves)]
        yield f"{_said(axes.get_title(), axes.get_ylabel(), over)}{'; '.join(sentences)}."


def _curves(axes: Axes, names: dict[Look, str]) -> list[Curve]:
    """The curves with two points or more, but for those of single seeds."""
    found = []
    for line in axes.get_lines():
        x, y = (np.asarray(values, dtype=float) for values in line.get_data())
        finite = np.isfinite(x) & np.isfinite(y)
        if line.get_linewidth() >= _THIN and finite.sum() > 1:
            found.append((_name(line) or names.get(_look(line), ""), x[finite], y[finite]))
    return found


def _range(curves: list[Curve]) -> str:
    """Of curves that only the figure's legend names."""
    low, high = min(y.min() for _, _, y in curves), max(y.max() for _, _, y in curves)
    return f"{len(curves)} {'curve' if len(curves) == 1 else 'curves'} between {_number(low)} and {_number(high)}"


def _chosen(curves: list[Curve]) -> list[Curve]:
    named = [curve for curve in curves if curve[0]]
    if len(named) <= _MANY:
        return named
    named.sort(key=lambda curve: curve[2][-1])
    return [named[0], named[-1]]


def _curve(name: str, x: NDArray, y: NDArray) -> str:
    """VDMv-2 (3 seeds) from 8.31 to 2.4, at most 9.1 at 30."""
    first, last, low, high = map(_number, (y[0], y[-1], y.min(), y.max()))
    if low == high:
        return f"{name} at {first}"
    turns = ((f"at least {low}", y.argmin(), y.min()), (f"at most {high}", y.argmax(), y.max()))
    room = _OUTSTANDING * (y.max() - y.min())
    said = [
        f", {word} at {_number(x[at])}"
        for word, at, value in turns
        if min(abs(value - y[0]), abs(value - y[-1])) > room
    ]
    return f"{name} from {first} to {last}{''.join(said)}"


def _look(line: Line2D) -> Look:
    return to_hex(line.get_color()), line.get_linestyle()


def _name(line: Line2D) -> str:
    label = str(line.get_label())
    return "" if label.startswith("_") else label


def _across(axes: Axes) -> str:
    """What the axis below shows; of panels that share it the lowest says it."""
    sharing = axes.get_shared_x_axes().get_siblings(axes)
    return next(filter(None, (one.get_xlabel() for one in [axes, *sharing])), "")


def _said(*words: str) -> str:
    return f"{text}: " if (text := ", ".join(filter(None, map(_plain, words)))) else ""


def _plain(text: str) -> str:
    """One line without the marks of mathematical text: |x_t - x|/sqrt d."""
    upright = re.sub(r"\\(math)?rm\s*", "", re.sub(r"\\[,;:! ]", " ", text))
    apart = re.sub(r"(?<=\w)(?=\\[a-zA-Z])|(?<=[a-z])(?=\{)", " ", upright)  # 2\hat{x} is 2 hat x
    return " ".join(re.sub(r"[${}\\]", "", apart).split())


def _number(value: float) -> str:
    return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
