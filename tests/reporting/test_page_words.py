"""What the page says in words and numbers of its own."""

import statistics

import numpy as np
import pytest
from made_up_page import SOURCE
from parsed_page import Parsed, small, totals
from scipy import stats

from diffenc.io.errors import UserError
from diffenc.io.files import write_csv
from diffenc.reporting.html import summary
from diffenc.reporting.tables.formatting import MINUS
from diffenc.results.tests import add_holm, compare, read_tests
from diffenc.statistics import tost
from diffenc.statistics.power import power
from diffenc.study.stages import TESTS

MEASURED = "measured on 300 test images"


def test_the_paragraph_gives_the_main_comparison_as_scipy_finds_it(made):
    a, b = totals(made, "digits", "DiffEnc-2-1"), totals(made, "digits", "VDMv-2")
    test = stats.ttest_ind(a, b, equal_var=False, alternative="less")
    interval = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    said = made.parsed.text("p", kind="finding")[0].replace("\N{NO-BREAK SPACE}", " ").replace(MINUS, "-")
    assert test.pvalue < 0.001
    assert f"{statistics.mean(a):.4f} and {statistics.mean(b):.4f} bits per dimension" in said
    assert f"a difference of {statistics.mean(a) - statistics.mean(b):.4f}, with a 95 % interval" in said
    assert f"from {interval.low:.4f} to {interval.high:.4f}, and a one-sided p < 0.001 by Welch's test" in said
    assert "whether DiffEnc-2-1 has a lower loss than VDMv-2 on Digits with the fixed schedule" in said
    assert "Of the study's 3 claims, 2 pass the 5 % level after Holm's correction." in said


def test_the_paragraph_says_what_was_run(made):
    said = made.parsed.text("section", id="results")[0]
    assert "This study compares 3 models on Digits and MNIST." in said
    assert (
        "DiffEnc-2-nt with the fixed noise schedule; VDMv-2 and DiffEnc-2-1 with the learned noise schedule" in said
    )
    assert "were trained for 100 steps, with 2 or 3 seeds each." in said
    assert f"That makes {3 * 3 + 2 * 2 + 2 * 3} trainings in all." in said
    assert "300 of Digits and 300 of MNIST" in said


def test_one_model_and_one_seed_are_said_in_the_singular(tmp_path):
    lone = "  - {dataset: mnist, models: [VDMv-2], seeds: [1], training: {steps: 100}}"
    runs = SOURCE[SOURCE.index("  - {dataset: digits, models") : SOURCE.index("evaluation:")]
    made = small(tmp_path, runs=(runs, f"{lone}\n"))
    page = Parsed(made.page())
    assert "How good is VDMv-2 on MNIST?" in page.text("header")[0]
    said = page.text("section", id="results")[0]
    assert "This study is of one model, VDMv-2, on MNIST." in said
    assert "On MNIST, VDMv-2 with the fixed noise schedule was trained for 100 steps, with 1 seed." in said
    assert "That makes 1 training in all." in said
    assert "names no comparison, so nothing is tested" in said
    assert "VDMv-2 2.640 1" in page.text("table", kind="strips")[0]


def test_the_first_screen_asks_and_says_how_much_was_run(made):
    said = made.parsed.text("header")[0].replace("\N{NO-BREAK SPACE}", " ")
    assert "Is DiffEnc-2-1 better than VDMv-2 on Digits, with the fixed noise schedule?" in said
    hours = 3 * 0.5 * (1 + 2 + 3) + 2 * 0.5 * (1 + 2) + 2 * 0.5 * (1 + 2 + 3)
    assert f"19 runs: 3 models on Digits and MNIST, 2 or 3 seeds each, 100 steps; {MEASURED}; {hours}" in said
    assert made.html.index('class="verdict"') < made.html.index('class="strips"') < made.html.index("<nav")
    no_comparison = made.study.model_copy(update={"comparisons": ()})
    assert summary.question(no_comparison) == "How do 3 models compare on Digits and MNIST?"


