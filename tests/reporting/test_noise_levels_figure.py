"""The figure of schedules, noise levels and weightings."""

import numpy as np
import pytest

from diffenc.reporting.figures import noise_levels, style
from diffenc.zoo.configs import WEIGHTINGS


def seed(number, bins=40):
    """noise_levels.npz's arrays: a line, m = 1 / (1 + e^gamma) times the seed."""
    edges = np.linspace(-13.3, 5, bins + 1)
    centres = (edges[1:] + edges[:-1]) / 2
    count = np.full((2, bins), 5.0)
    omega = [np.exp(edges / 2), np.exp(-((edges + 3) ** 2))] * len(WEIGHTINGS)
    t = np.linspace(0, 1, 11)
    return {
        "edges": edges,
        "count": count,
        "m": count * number / (1 + np.exp(centres)),
        "omega": np.array(omega[: len(WEIGHTINGS)]),
        "t": t,
        "gamma": -13.3 + 18.3 * t,
    }


def test_what_is_drawn():
    with style.styled():
        figure = noise_levels.draw({"VDMv-2": [seed(1), seed(3)]}, "Title", ["VDMv-2"])
    schedules, omegas, losses, slopes = figure.axes
    np.testing.assert_allclose(schedules.lines[0].get_ydata(), np.linspace(13.3, -5, 11))
    x, y = losses.lines[0].get_data()
    np.testing.assert_allclose(y, 2 / (1 + np.exp(-x)))
    assert len(omegas.lines) == len(slopes.lines) == len(WEIGHTINGS)
    for i, (omega, slope) in enumerate(zip(omegas.lines, slopes.lines, strict=True)):
        assert omega.get_ydata().max() == pytest.approx(1)
        assert (omega.get_linestyle() == "-") == (i % 2 == 0) == (slope.get_ydata().min() >= 0)
    # d/dgamma of e^(gamma/2) over its largest value
    gamma = -slopes.lines[0].get_xdata()
    np.testing.assert_allclose(slopes.lines[0].get_ydata(), np.exp((gamma - 5) / 2) / 2, rtol=0.01)
    legends = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert legends[:2] == ["VDMv-2 (2 seeds)", "a line"]
    assert set(WEIGHTINGS) < set(legends)
