"""What follows from measured processes: parts of a difference, and the noise of an evaluation, on made-up draws."""

import numpy as np
import pytest

from diffenc.reporting.figures import processes, style
from diffenc.results import process as measured


def drawn(low, high, loss, passes=40, images=200, own=0.0, seed=0, spread=False):
    """A model with -log SNR from low to high, even in t, whose loss a unit is `loss` of it at each draw."""
    generator = np.random.default_rng(seed)
    t = generator.random((passes, images))
    if spread:
        t = (generator.random((passes, 1)) + np.arange(images) / images) % 1
    level, ends = low + (high - low) * t, np.zeros((passes, images))
    times = np.linspace(0, 1, 11)
    diffusion = (high - low) * (loss(level) + own)
    return {
        **{"times": times, "gamma": low + (high - low) * times, "level": low + (high - low) * times},
        **{"weights": np.ones((11, 2)), "t": t, "level_drawn": level, "diffusion": diffusion},
        **{"reconstruction": ends + 0.25, "latent": ends, "own": ends + (high - low) * own},
    }


def test_the_parts_of_a_difference():
    """Of a process that goes on to noise where there is nothing to tell, and one that errs by itself."""
    narrow = drawn(-8.0, 4.0, lambda level: 0.1 + 0 * level, passes=400)
    wide = drawn(-20.0, 6.0, lambda level: np.where(level < -8, 0.05, 0.1), passes=400, own=0.02, seed=1)
    found = measured.difference(wide, narrow)
    # 12 units below of 0.07, 2 above of 0.12; and 12 between of 0.02 more
    assert found.noise_range == pytest.approx(12 * 0.07 + 2 * 0.12, abs=0.02)
    assert found.own_error == pytest.approx(12 * 0.02, abs=0.005)
    assert found.prediction == pytest.approx(0, abs=0.02)
    assert found.whole == pytest.approx(sum(found[1:]), abs=1e-12)
    assert measured.difference(narrow, wide).noise_range == pytest.approx(-found.noise_range, abs=1e-12)


def test_the_noise_of_an_evaluation():
    """Means of passes vary as is said, for times of their own and for spread ones."""
    own, spread = (drawn(-8.0, 4.0, lambda level: level**2, passes=3000, spread=way) for way in (False, True))
    for arrays in (own, spread):
        assert measured.of_independent_times(arrays) == pytest.approx(
            measured.total(own).mean(axis=1).std(ddof=1), rel=0.05
        )
    # the offset of a grid of 200 times leaves the difference of the ends, uniform
    ends = 12 * (8**2 - 4**2) / 200 / 12**0.5
    assert measured.of_spread_times(spread) == pytest.approx(ends, rel=0.05)
    assert measured.of_one_draw(own) == pytest.approx(12 * np.std(np.linspace(-8, 4, 100_001) ** 2), rel=0.01)


def test_what_is_drawn():
    seeds = [drawn(-8.0, 4.0, lambda level: np.exp(-(level**2)), own=0.01, seed=seed, passes=200) for seed in (1, 2)]
    with style.styled():
        processes.draw({"VDMv-2": [drawn(-8.0, 4.0, np.exp)]}, "Nothing of its own", ["VDMv-2"])
        figure = processes.draw({"MDM-CLD-2": seeds}, "Title", ["MDM-CLD-2"])
    ranges, weights, losses, errors = figure.axes
    np.testing.assert_allclose(ranges.lines[0].get_ydata(), np.linspace(8, -4, 11))
    assert len(weights.lines) == 2
    x, y = losses.lines[0].get_data()
    np.testing.assert_allclose(y, np.exp(-(x**2)) + 0.01, atol=0.08)
    assert errors.lines[0].get_ydata() == pytest.approx(np.full(processes.BINS, 0.12))
