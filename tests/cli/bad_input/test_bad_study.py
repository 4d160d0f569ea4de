"""Studies that are none, and runs that a study has not."""

from pathlib import Path

import pytest
from mistakes import STUDY, TRAIN_NEW


def test_a_line_end_in_a_key(refused):
    Path("study.yaml").write_text('"\\n": 1\n' + STUDY)
    assert "unknown key" in refused(TRAIN_NEW)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("passes", "pases", "evaluation.pases: unknown key; remove it or correct its spelling (value: 2)"),
        ("title", "titel", "titel: unknown key"),
        ("log_every", "log", "runs[0].training.log: unknown key"),
        ("name: small", "name: data", "name: results/data holds the prepared data sets; name the study otherwise"),
        ("evaluation: {passes: 2}", "evaluation: {images: 301}", "evaluation.images: 301 asked for, digits has 300"),
        (
            "evaluation: {passes: 2}",
            "evaluation: {images: 9, protocol: authors}",
            "evaluation.images: protocol authors drops the last partial batch of 128, and leaves none of 9",
        ),
        ("lower: DiffEnc-2-1", "lower: VDMv-2", "comparisons[0]: compares VDMv-2 with itself; name two models"),
        ("evaluation:", "tables: [seeds, seeds]\nevaluation:", "tables: seeds is given twice; name each once"),
        (
            "comparisons:\n",
            "  - {dataset: digits, models: [VDMv-2], seeds: [3], training: {steps: 5}}\ncomparisons:\n",
            "runs: digits/VDMv-2/fixed/seed3 is trained otherwise than digits/VDMv-2/fixed/seed1; seeds share one",
        ),
        ("title: A small study\n", "", "title: is missing; add it"),
        (
            "0.002",
            "'2e-4'",
            "runs[0].training.learning_rate: '2e-4' is text, not a number; write its digits, without quotes",
        ),
        ("0.002", "-0.1", "runs[0].training.learning_rate: Input should be greater than 0; found -0.1"),
        ("0.002", ".inf", "runs[0].training.learning_rate: Input should be a finite number; found inf"),
        ("steps: 4", "steps: 1e3", "runs[0].training.steps: Input should be a valid integer; found 1000.0"),
        (
            "[1, 2]",
            "[1, yes]",
            "runs[0].seeds[1]: 'yes' is text, not a whole number; write its digits, without quotes",
        ),
        ("[1, 2]", "[1, -2]", "runs[0].seeds[1]: Input should be greater than or equal to 0; found -2"),
        ("[1, 2]", "[1, 9223372036854775808]", "runs[0].seeds[1]: Input should be less than 9223372036854775808"),
        ("[1, 2]", "1", "runs[0].seeds: Input should be a valid list; found 1"),
        ("[1, 2]", "[2, 1, 2]", "runs: digits/VDMv-2/fixed/seed2 is given twice; name each once"),
        ("[1, 2]", "[1]", "comparisons[0]: digits/DiffEnc-2-1/fixed has 1 seed(s) in `runs`; a test across"),
        ("steps: 4", "batch: 8, steps: 4", 'is not valid YAML: line 7: found duplicate key "batch"'),
        ("VDMv-2,", "VDMv-3,", "runs[0]: unknown model 'VDMv-3'; known: VDM-8, VDMv-8, DiffEnc-8-nt"),
        ("dataset: digits\n", "dataset: cifar\n", "runs[0]: unknown data set 'cifar'; known: digits, mnist"),
        ("than: VDMv-2", "than: VDMv-8", "comparisons[0]: digits/VDMv-8/fixed has 0 seed(s) in `runs`"),
        ("name: small", "name: my study", "name: String should match pattern '^[A-Za-z0-9_-]+$'; found 'my study'"),
        ("[1, 2]", "[1, 2", "is not valid YAML: line 7: expected"),
        (STUDY, "", "a study is a mapping of keys (name, title, runs, ...), this is not"),
    ],
)
def test_study(refused, old, new, message):
    assert STUDY.count(old)
    Path("study.yaml").write_text(STUDY.replace(old, new, 1))
    assert f"error: study.yaml: {message}" in refused(TRAIN_NEW)


def test_study_that_is_not_text(refused):
    Path("study.yaml").write_bytes(b"\xff\xfe")
    assert "study.yaml: is not valid YAML: 'utf-8' codec can't decode" in refused(TRAIN_NEW)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: small", f"name: {'x' * 300}", "name: String should have at most 100 characters"),
        (
            "batch: 4",
            "batch: 1000000000000",
            "runs[0].training.batch: Input should be less than or equal to 1000000000",
        ),
        ("batch: 4", "batch: 20000", "runs[0].training.batch: 20,000, digits has 1,497 images to train on; take"),
        ("steps: 4", "steps: 1180591620717411303424", "runs[0].training.steps: Input should be less than or equal"),
    ],
)
def test_numbers_and_names_that_nobody_means(refused, old, new, message):
    Path("study.yaml").write_text(STUDY.replace(old, new))
    assert message in refused(TRAIN_NEW)


def test_run_that_the_study_has_not(refused):
    error = refused([*TRAIN_NEW, "--run", "digits/VDMv-2/fixed/seed3"])
    assert "error: small: has no run 'digits/VDMv-2/fixed/seed3'; its first is digits/VDMv-2/fixed/seed1\n" in error
