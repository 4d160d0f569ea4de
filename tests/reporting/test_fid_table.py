"""The table of FID: means over seeds of what fid.json says, and why there is none."""

import json
import math
import re
import statistics
from dataclasses import replace

import made_up
import pandas as pd
import pytest

from diffenc.data.catalog import DATASETS
from diffenc.io.errors import UserError
from diffenc.reporting.tables import formatting
from diffenc.reporting.tables.fid import fid
from diffenc.results.fid import STANDARD_SHA256
from diffenc.results.runs import collect
from diffenc.results.tests import compare
from diffenc.study.published import Published
from diffenc.study.settings import Fid
from diffenc.study.stages import FID
from diffenc.study.study import run_folder

MODELS = ["VDMv-2", "DiffEnc-2-1"]
SIZES = {"train": 1497, "test": 300}


def value(run, count, reference):
    """A made-up score: lower with more samples, with an encoder, against train."""
    base = 20 - (run.model == "DiffEnc-2-1") - count / 5_000 + 3 * (reference == "test")
    return base + 0.11 * run.seed**2


def scores(run, settings, sha256=STANDARD_SHA256):
    """The content of a run's fid.json."""
    images = {reference: settings.images or SIZES[reference] for reference in settings.references}
    return {
        "implementation": "torch-fidelity 0.4.0",
        "weights_sha256": sha256,
        "scores": [
            {"samples": count, "reference": reference, "images": n, "fid": value(run, count, reference)}
            for count in settings.counts
            for reference, n in images.items()
        ],
    }


def made(
    tmp_path, models=MODELS, seeds=(1, 2, 3), schedules=("fixed",), sha256=STANDARD_SHA256, published=(), **keys
):
    """fid's arguments, with a fid.json in every run that is asked for."""
    settings = Fid(dataset="digits", models=models, **keys)
    study = made_up.study(seeds=seeds, schedules=schedules, comparisons=len(seeds) > 1)
    study = study.model_copy(update={"fid": settings})
    folder = made_up.write_results(study, tmp_path / "small")
    runs = collect(study, folder)
    for run in study.training:
        if run.model in models and settings.weights is None:
            (run_folder(folder, run) / FID).write_text(json.dumps(scores(run, settings, sha256)))
    on_record = Published.model_validate(
        {"literature": [], "since": [], "diffenc_paper": list(published), "tests": []}
    )
    return study, runs, compare(study, runs), folder, on_record


