import re

import made_up
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from diffenc.io.errors import UserError
from diffenc.reporting.tables import formatting, loss_columns
from diffenc.reporting.tables import statistics as tables
from diffenc.reporting.tables.paired import paired
from diffenc.reporting.tables.power import power
from diffenc.reporting.tables.seeds import seeds
from diffenc.results.runs import collect
from diffenc.results.tests import compare
from diffenc.statistics import power as of_welch
from diffenc.statistics.resampling import permutation_p
from diffenc.statistics.welch import holm
from diffenc.study.load import parse_study
from diffenc.study.stages import PER_IMAGE, TERMS
from diffenc.study.study import run_folder

PASSES, IMAGES = 4, 300


def content(seeds, than_seeds=None, comparisons=True):
    group = {"dataset": "digits", "training": {"steps": 100}}
    runs = [
        group | {"models": ["DiffEnc-2-1"], "seeds": list(seeds)},
        group | {"models": ["VDMv-2"], "seeds": list(than_seeds or seeds)},
        group | {"models": ["VDMv-2"], "seeds": [1], "schedule": "learned"},
    ]
    tests = [{"dataset": "digits", "lower": "DiffEnc-2-1", "than": "VDMv-2"}] if comparisons else []
    return {"name": "small", "title": "Small", "runs": runs, "comparisons": tests, "evaluation": {"passes": 10}}


def per_image(run):
    """A run's evaluation.npz: what images and times cost every model, its own mean, and a little noise of its own."""
    shared, own = np.random.default_rng(0), np.random.default_rng([run.seed, len(run.model)])
    t, images = shared.uniform(size=(PASSES, IMAGES)), shared.normal(0, 0.5, IMAGES)
    diffusion = made_up.BASE[run.model] + 0.002 * own.standard_normal() + images + 0.3 * np.cos(7 * t)
    terms = {"diffusion": diffusion + 0.02 * own.standard_normal(t.shape), "latent": 0.002 + 0 * t, "t": t}
    return {name: array.astype(np.float32) for name, array in (terms | {"reconstruction": 0.01 + 0 * t}).items()}


def made(tmp_path, study=None):
    """A study's (study, runs, tests, folder), as every table takes them."""
    study = study or made_up.study()
    folder = made_up.write_results(study, tmp_path / "small")
    for run in {run for group in study.groups().values() for runs in group.values() for run in runs}:
        np.savez(run_folder(folder, run) / PER_IMAGE, **per_image(run))
    runs = collect(study, folder)
    return study, runs, compare(study, runs), folder


def read(sheet, tmp_path):
    """(header, rows) of the Markdown as cells, and the notes; the other forms must be sound."""
    formatting.write(sheet, tmp_path / "name", "A caption")
    assert (tmp_path / "name.tex").read_text().isascii()
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "name.csv", dtype={"seeds_lower": str, "seeds_than": str}),
        sheet.frame,
        check_exact=True,
        check_dtype=False,
    )
    lines = (tmp_path / "name.md").read_text().splitlines()
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    rows = [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]
    return rows, "\n".join(sheet.notes)


def samples(runs, model):
    return runs[(runs["model"] == model) & (runs["schedule"] == "fixed") & (runs["term"] == "total")]["bpd"].tolist()


def test_statistics_from_the_seeds_values(tmp_path):
    study, runs, tests, folder = made(tmp_path)
    sheet = tables.statistics(study, runs, tests, folder)
    assert len(sheet.frame) == len(study.comparisons)
    for row in sheet.frame.to_dict("records"):
        a, b = (samples(runs, row[model]) for model in ("lower", "than"))
        assert [float(value) for value in row["bpd_lower"].split("; ")] == a
        assert [float(value) for value in row["bpd_than"].split("; ")] == b
        theirs = stats.ttest_ind(a, b, equal_var=False, alternative="less")
        assert row["p_less"] == pytest.approx(theirs.pvalue, rel=1e-9)
        interval = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
        assert (row["ci95_low"], row["ci95_high"]) == pytest.approx(tuple(interval))
        assert row["ci95_low"] < row["bootstrap95_low"] < row["bootstrap95_high"] < row["ci95_high"]
        assert row["p_permutation"] == permutation_p(a, b).p
        assert row["p_permutation_smallest"] == 0.05
        assert row["holm_tests"] == 3
        test = tests[(tests["lower"] == row["lower"]) & (tests["than"] == row["than"]) & (tests["term"] == "total")]
        assert row["hedges_g"] == test["hedges_g"].item()
    assert sheet.frame["p_holm"].tolist() == pytest.approx(holm(sheet.frame["p_less"]).tolist())