def row(difference, low, high, p, p_holm):
    names = {"lower": "A", "than": "B", "p_less": p, "p_holm": p_holm}
    return names | {"difference": difference, "ci95_low": low, "ci95_high": high}


@pytest.mark.parametrize(
    ("test", "says"),
    [
        (row(-2, -3, -1, 0.001, 0.003), "speaks for the claim, also after Holm's correction."),
        (row(-2, -3, -1, 0.02, 0.05), "speaks for the claim, also after Holm's correction."),
        (row(-2, -3, -1, 0.02, 0.06), "speaks for the claim, but not after Holm's correction."),
        (
            row(-2, -5, 1, 0.04, 0.04),
            "speaks for the claim, also after Holm's correction. The two-sided interval still",
        ),
        (row(-1, -5, 3, 0.05, 0.06), "speaks for the claim, but not after Holm's correction. The two-sided"),
        (row(-1, -5, 3, 0.3, 0.9), "decides nothing"),
        (row(1, -1, 3, 0.8, 1), "decides nothing"),
        (row(2, 1, 3, 0.99, 1), "speaks against the claim: A is higher"),
        (row(-0.01, -0.01, -0.01, 0.0, 0.0), "no seed's loss differs from another's, and A is lower by 0.0100"),
        (row(0.01, 0.01, 0.01, 1.0, 1.0), "A is higher by 0.0100"),
        (row(0.0, 0.0, 0.0, 0.5, 1.0), "A and B are equal"),
    ],
)
def test_a_test_is_read_as_what_it_is(test, says):
    assert says in summary.reading(test, tests=3)


def test_one_test_is_not_corrected():
    assert summary.reading(row(-2, -3, -1, 0.02, 0.02), tests=1) == "speaks for the claim."


def test_holms_p_values_stand_beside_the_tests(made):
    tests = made.tests.copy()
    total = tests["term"] == "total"
    tests.loc[total, "p_less"] = [0.03, 0.01, 0.04]
    tests.loc[total, ["ci95_low", "ci95_high"]] = -2.0, -1.0
    # by hand: the smallest three times, the next twice, the largest once but not below the one before
    tests = add_holm(tests)
    claims = summary.claims(made.study, tests)
    assert [claim.p for claim in claims] == ["0.030", "0.010", "0.040"]
    assert [claim.holm for claim in claims] == ["0.060", "0.030", "0.060"]
    assert [", but not after" in claim.reading for claim in claims] == [True, False, True]
    finding = summary.summary(made.study, made.runs, tests).finding
    assert "The test speaks for the claim, but not after Holm's correction." in finding
    assert "Of the study's 3 claims, 1 passes the 5 % level" in finding
    # they are read, not made again: the table and the page have one source; and 0.05 is at most 5 %
    tests.loc[total, "p_holm"] = [0.05, 0.07, 0.5]
    assert [claim.holm for claim in summary.claims(made.study, tests)] == ["0.050", "0.070", "0.500"]
    finding = summary.summary(made.study, made.runs, tests).finding
    assert "speaks for the claim, also after Holm's correction." in finding
    assert "1 passes the 5 % level" in finding


def test_tests_without_holms_column_are_refused(copy):
    path = copy.folder / TESTS
    write_csv(read_tests(path).drop(columns="p_holm"), path)
    with pytest.raises(UserError, match=r"tests\.csv: has no column p_holm; make it"):
        copy.page()


def test_each_way_of_measuring_has_a_sentence_with_its_data_sets(made):
    runs, tests = made.runs, made.tests
    alike = summary.summary(made.study, runs, tests).measured
    assert "It is averaged over 10 passes with fresh noise" in alike
    assert "(test images: 300 of Digits and 300 of MNIST)." in alike
    mnist = runs["dataset"] == "mnist"
    given = runs.assign(passes=runs["passes"].where(~mnist, 1), protocol=runs["protocol"].where(~mnist, "given"))
    said = summary.summary(made.study, given, tests).measured
    assert "On Digits it is averaged over 10 passes with fresh noise that is the same for every model" in said
    assert "(test images: 300 of Digits)." in said
    assert "On MNIST it is of 1 pass with the noise given with the data set" in said
    assert "(test images: 300 of MNIST)." in said
    authors = summary.summary(made.study, runs.assign(protocol="authors"), tests).measured
    assert "10 passes with noise as the authors' code draws it" in authors