def read(sheet, tmp_path):
    """The rows of the table's Markdown by header; no cell is blank, and the LaTeX is escaped."""
    formatting.write(sheet, tmp_path / "name", "A caption.")
    lines = [line for line in (tmp_path / "name.md").read_text().splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    cells = [dict(zip(rows[0], row, strict=True)) for row in rows[2:]]
    assert all(all(list(row.values())[3:]) for row in cells)
    latex = (tmp_path / "name.tex").read_text()
    assert latex.isascii()
    assert not re.search(r"(?<!\\)[_%#^~|]", latex[latex.index(r"\toprule") :].replace("%\n", ""))
    return cells


def test_means_over_seeds_for_each_count_and_reference(tmp_path):
    study, *rest = made(tmp_path)
    sheet = fid(study, *rest)
    frame = sheet.frame
    assert list(zip(frame["model"], frame["samples"], frame["n"], strict=True)) == [
        ("VDMv-2", 10_000, 3),
        ("VDMv-2", 50_000, 3),
        ("DiffEnc-2-1", 10_000, 3),
        ("DiffEnc-2-1", 50_000, 3),
    ]
    for row in frame.to_dict("records"):
        for reference in ("train", "test"):
            seeds = [value(run, row["samples"], reference) for run in study.training if run.model == row["model"]]
            assert row[f"fid_{reference}"] == pytest.approx(statistics.mean(seeds), abs=1e-12)
            assert row[f"fid_{reference}_se"] == pytest.approx(statistics.stdev(seeds) / math.sqrt(3), abs=1e-12)
    first, *_, last = read(sheet, tmp_path)
    assert first["FID to train"] == "18.51 ± 0.26"
    assert first["published, train"] == first["published, test"] == "not on record"
    assert last["FID to test"] == "**12.51 ± 0.26**"
    assert sheet.bold == {(i, f"FID to {reference}") for i in (2, 3) for reference in ("train", "test")}
    written = pd.read_csv(tmp_path / "name.csv")
    assert written["fid_train"].tolist() == frame["fid_train"].tolist()
    notes = "\n".join(sheet.notes)
    assert "standard Inception weights" in notes
    assert "NOT" not in notes
    assert "in 1,000 steps" in notes
    assert "Digits: compared with 1,497 train images and 300 test images." in notes


def test_published_scores_stand_beside_ours(tmp_path):
    scores = [{"samples": 50_000, "reference": "train", "value": 9.166, "se": 0.104}]
    scores += [{"samples": 50_000, "reference": "test", "value": 11.0}]
    paper = {"model": "VDMv-2", "dataset": "digits", "schedule": "fixed", "seeds": 4, "total": 2.6, "sure": "medium"}
    other = paper | {"schedule": "learned", "fid": [scores[0] | {"samples": 10_000}]}
    sheet = fid(*made(tmp_path, published=[paper | {"fid": scores}, other]))
    train, test = ([row[f"published, {name}"] for row in read(sheet, tmp_path)] for name in ("train", "test"))
    assert train == ["not on record", "9.17 ± 0.10 (n = 4, sure: medium)", *["not on record"] * 2]
    assert test == ["not on record", "11.00 (n = 4, sure: medium)", *["not on record"] * 2]
    assert sheet.frame["published_train"][1] == 9.166
    assert any("how well" in note for note in sheet.notes)


def test_a_single_seed_has_no_standard_error(tmp_path):
    rows = read(fid(*made(tmp_path, seeds=(1,), models=["VDMv-2"], counts=[40], references=["test"])), tmp_path)
    assert [(row["n"], row["samples"], row["FID to test"]) for row in rows] == [("1", "40", "23.10 ± n/a")]
    assert "FID to train" not in rows[0]


def test_a_group_without_such_a_model_says_so(tmp_path):
    study, *rest = made(tmp_path, schedules=("fixed", "learned"))
    groups = [
        group.model_copy(update={"models": ["DiffEnc-2-nt"]}) if group.schedule == "learned" else group
        for group in study.runs
    ]
    *_, last = read(fid(study.model_copy(update={"runs": groups}), *rest), tmp_path)
    assert last["schedule"] == "learned"
    assert last["model"] == "none of fid.models"
    assert last["n"] == "n/a"
    assert last["FID to train"] == last["FID to test"] == "not asked for"


def test_absent_weights_are_said(tmp_path):
    sheet = fid(*made(tmp_path, weights="absent"))
    rows = read(sheet, tmp_path)
    assert len(rows) == 4
    assert {row[f"FID to {name}"] for row in rows for name in ("train", "test")} == {"no Inception weights"}
    assert {row["n"] for row in rows} == {"n/a"}
    assert not sheet.bold
    assert (pd.read_csv(tmp_path / "name.csv")["not_computed"] == "no Inception weights").all()
    notes = "\n".join(sheet.notes)
    assert "the study says fid.weights: absent" in notes
    assert "torch-fidelity" in notes


@pytest.mark.parametrize(
    ("counts", "images", "said"), [([2_047, 50_000], 3_000, True), ([2_048], 2_047, True), ([2_048], 2_048, False)]
)
def test_small_samples_are_said_to_be_meaningless(counts, images, said, tmp_path, monkeypatch):
    study, *rest = made(tmp_path, counts=counts, images=images)
    monkeypatch.setitem(DATASETS, "digits", replace(DATASETS["digits"], train=60_000, test=10_000))
    notes = "\n".join(fid(study, *rest).notes)
    assert ("a covariance is singular" in notes) == said
    assert f"compared with {images:,} train images and {images:,} test images" in notes


def test_other_weights_than_the_standard_ones_are_said(tmp_path):
    notes = "\n".join(fid(*made(tmp_path, sha256="abc" * 21 + "d")).notes)
    assert "NOT the standard Inception ones (sha256 abcabcabcabcabca...)" in notes


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda content: None, "cannot be read"),
        (lambda content: content | {"weights_sha256": "0"}, "weights_sha256 is 0, in digits/VDMv-2/fixed/seed1"),
        (lambda content: content | {"implementation": "x"}, "implementation is x, in digits/VDMv-2/fixed/seed1"),
        (
            lambda content: content | {"scores": content["scores"][:3]},
            "asks for 50,000 samples against 300 test images, this has no such score",
        ),
        (
            lambda content: content | {"scores": [one | {"images": 299} for one in content["scores"]]},
            "asks for 10,000 samples against 1,497 train images, this has one against 299",
        ),
    ],
)
def test_scores_that_the_study_does_not_ask_for_are_refused(change, complaint, tmp_path):
    arguments = made(tmp_path)
    path = arguments[3] / "runs/digits/DiffEnc-2-1/fixed/seed2" / FID
    content = change(json.loads(path.read_text()))
    path.unlink()
    if content:
        path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=complaint) as error:
        fid(*arguments)
    assert str(error.value).startswith(f"{path}: ")
    assert "make it with `snakemake" in str(error.value)
    assert "\n" not in str(error.value)
