"""The diffusion process of one image, without and with the encoder: what the encoder adds, and where it is used."""

from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from numpy.typing import NDArray

from diffenc.io.arrays import at_times, read_arrays
from diffenc.io.errors import UserError, make
from diffenc.reporting.figures import image_grid, style

TIMES = (0.0, 0.4, 0.6, 0.7, 0.8, 1.0)
SEED = 0  # of the noise, one eps for every z_t
STANDARD, WITH_ENCODER = "standard diffusion", "with the encoder"
SAME, ENCODER = r"$x_t = x$", "encoder"
DISCARDED = "in training only: discarded after training"
FORWARD = r"$z_t = \alpha_t x_t + \sigma_t \epsilon$"
SAME_NOISE = r"with one $\epsilon$ for all"
REVERSE = r"generative model $p(z_s | z_t)$, $s < t$: draws samples from right to left"
# places in units of an image's side: columns of t, beginning right of x, and rows within a strip
_FIRST, _APART = 2.0, 1.38
_COLUMNS = tuple(_FIRST + _APART * i for i in range(len(TIMES)))
_WIDE = _COLUMNS[-1] + 1
_NAME, _T, _X_T, _Z, _REVERSE, _STRIP = 0.15, 0.6, 0.75, 2.25, 3.42, 4.0
_GENERATIVE, _DIFFUSING, _ENCODING = style.COLOURS[0], "0.35", style.COLOURS[3]


def process(file: Path, stem: Path, title: str) -> None:
    """Draw x, x_t and z_t = alpha_t x_t + sigma_t eps of an encodings.npz's first image, with one eps throughout.

    Above x_t = x, standard diffusion; below the model's own x_t, not amplified.

    Raises:
        UserError: the file is missing or damaged, or lacks a time.
    """
    arrays = read_arrays(file, {"x": "NCHW", "t": "T", "gamma": "T", "x_t": "TNCHW"})
    try:
        at = at_times(arrays["t"], TIMES)
    except ValueError as error:
        raise UserError(f"{file}: {error}; {make(file)}")
    with style.styled():
        style.save(draw(arrays["x"][0], arrays["x_t"][at, 0], arrays["gamma"][at], title), stem)


def noisy(x_t: NDArray, gamma: NDArray) -> NDArray[np.float64]:
    """z_t = alpha_t x_t + sigma_t eps, (T, C, H, W), for x_t (T, C, H, W) and gamma (T,): one eps for all t."""
    eps = np.random.default_rng(SEED).standard_normal(x_t.shape[1:])
    alpha_squared = 1 / (1 + np.exp(gamma.astype(np.float64)))
    sigma_squared = 1 / (1 + np.exp(-gamma.astype(np.float64)))
    a, s = (np.sqrt(squared)[:, None, None, None] for squared in (alpha_squared, sigma_squared))
    return a * x_t + s * eps


def draw(x: NDArray, x_t: NDArray, gamma: NDArray, title: str) -> Figure:
    """The figure of x (C, H, W), its encodings x_t (T, C, H, W) at TIMES, and gamma (T,) there."""
    height = 2 * _STRIP - 0.4
    figure = style.titled(style.WIDTH, style.WIDTH / _WIDE * height + 0.25, title)
    axes = figure.subplots()
    _strip(axes, 0, STANDARD, x, np.broadcast_to(x, x_t.shape), gamma)
    _map(axes, 0, SAME, _DIFFUSING)
    _strip(axes, _STRIP, WITH_ENCODER, x, x_t, gamma)
    _map(axes, _STRIP, ENCODER, _ENCODING)
    _mark_encoder(axes, _STRIP)
    image_grid.frame(axes, 1, 1)
    axes.set(xlim=(-0.05, _WIDE + 0.1), ylim=(height, -0.05), xticks=[])
    return figure


def _strip(axes: Axes, top: float, name: str, x: NDArray, x_t: NDArray, gamma: NDArray) -> None:
    """x, its x_t and below them its z_t, from `top` downwards, with the arrows between them."""
    grey = {"cmap": "gray", "vmin": -1, "vmax": 1}
    axes.text(0, top + _NAME, name, va="center", fontsize="large")
    image_grid.place(axes, image_grid.picture(x), top + _X_T, 0, **grey)
    axes.text(0.5, top + _T, "$x$", ha="center", va="center")
    for t, column, mean, z in zip(TIMES, _COLUMNS, x_t, noisy(x_t, gamma), strict=True):
        image_grid.place(axes, image_grid.picture(mean), top + _X_T, column, **grey)
        image_grid.place(axes, image_grid.picture(z), top + _Z, column, **grey)
        axes.text(column + 0.5, top + _T, f"$x_t$, t = {t:g}", ha="center", va="center", fontsize="small")
        _arrow(axes, (column + 0.5, top + _X_T + 1), (column + 0.5, top + _Z), _DIFFUSING)
    for s, t in pairwise(_COLUMNS):
        _arrow(axes, (t, top + _Z + 0.5), (s + 1, top + _Z + 0.5), _GENERATIVE)
    axes.text(0, top + _Z + 0.5, FORWARD, va="center", color=_DIFFUSING)
    axes.text(0, top + _Z + 0.8, SAME_NOISE, va="center", color=_DIFFUSING, fontsize="small")
    axes.text(_WIDE, top + _REVERSE, REVERSE, ha="right", va="center", fontsize="small", color=_GENERATIVE)


def _map(axes: Axes, top: float, name: str, colour: str) -> None:
    """The arrow from x to its x_t."""
    _arrow(axes, (1, top + _X_T + 0.5), (_FIRST, top + _X_T + 0.5), colour)
    axes.text(_FIRST / 2 + 0.5, top + _X_T + 0.36, name, ha="center", va="bottom", color=colour, fontsize="small")


def _mark_encoder(axes: Axes, top: float) -> None:
    """What belongs to the encoder, in a box."""
    box = FancyBboxPatch(
        (_FIRST - 0.9, top + _T - 0.22),
        _WIDE - _FIRST + 0.95,
        _X_T + 1.05 - _T + 0.22,
        boxstyle="round,pad=0,rounding_size=0.1",
        facecolor="#fbe9df",
        edgecolor=_ENCODING,
        linestyle="--",
        zorder=-1,  # behind the images
    )
    axes.add_patch(box)
    axes.text(_WIDE, top + _NAME, DISCARDED, ha="right", va="center", fontsize="small", color=_ENCODING)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], colour: str) -> None:
    axes.add_patch(
        FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=8, shrinkA=1, shrinkB=1, color=colour)
    )