def test_the_tests_and_the_meaning_of_p_stand_together(made):
    said = made.parsed.text("section", id="tests")[0].replace("\N{NO-BREAK SPACE}", " ")
    for word in ("One-sided p, Welch", "correction The more claims", "paired over images", "Here they are 3 tests"):
        assert word in said
    for claim in summary.claims(made.study, read_tests(made.folder / TESTS)):
        assert f"{claim.claim} {claim.of} {claim.n} {claim.difference} {claim.p} {claim.holm} {claim.reading}" in said


def test_counts_and_lists():
    assert summary.counted(1, "seed") == "1 seed"
    assert summary.counted(2_000_000, "step") == "2,000,000 steps"
    assert summary.counted(2, "pass", "passes") == "2 passes"
    assert summary.listed(["a"]) == "a"
    assert summary.listed(["a", "b", "c"]) == "a, b and c"
    assert [summary.ranged(of, "seed") for of in ([3], [2, 3], [5, 3])] == ["3 seeds", "2 or 3 seeds", "3 to 5 seeds"]


@pytest.mark.parametrize(
    ("lower", "than", "says"),
    [
        ([2.600, 2.603, 2.606], [2.640, 2.645, 2.650], "is better than"),
        ([2.640, 2.645, 2.650], [2.600, 2.603, 2.606], "is worse than"),
        ([2.600, 2.601, 2.602], [2.601, 2.602, 2.603], "are the same within 0.01 bits per dimension"),
        ([2.600, 2.650, 2.700], [2.610, 2.670, 2.700], "cannot be told: about"),
        ([2.6, 2.6, 2.6], [2.7, 2.7, 2.7], "is better than VDMv-2, by 0.100 bits per dimension."),
        ([2.6, 2.6, 2.6], [2.6, 2.6, 2.6], "are the same within"),
    ],
)
def test_the_verdict_is_one_short_sentence(made, lower, than, says):
    """Of each outcome, at most 25 words; and the seeds that it names would do."""
    runs = made.runs.copy()
    group = (runs["term"] == "total") & (runs["dataset"] == "digits") & (runs["schedule"] == "fixed")
    for model, values in (("DiffEnc-2-1", lower), ("VDMv-2", than)):
        runs.loc[group & (runs["model"] == model), "bpd"] = values
    tests = add_holm(compare(made.study, runs))
    said = summary.verdict(made.study, runs, tests)
    assert says in said
    assert len(said.split()) <= 25
    assert said.count(".") - said.count("0.") <= 1
    if "about" in said:
        seeds = int(said.split("about ")[1].split()[0].replace(",", ""))
        spreads = [np.std(values, ddof=1) for values in (lower, than)]
        assert power(0.01, *spreads, seeds) >= 0.9 > power(0.01, *spreads, seeds - 1)
        rng, same = np.random.default_rng(0), 0
        for _ in range(2000):
            a, b = (rng.normal(0, spread, seeds) for spread in spreads)
            same += tost(a, b, 0.01).p < 0.05
        assert same / 2000 == pytest.approx(0.8, abs=0.03)  # of models that are equal


def test_seeds_that_are_there_are_not_asked_for(made):
    """Three would do, and by chance did not."""
    runs = made.runs.copy()
    group = (runs["term"] == "total") & (runs["dataset"] == "digits") & (runs["schedule"] == "fixed")
    for model, mean in (("DiffEnc-2-1", 2.595), ("VDMv-2", 2.6)):
        runs.loc[group & (runs["model"] == model), "bpd"] = [mean - 0.0033, mean, mean + 0.0033]
    said = summary.verdict(made.study, runs, add_holm(compare(made.study, runs)))
    assert "about 4 seeds each" in said


def test_without_a_comparison_nothing_is_claimed(made):
    assert summary.verdict(made.study, made.runs, None) == "No comparison is named, so nothing is claimed."
