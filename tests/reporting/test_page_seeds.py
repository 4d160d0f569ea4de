"""The page's picture of seeds, means and intervals, against scipy and straight lines."""

import statistics

import pytest
from parsed_page import totals
from scipy import stats

from diffenc.reporting.html import seeds
from diffenc.reporting.tables.formatting import MINUS
from diffenc.results.tests import add_holm, compare

MODELS = ("VDMv-2", "DiffEnc-2-1", "DiffEnc-2-nt")


def edges(span):
    return span[0], span[0] + span[1]


def test_means_intervals_margin_and_difference_stand_on_one_axis(made):
    group = seeds.groups(made.study, made.runs, made.tests)[0]
    assert group.of == "Digits, fixed schedule"
    values = {model: totals(made, "digits", model) for model in MODELS}
    means = {model: statistics.mean(of) for model, of in values.items()}
    # places are a straight line through the values
    points = [(v, x) for row in group.rows for v, x in zip(values[row.name], row.dots, strict=True)]
    line = stats.linregress(*zip(*points, strict=True))
    assert line.rvalue == pytest.approx(1, abs=1e-6)

    def place(bpd):
        return pytest.approx(line.intercept + line.slope * bpd, abs=0.05)

    for row in group.rows:
        of = values[row.name]
        ends = stats.t.interval(0.95, 2, means[row.name], stats.sem(of))
        assert (row.mean, *edges(row.span)) == (place(means[row.name]), place(ends[0]), place(ends[1]))
        assert (row.value, row.interval) == (f"{means[row.name]:.3f}", f"[{ends[0]:.3f}, {ends[1]:.3f}]")
    assert [row.name for row in group.rows if row.best] == ["DiffEnc-2-1"]
    zero = means["VDMv-2"]
    assert edges(group.margin) == (place(zero - 0.01), place(zero + 0.01))
    test = stats.ttest_ind(values["DiffEnc-2-1"], values["VDMv-2"], equal_var=False).confidence_interval(0.95)
    assert edges(group.difference.span) == (place(zero + test.low), place(zero + test.high))
    assert group.difference.mean == place(means["DiffEnc-2-1"])
    assert {tick.text: tick.place for tick in group.difference_ticks}["0.00"] == place(zero)
    for tick in group.ticks:
        assert tick.place == place(float(tick.text.replace(MINUS, "-")))
    assert 2 <= len(group.ticks) <= 6


def test_the_main_comparisons_group_comes_first(made):
    study = made.study.model_copy(update={"comparisons": made.study.comparisons[::-1]})
    first, *others = seeds.groups(study, made.runs, add_holm(compare(study, made.runs)))
    assert (first.of, first.difference.name) == ("MNIST, fixed schedule", "DiffEnc-2-1 less VDMv-2")
    assert [group.of for group in others] == ["Digits, fixed schedule", "Digits, learned schedule"]
    assert others[1].difference is None  # no comparison is of it
    assert all(group.margin is None for group in seeds.groups(made.study, made.runs, None))


def test_a_model_far_off_does_not_squeeze_what_is_compared(made):
    runs = made.runs.copy()
    far = (runs["term"] == "total") & (runs["dataset"] == "digits") & (runs["model"] == "DiffEnc-2-nt")
    runs.loc[far, "bpd"] = [7.7, 7.71, 7.72]
    group = seeds.groups(made.study, runs, add_holm(compare(made.study, runs)))[0]
    one = dict(zip(MODELS, group.rows, strict=True))
    assert one["DiffEnc-2-nt"][2:] == ("[7.685, 7.735]", "3", False, [], None, None, "right")
    assert one["VDMv-2"].mean - one["DiffEnc-2-1"].mean > 10
    assert (one["VDMv-2"].beyond, one["DiffEnc-2-1"].beyond, group.difference.beyond) == ("", "", "")


def test_one_seed_has_no_interval_and_equal_seeds_an_axis(made):
    alone = seeds.groups(made.study, made.runs.assign(bpd=2.5), None)[0]
    assert [row.span for row in alone.rows] == [(50.0, 0.0)] * 3
    assert {dot for row in alone.rows for dot in row.dots} == {50.0}
