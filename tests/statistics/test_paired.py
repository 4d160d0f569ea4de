import math

import numpy as np
import pytest
import torch
from scipy import stats

from diffenc.evaluation import elbo
from diffenc.evaluation.noise import times
from diffenc.io.errors import UserError
from diffenc.results.arrays import Totals, check_noise, per_image, read_totals
from diffenc.statistics.paired import compare_images


def arrays(passes=4, images=60, seed=0, noise=0):
    """An evaluation.npz's content; `noise` is the seed of what all models share."""
    t = np.random.default_rng(noise).uniform(size=(passes, images))
    rng = np.random.default_rng([seed, 1])
    terms = {name: rng.normal(size=(passes, images)) for name in ("reconstruction", "latent", "diffusion")}
    return {name: values.astype(np.float32) for name, values in {"t": t, **terms}.items()}


def written(file, **options):
    np.savez(file, **arrays(**options))
    return file


def totals(file, **options):
    return read_totals(written(file, **options))


def two(images=200, spread=0.1):
    """Per-image totals of two models that share most of what varies."""
    rng = np.random.default_rng(0)
    shared = rng.normal(2.6, 0.6, images)
    return shared - 0.01 + spread * rng.standard_normal(images), shared + spread * rng.standard_normal(images)


@pytest.mark.parametrize("spread", [0.02, 0.2])
def test_as_scipy_has_it(spread):
    first, second = two(spread=spread)
    ours = compare_images(first, second)
    theirs = stats.ttest_rel(first, second, alternative="less")
    interval = stats.ttest_rel(first, second).confidence_interval(0.95)
    assert ours.p_less == pytest.approx(theirs.pvalue, rel=1e-9)
    assert ours.ci95 == pytest.approx((interval.low, interval.high), rel=1e-9)
    assert ours.difference / ours.se == pytest.approx(theirs.statistic, rel=1e-9)
    assert ours.images == theirs.df + 1
    assert ours.correlation == pytest.approx(stats.pearsonr(first, second).statistic)
    assert ours.first_better == sum(a < b for a, b in zip(first, second, strict=True)) / 200
    alone = stats.ttest_ind(first, second, equal_var=False)
    assert ours.narrowing == pytest.approx(theirs.statistic / alone.statistic)  # the same difference over either SE


def test_the_other_way_round():
    there, back = compare_images(*two()), compare_images(*reversed(two()))
    assert back.difference == pytest.approx(-there.difference)
    assert back.p_less == pytest.approx(1 - there.p_less)
    assert back.first_better == pytest.approx(1 - there.first_better)


@pytest.mark.parametrize(("shift", "p"), [(-0.25, 0), (0, 0.5), (0.25, 1)])
def test_equal_differences_have_no_spread(shift, p):
    second = np.arange(8.0)  # exact in floating point
    found = compare_images(second + shift, second)
    assert (found.difference, found.se, found.ci95, found.p_less) == (shift, 0, (shift, shift), p)
    assert found.correlation == pytest.approx(1)
    assert math.isnan(found.narrowing)


def test_a_constant_has_no_correlation():
    assert math.isnan(compare_images(np.ones(8), np.arange(8.0)).correlation)


@pytest.mark.parametrize(("a", "b"), [((1,), (1,)), ((3,), (4,)), ((2, 3), (2, 3))])
def test_two_images_are_needed(a, b):
    with pytest.raises(ValueError, match="two images or more"):
        compare_images(np.ones(a), np.ones(b))


def test_totals_are_those_of_the_evaluation(tmp_path):
    run = totals(tmp_path / "a.npz", seed=1)
    assert run.total.shape == run.t.shape == (4, 60)
    reported = elbo.summarise(arrays(seed=1))["bpd"]["total"]["mean"]
    assert per_image([run]).mean() == pytest.approx(reported, abs=1e-12)


def test_an_images_total_is_the_mean_over_passes_and_runs(tmp_path):
    runs = [totals(tmp_path / "a.npz", seed=seed) for seed in (1, 2)]
    found = per_image(runs)
    by_hand = [sum(run.total[p, 7] for run in runs for p in range(4)) / 8]
    assert found.shape == (60,)
    assert found[[7]] == pytest.approx(by_hand)


def test_the_same_noise_is_needed(tmp_path):
    first = totals(tmp_path / "first.npz")
    check_noise([first, totals(tmp_path / "second.npz", seed=2)])
    with pytest.raises(UserError, match=r"third\.npz: t is not that of .*first\.npz: the noise is another; make it"):
        check_noise([first, totals(tmp_path / "third.npz", noise=1)])
    with pytest.raises(UserError, match=r"short\.npz: has \(passes, images\) \(4, 59\), .*first\.npz has \(4, 60\)"):
        check_noise([first, totals(tmp_path / "short.npz", images=59)])
    with pytest.raises(UserError, match=r"\(3, 60\)"):
        check_noise([first, totals(tmp_path / "passes.npz", passes=3)])


def test_a_file_that_is_missing_or_damaged(tmp_path):
    file = tmp_path / "evaluation.npz"
    with pytest.raises(UserError, match=r"evaluation\.npz: is missing"):
        read_totals(file)
    content = written(file).read_bytes()
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"evaluation\.npz: is damaged"):
        read_totals(file)
    np.savez(file, **{name: values for name, values in arrays().items() if name != "latent"})
    with pytest.raises(UserError, match=r"evaluation\.npz: has no array latent"):
        read_totals(file)
    np.savez(file, **arrays() | {"latent": np.zeros((4, 59), np.float32)})
    with pytest.raises(UserError, match=r"evaluation\.npz: \w+ has shape"):
        read_totals(file)
    np.savez(file, **arrays() | {"latent": np.full((4, 60), np.nan, np.float32)})
    with pytest.raises(UserError, match="not finite"):
        read_totals(file)


@pytest.mark.parametrize(("even", "low", "high"), [(True, 0, 0.5), (False, 0.9, 1.1)])
def test_evenly_spread_times_make_the_standard_error_conservative(even, low, high):
    """What the mean difference really errs by, over the standard error, with the evaluation's times and with times
    drawn one by one."""
    rng = np.random.default_rng(0)
    indices, passes, found = torch.arange(300), 2, []
    for _ in range(600):
        if even:
            t = np.stack([times(rng.uniform(), indices).numpy() for _ in range(passes)])
        else:
            t = rng.uniform(size=(passes, 300))
        # models that differ by what depends on t, and a little by the image
        difference = 0.3 * np.cos(4 * t) + 0.05 * rng.standard_normal(300)
        first = per_image([Totals("", t, 2.6 + difference)])
        found.append(compare_images(first, np.full(300, 2.6)))
    real = np.std([one.difference for one in found])
    assert low < real / np.mean([one.se for one in found]) < high