def test_statistics_for_reading(tmp_path):
    study, runs, tests, folder = made(tmp_path)
    rows, notes = read(tables.statistics(study, runs, tests, folder), tmp_path)
    first = rows[0]
    assert first["claim"] == "DiffEnc-2-1 < VDMv-2"
    assert first["first, by seed"] == "; ".join(f"{value:.4f}" for value in samples(runs, "DiffEnc-2-1"))
    assert first["p, permutation"] == "0.050 (least 0.050)"
    assert re.fullmatch(r"\[−0\.\d{4}, −0\.\d{4}\]", first["bootstrap 95 % CI"])  # noqa: RUF001
    assert "a family of 3 tests, all one-sided tests of totals in this table" in notes
    assert "claims about new trainings" in notes
    assert "Digits: scikit-learn's copy of the UCI test set; 300 test images, 10 passes, protocol full." in notes


def test_holm_is_the_whole_studys_where_it_is_given(tmp_path):
    study, runs, tests, folder = made(tmp_path)
    given = tests.assign(p_holm=tests["p_less"].clip(upper=0.04) * 15, holm_tests=15)
    sheet = tables.statistics(study, runs, given, folder)
    totals = given[given["term"] == "total"]
    assert sheet.frame["p_holm"].tolist() == totals["p_holm"].tolist()
    assert "a family of 15 tests, all one-sided tests of totals in the whole study" in "\n".join(sheet.notes)


def test_statistics_refuse_tests_of_other_comparisons(tmp_path):
    study, runs, tests, folder = made(tmp_path)
    fewer = tests[tests["lower"] != "DiffEnc-2-nt"]
    with pytest.raises(UserError, match=r"tests\.csv: has no test of digits/fixed: DiffEnc-2-nt < VDMv-2; make it"):
        tables.statistics(study, runs, fewer, folder)


def test_permutations_that_are_too_many_are_said(tmp_path):
    study = parse_study(content(range(12)), "small.yaml")
    rows, notes = read(tables.statistics(*made(tmp_path, study)), tmp_path)
    assert rows[0]["p, permutation"] == "n/a (least < 0.001)"
    assert "n/a: more than 1,000,000 relabellings are not enumerated." in notes


def test_totals_that_do_not_vary(tmp_path):
    study, runs, _, folder = made(tmp_path)
    constant = (runs["term"] == "total") & (runs["model"] != "DiffEnc-2-1")
    runs.loc[constant, "bpd"] = runs.loc[constant, "model"].map(made_up.BASE)
    tests = compare(study, runs)
    rows, notes = read(tables.statistics(study, runs, tests, folder), tmp_path)
    assert [row["p, Welch"] == row["p, Holm"] == "exact" for row in rows] == [False, True, False]
    assert "exact: the total varies over the seeds of neither model" in notes
    sheet = power(study, runs, tests, folder)
    rows, notes = read(sheet, tmp_path)
    assert [row["SD of second"] for row in rows] == ["no spread"] * 3
    assert [row["power for 0.01"] == row["seeds for 0.01"] == "no spread" for row in rows] == [False, True, False]
    assert "no spread: all seeds have the same value" in notes
    # against a value that is known, the one-sample t-test
    row = sheet.frame.iloc[0]
    theirs = stats.nct.sf(stats.t.ppf(0.95, 2), 2, 0.01 / row["sd_lower"] * 3**0.5)
    assert row["power_to_see_0.01"] == pytest.approx(theirs, abs=1e-6)


