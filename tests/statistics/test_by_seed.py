"""Seeds in common, and both sources of chance at once: against scipy, brute force and simulations."""

import itertools

import numpy as np
import pytest
from scipy import stats

from diffenc.statistics.by_seed import compare_seeds
from diffenc.statistics.crossed import crossed
from diffenc.statistics.power import least_visible, power

RNG = np.random.default_rng(0)
SHARED = RNG.normal(2.6, 0.02, 6)
A, B = SHARED - 0.01 + RNG.normal(0, 0.004, 6), SHARED + RNG.normal(0, 0.004, 6)


def test_the_paired_t_test_is_scipys():
    found, theirs = compare_seeds(A, B), stats.ttest_rel(A, B, alternative="less")
    assert found.p_less == pytest.approx(theirs.pvalue, rel=1e-10)
    assert found.ci95 == pytest.approx(stats.ttest_rel(A, B).confidence_interval(0.95), rel=1e-10)
    assert found.correlation == pytest.approx(np.corrcoef(A, B)[0, 1])


def test_sign_flips_are_all_of_them():
    found, d = compare_seeds(A, B), A - B
    flips = [np.dot(signs, d) for signs in itertools.product((1, -1), repeat=6)]
    assert found.p_flip == pytest.approx(np.mean([one <= d.sum() + 1e-12 for one in flips]), abs=1e-12)
    theirs = stats.permutation_test((A, B), lambda a, b: a.mean() - b.mean(), permutation_type="samples")
    assert found.p_flip == pytest.approx(
        stats.permutation_test(
            (A, B), lambda a, b: a.mean() - b.mean(), permutation_type="samples", alternative="less"
        ).pvalue
    )
    assert theirs.pvalue >= found.p_flip
    assert (found.smallest, compare_seeds([1.0, 2, 3], [2.0, 3, 5]).p_flip) == (1 / 64, 0.125)


def test_what_sharing_is_worth():
    """The variance of a difference of means with as many seeds that share nothing is the same."""
    found = compare_seeds(A, B)
    alone = (A.var(ddof=1) + B.var(ddof=1)) / found.worth
    assert alone == pytest.approx((A - B).var(ddof=1) / 6)
    assert found.worth > 20


def test_limits_and_mistakes():
    same = compare_seeds([1.0, 1.0], [2.0, 2.0])
    assert (same.p_less, same.p_flip, same.ci95) == (0.0, 0.25, (-1.0, -1.0))
    assert np.isnan([same.worth, same.correlation]).all()
    assert np.isnan(compare_seeds(RNG.normal(size=21), RNG.normal(size=21)).p_flip)
    for a, b in (([1.0], [2.0]), ([1.0, 2.0], [1.0]), ([1.0, np.nan], [1.0, 2.0])):
        with pytest.raises(ValueError, match="pairs of seeds: needs two or more"):
            compare_seeds(a, b)


def effects(S=4, P=3, N=50, seed=0, spreads=(0.3, 1.0, 0.7, 0.5)):
    rng = np.random.default_rng(seed)
    shapes = ((S, 1, 1), (1, 1, N), (1, P, N), (S, P, N))
    return sum(spread * rng.normal(size=shape) for spread, shape in zip(spreads, shapes, strict=True))


def test_the_parts_are_those_that_were_put_in():
    """Their means over 400 studies; each is what the mean's variance has of one source."""
    found = [crossed(effects(seed=seed)) for seed in range(400)]
    expected = {"of_seeds": 0.3**2 / 4, "of_noise": 0.7**2 / 150, "of_both": 0.5**2 / 3 / 200}
    expected["of_images"] = 1.0 / 50 + 0.7**2 / 150
    for name, value in expected.items():
        values = np.array([getattr(one, name) for one in found])
        assert values.mean() == pytest.approx(value, abs=4 * values.std() / 20), name
    assert np.var([one.difference for one in found]) == pytest.approx(np.mean([one.se**2 for one in found]), rel=0.25)


def test_it_is_students_interval_where_one_source_is_all_there_is():
    of_seeds = np.array([1.0, 2.0, 4.0])[:, None, None] + np.zeros((3, 2, 40))
    assert crossed(of_seeds).ci95 == pytest.approx(stats.t.interval(0.95, 2, 7 / 3, stats.sem([1, 2, 4])))
    images = np.random.default_rng(1).normal(size=40)
    same = images[None, None] + np.zeros((3, 2, 40))
    assert crossed(same).ci95 == pytest.approx(stats.t.interval(0.95, 39, images.mean(), stats.sem(images)))


@pytest.mark.parametrize("spreads", [(1.0, 0.0, 0.0, 1.0), (0.1, 1.0, 1.0, 1.0)])
def test_it_covers_new_trainings_on_new_images(spreads):
    """1,000 studies here, 10,000 in benchmarks/coverage.py; not less than nominal, hardly more."""
    hits = np.mean([np.prod(crossed(effects(3, 2, 60, seed, spreads)).ci95) < 0 for seed in range(1000)])
    assert 0.95 - 3 * (0.95 * 0.05 / 1000) ** 0.5 < hits < 0.985


def test_one_seed_or_image_has_no_interval():
    for shape in ((1, 2, 5), (3, 2, 1), (3, 5)):
        with pytest.raises(ValueError, match="crossed effects: need two seeds and two images or more"):
            crossed(np.zeros(shape))


@pytest.mark.parametrize("n", [3, (3, 8)])
def test_the_least_visible_difference_is_seen_in_four_of_five_studies(n):
    least = least_visible(0.01, 0.02, n)
    assert power(least, 0.01, 0.02, n) == pytest.approx(0.8, abs=1e-9)
    sizes, rng = n if isinstance(n, tuple) else (n, n), np.random.default_rng(2)
    a, b = rng.normal(-least, 0.01, (20_000, sizes[0])), rng.normal(0, 0.02, (20_000, sizes[1]))
    seen = stats.ttest_ind(a, b, axis=1, equal_var=False, alternative="less").pvalue <= 0.05
    assert seen.mean() == pytest.approx(0.8, abs=4 * 0.4 / 20_000**0.5)
    assert least_visible(0.0, 0.0, 3) == 0.0
