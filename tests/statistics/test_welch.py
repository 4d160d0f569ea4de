import math

import made_up
import numpy as np
import pytest
from scipy import stats

from diffenc.io.errors import UserError
from diffenc.results.runs import collect
from diffenc.results.tests import TEST_COLUMNS, compare
from diffenc.statistics.welch import Summary, summarise, welch
from diffenc.study.stages import TERMS

A = [2.61, 2.63, 2.624, 2.615, 2.622]
B = [2.64, 2.638, 2.645]


@pytest.fixture
def runs(tmp_path):
    return collect(made_up.study(), made_up.write_results(made_up.study(), tmp_path / "small"))


@pytest.mark.parametrize(("a", "b"), [(A, B), (B, A), (np.array(A), [2.62, 2.7, 2.5, 2.61])])
def test_samples_as_scipy_has_them(a, b):
    ours = welch(a, b)
    theirs = stats.ttest_ind(a, b, equal_var=False)
    interval = theirs.confidence_interval(0.95)
    assert ours.t == pytest.approx(theirs.statistic, rel=1e-10)
    assert ours.df == pytest.approx(theirs.df, rel=1e-10)
    assert ours.p_two_sided == pytest.approx(theirs.pvalue, rel=1e-9)
    less = stats.ttest_ind(a, b, equal_var=False, alternative="less").pvalue
    assert ours.p_less == pytest.approx(less, rel=1e-9)
    assert ours.ci95 == pytest.approx((interval.low, interval.high), rel=1e-9)
    assert ours.difference == pytest.approx(sum(a) / len(a) - sum(b) / len(b), rel=1e-9)


def test_summaries_as_scipy_has_them_and_as_samples():
    a, b = (Summary(np.mean(x), np.std(x, ddof=1) / math.sqrt(len(x)), len(x)) for x in (A, B))
    theirs = stats.ttest_ind_from_stats(
        a.mean, a.se * math.sqrt(5), 5, b.mean, b.se * math.sqrt(3), 3, equal_var=False, alternative="less"
    )
    ours = welch(a=tuple(a), b=b)
    assert (ours.t, ours.p_less) == pytest.approx(tuple(theirs), rel=1e-9)
    samples = welch(A, B)
    for name in ("df", "p_two_sided", "difference", "ci95", "hedges_g"):
        assert getattr(ours, name) == pytest.approx(getattr(samples, name), rel=1e-8)
        assert getattr(welch(A, b), name) == pytest.approx(getattr(samples, name), rel=1e-8)


def test_hedges_g_by_its_definition():
    m = len(A) + len(B) - 2
    squares = sum((x - np.mean(A)) ** 2 for x in A) + sum((x - np.mean(B)) ** 2 for x in B)
    correction = math.gamma(m / 2) / (math.sqrt(m / 2) * math.gamma((m - 1) / 2))
    assert welch(A, B).hedges_g == pytest.approx((np.mean(A) - np.mean(B)) / math.sqrt(squares / m) * correction)


def test_the_papers_numbers():
    test = welch(a=(2.620, 0.006, 3), b=(2.641, 0.003, 3))
    assert round(test.p_less, 4) == 0.0267
    assert test.hedges_g < 0


@pytest.mark.parametrize(
    ("b", "t", "p_less", "p_two_sided"),
    [(0.2, -math.inf, 0, 0), (0.05, math.inf, 1, 0), (0.1, 0, 0.5, 1)],
)
def test_without_spread_the_difference_is_known(b, t, p_less, p_two_sided):
    # the mean of three times 0.1 is not 0.1 in floating point: the spread must be none all the same
    test = welch([0.1] * 3, [b] * 3)
    assert (test.t, test.hedges_g, test.p_less, test.p_two_sided) == (t, t, p_less, p_two_sided)
    assert test.ci95 == (test.difference, test.difference) == (0.1 - b, 0.1 - b)
    assert test.df == 4
    assert welch((0.1, 0, 3), (b, 0, 3)) == test


def test_one_sample_without_spread_is_a_one_sample_test():
    test = welch(A, [2.63] * 3)
    theirs = stats.ttest_1samp(A, 2.63, alternative="less")
    assert (test.t, test.p_less, test.df) == pytest.approx((theirs.statistic, theirs.pvalue, 4))


@pytest.mark.parametrize(
    ("a", "message"),
    [
        ([2.6], "at least two"),
        ([], "at least two"),
        ((2.6, 0.1, 1), "at least two"),
        ((2.61, 2.62, 2.63), "give a sample as a list"),
        ((2.61, 2.62, 2.63, 2.64), "give a sample as a list"),
        ((2.61, math.nan, 3), "finite"),
        ([2.6, math.inf], "finite"),
        ((2.6, -0.1, 3), "negative"),
    ],
)
def test_what_is_no_sample_is_refused(a, message):
    with pytest.raises(ValueError, match=message):
        welch(a, B)


def test_one_value_has_no_standard_error():
    summary = summarise([2.5])
    assert (summary.mean, summary.n) == (2.5, 1)
    assert math.isnan(summary.se)


@pytest.mark.filterwarnings("ignore:Precision loss")  # scipy's, for the terms that do not vary
def test_compare_tests_every_comparison_and_term(runs):
    study = made_up.study()
    tests = compare(study, runs.sample(frac=1, random_state=0))
    assert tuple(tests.columns) == TEST_COLUMNS
    expected = [(c.lower, c.than, term) for c in study.comparisons for term in TERMS]
    assert list(tests[["lower", "than", "term"]].itertuples(index=False, name=None)) == expected
    for row in tests.to_dict("records"):
        a, b = (runs[(runs["model"] == row[m]) & (runs["term"] == row["term"])]["bpd"] for m in ("lower", "than"))
        assert (row["n_lower"], row["n_than"]) == (3, 3)
        assert row["difference"] == pytest.approx(np.mean(a) - np.mean(b), abs=1e-12)
        if a.nunique() + b.nunique() > 2:
            theirs = stats.ttest_ind(a, b, equal_var=False, alternative="less")
            assert row["p_less"] == pytest.approx(theirs.pvalue, rel=1e-6)
        else:
            assert row["p_less"] == 0.5


def test_compare_keeps_datasets_and_schedules_apart(tmp_path):
    study = made_up.study(schedules=("fixed", "learned"))
    runs = collect(study, made_up.write_results(study, tmp_path / "small"))
    runs.loc[runs["schedule"] == "learned", "bpd"] += 100
    assert (compare(study, runs)["mean_than"] < 3).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda runs: runs[runs["seed"] != 3], "seed3, term total, is missing"),
        (lambda runs: runs.drop(index=5), "term diffusion, is missing"),
        (lambda runs: runs.iloc[[*range(len(runs)), 0]], "seed1, term total, is given twice"),
        (lambda runs: runs.assign(seed=runs["seed"].replace(3, 4)), "is missing"),
        (lambda runs: runs.assign(bpd=math.nan), "bpd is nan"),
    ],
)
def test_compare_never_changes_n_quietly(runs, change, message):
    with pytest.raises(UserError, match=message):
        compare(made_up.study(), change(runs))


def test_a_seed_the_study_does_not_name_is_refused(runs):
    with pytest.raises(UserError, match="seed3, term total, is not in the study"):
        compare(made_up.study(seeds=(1, 2)), runs)