def test_power_from_the_seeds_spread(tmp_path):
    study, runs, tests, folder = made(tmp_path)
    mean = runs.groupby(["model", "term"])["bpd"].transform("mean")
    runs["bpd"] = mean + 10 * (runs["bpd"] - mean)  # as wide as real trainings are
    sheet = power(study, runs, tests, folder)
    for row in sheet.frame.to_dict("records"):
        sd = [np.std(samples(runs, row[model]), ddof=1) for model in ("lower", "than")]
        assert [row["sd_lower"], row["sd_than"]] == pytest.approx(sd)
        wide = [s * np.sqrt(2 / stats.chi2.ppf(0.05, 2)) for s in sd]
        for effect in (0.01, 0.02, 0.05):
            assert row[f"power_to_see_{effect}"] == pytest.approx(of_welch.power(effect, *sd, 3))
            assert row[f"seeds_to_see_{effect}"] == of_welch.seeds_needed(effect, *sd)
            assert row[f"seeds_to_see_{effect}_upper_sd"] == of_welch.seeds_needed(effect, *wide)
    rows, notes = read(sheet, tmp_path)
    row = sheet.frame.iloc[0]
    assert rows[0]["power for 0.01"] == f"{row['power_to_see_0.01']:.2f}"
    assert rows[0]["seeds for 0.01"] == f"{row['seeds_to_see_0.01']} (up to {row['seeds_to_see_0.01_upper_sd']})"
    assert "90 % intervals (chi-square)" in notes


def test_power_says_which_runs_have_one_seed(tmp_path):
    study = parse_study(content((1, 2, 3)), "small.yaml")
    _, notes = read(power(*made(tmp_path, study)), tmp_path)
    assert "Not planned with, as a spread needs two seeds: digits/VDMv-2/learned/seed1." in notes


def totals(run):
    arrays = per_image(run)
    return sum(arrays[name].astype(np.float64) for name in TERMS[1:]).mean(axis=0)


def test_paired_from_the_files(tmp_path):
    everything = made(tmp_path)
    sheet = paired(*everything)
    frame = sheet.frame.set_index(["lower", "than", "seeds_lower", "seeds_than"])
    group = everything[0].groups()["digits", "fixed"]
    for comparison in everything[0].comparisons:
        claim = comparison.lower, comparison.than
        of = [np.array([totals(run) for run in group[model]]) for model in claim]
        cases = {"1": [x[0] for x in of], "3": [x[2] for x in of], "all": [x.mean(axis=0) for x in of]}
        for seed, (first, second) in cases.items():
            row = frame.loc[(*claim, seed, seed)]
            theirs = stats.ttest_rel(first, second, alternative="less")
            assert row["p_less"] == pytest.approx(theirs.pvalue, rel=1e-6)
            assert row["difference"] == pytest.approx((first - second).mean(), abs=1e-12)
            assert row["se_over_images"] == pytest.approx(stats.sem(first - second))
            assert row["first_better"] == (first < second).mean()
            assert row["images"] == IMAGES
        pairs = [frame.loc[(*claim, seed, seed)]["difference"] for seed in ("1", "2", "3")]
        together = frame.loc[(*claim, "all", "all")]
        assert together["sd_over_pairs"] == pytest.approx(np.std(pairs, ddof=1))
        # as many seeds of both: the difference of all is the pairs' mean
        assert together["difference"] == pytest.approx(np.mean(pairs))


def test_paired_for_reading(tmp_path):
    rows, notes = read(paired(*made(tmp_path)), tmp_path)
    assert [row["seeds"] for row in rows] == ["all", "1, 1", "2, 2", "3, 3"] * 3
    assert [row["claim"] for row in rows[:2]] == ["DiffEnc-2-1 < VDMv-2", ""]
    assert rows[1]["SD over pairs"] == "one pair"
    assert re.fullmatch(r"\d\d?\d?\.\d %", rows[0]["first better"])
    assert "THESE trained networks" in notes
    assert "It does not claim that new trainings would" in notes
    assert "the SE over images is conservative" in notes
    assert "protocol authors" not in notes


def test_paired_under_the_authors_protocol_is_not_called_conservative(tmp_path):
    study, runs, tests, folder = made(tmp_path)
    notes = "\n".join(paired(study, runs.assign(protocol="authors"), tests, folder).notes)
    assert "conservative" not in notes
    assert "all batches have the same times and noise" in notes


def test_given_noise_is_called_that_and_one_pass_a_pass(tmp_path):
    study, runs, tests, folder = made(tmp_path)
    given = runs.assign(protocol="given", passes=1)
    notes = paired(study, given, tests, folder).notes
    assert notes[-1].endswith("; 300 test images, under the noise given with the data set.")
    assert not any("conservative" in note for note in notes)
    assert "whether they are is up to who gave them" in "\n".join(notes)
    assert (
        "300 test images, 1 pass, protocol full."
        in tables.statistics(study, runs.assign(passes=1), tests, folder).notes[-1]
    )
    for shown, said in (
        (given, "under the noise given with the data set."),
        (runs.assign(passes=1), "1 pass, protocol full."),
    ):
        assert loss_columns.table(seeds(study, shown)).notes[-1].endswith(f"; 300 test images, {said}")


def test_paired_with_more_seeds_of_one_model(tmp_path):
    study = parse_study(content((4, 5), than_seeds=(1, 2, 3)), "small.yaml")
    sheet = paired(*made(tmp_path, study))
    rows, notes = read(sheet, tmp_path)
    assert [row["seeds"] for row in rows] == ["all", "4, 1", "5, 2"]
    group = study.groups()["digits", "fixed"]
    first, second = (np.mean([totals(run) for run in group[m]], axis=0) for m in ("DiffEnc-2-1", "VDMv-2"))
    assert sheet.frame["difference"][0] == pytest.approx((first - second).mean(), abs=1e-12)
    assert "the pairs are of its first ones: DiffEnc-2-1 < VDMv-2 (digits, fixed)." in notes
    rows, _ = read(power(*made(tmp_path / "again", study)), tmp_path)
    assert rows[0]["n"] == "2, 3"


def test_paired_refuses_missing_files_other_noise_and_single_images(tmp_path):
    study, runs, tests, folder = made(tmp_path)
    file = run_folder(folder, study.run("digits/VDMv-2/fixed/seed2")) / PER_IMAGE
    good = dict(np.load(file))
    np.savez(file, **good | {"t": good["t"][::-1]})
    with pytest.raises(UserError, match=r"VDMv-2/fixed/seed2/evaluation\.npz: t is not that of"):
        paired(study, runs, tests, folder)
    np.savez(file, **{name: array[:, :1] for name, array in good.items()})
    with pytest.raises(UserError, match=r"holds one image, a paired comparison needs two; raise evaluation\.images"):
        paired(study, runs, tests, folder)
    file.unlink()
    with pytest.raises(UserError, match=r"VDMv-2/fixed/seed2/evaluation\.npz: is missing"):
        paired(study, runs, tests, folder)


@pytest.mark.parametrize("table", [tables.statistics, power, paired])
def test_a_study_without_comparisons_says_so(tmp_path, table):
    study = parse_study(content((1, 2), comparisons=False), "small.yaml")
    rows, notes = read(table(*made(tmp_path, study)), tmp_path)
    assert rows == []
    assert "The study names no comparison here." in notes


@pytest.mark.parametrize("table", [tables.statistics, power, paired])
def test_a_missing_seed_is_refused(tmp_path, table):
    study, runs, tests, folder = made(tmp_path)
    with pytest.raises(UserError, match="seed2, term total, is missing"):
        table(study, runs[runs["seed"] != 2], tests, folder)
