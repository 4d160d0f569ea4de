"""The tables of equivalence and of seeds in common; and when a comparison was claimed."""

import json

import numpy as np
import pytest
import yaml
from short_training import killed_before_its_end
from test_inference_tables import made, per_image, read

from diffenc import data
from diffenc.cli.main import main
from diffenc.io.errors import UserError
from diffenc.reporting.tables.by_seed import NONE, by_seed
from diffenc.reporting.tables.equivalence import equivalence
from diffenc.results import claims
from diffenc.statistics import tost
from diffenc.statistics.crossed import crossed
from diffenc.study.load import parse_study
from diffenc.study.stages import TERMS
from diffenc.study.study import Comparison, run_folder

MODELS = {"DiffEnc-2-1": [1, 2], "VDMv-2": [2, 3]}


def values(runs, model):
    return runs["bpd"][(runs["term"] == "total") & (runs["model"] == model)].tolist()


def test_equivalence(tmp_path):
    study, runs, tests, folder = made(tmp_path)
    table = equivalence(study, runs, tests, folder)
    row = table.frame.iloc[0]
    test = tost(values(runs, "DiffEnc-2-1"), values(runs, "VDMv-2"), 0.01)
    assert row[["better", "within", "worse"]].sum() == pytest.approx(1)
    assert (row["p_equivalent"], row["better"]) == (test.p, test.probability_better)
    rows, notes = read(table, tmp_path)
    assert {cells["claimed"] for cells in rows} == {"not on record"}
    assert "The margin is 0.01 bits per dimension" in notes


def test_when_a_comparison_was_claimed(tmp_path):
    study, runs, tests, folder = made(tmp_path)
    for run in study.training:
        claims.stamp(study, run, run_folder(folder, run))

    def said(of):
        return equivalence(of, runs, tests, folder).frame["stated"].tolist()

    assert said(study) == ["before training"] * 3
    first, second, third = study.comparisons
    turned = Comparison(dataset="digits", lower="VDMv-2", than="DiffEnc-2-1")
    assert said(study.model_copy(update={"comparisons": [second, turned, first]})) == [
        *("before training", "afterwards", "before training")
    ]
    # another margin is another claim
    assert said(study.model_copy(update={"margin": 0.02, "comparisons": [third]})) == ["afterwards"]
    place = run_folder(folder, next(iter(study.training))) / claims.CLAIMS
    assert json.loads(place.read_text())["date"].startswith("20")
    place.unlink()
    assert said(study)[0] == "not on record"
    place.write_text("{}")
    with pytest.raises(UserError, match=r"claims\.json: is damaged; delete it"):
        said(study)


def test_a_claims_sha256_is_of_what_it_says():
    one = Comparison(dataset="digits", lower="A", than="B")
    assert claims.sha256_of(one, 0.01) == claims.sha256_of(
        Comparison(than="B", schedule="fixed", lower="A", dataset="digits"), 0.01
    )
    others = [one.model_copy(update={key: "x"}) for key in ("dataset", "lower", "than", "schedule")]
    assert len({claims.sha256_of(each, 0.01) for each in (one, *others)} | {claims.sha256_of(one, 0.1)}) == 6


def test_by_seed(tmp_path):
    study, runs, tests, folder = made(tmp_path)
    table = by_seed(study, runs, tests, folder)
    row = table.frame.iloc[0]
    totals = []
    for model in ("DiffEnc-2-1", "VDMv-2"):
        found = [per_image(run) for run in study.training if run.model == model]
        totals.append(np.array([sum(one[term].astype(float) for term in TERMS[1:]) for one in found]))
    assert row["difference"] == pytest.approx((totals[0] - totals[1]).mean())
    assert (row["crossed_low"], row["crossed_high"]) == pytest.approx(crossed(totals[0] - totals[1]).ci95)
    assert row["n"] == 3
    rows, notes = read(table, tmp_path)
    assert len(rows) == 3
    assert "least 0.125" in rows[0]["p, sign flip"]
    assert "new trainings on new test images" in notes


def test_models_without_seeds_in_common(tmp_path):
    group = {"dataset": "digits", "training": {"steps": 100}}
    content = {
        "name": "small",
        "title": "Small",
        "runs": [
            group | {"models": ["DiffEnc-2-1"], "seeds": [1, 2]},
            group | {"models": ["VDMv-2"], "seeds": [2, 3]},
        ],
        "comparisons": [{"dataset": "digits", "lower": "DiffEnc-2-1", "than": "VDMv-2"}],
    }
    study, runs, tests, folder = made(tmp_path, parse_study(content, "small.yaml"))
    rows, _ = read(by_seed(study, runs, tests, folder), tmp_path)
    assert rows[0]["seeds"] == NONE


def test_a_training_is_stamped_as_it_begins_and_not_as_it_goes_on(tmp_path):
    """By the command: killed after a checkpoint, resumed under a study with another claim, and trained anew."""
    data.prepare("digits", tmp_path / "digits", tmp_path)
    study = {
        **{"name": "small", "title": "Small", "tables": [], "figures": []},
        "runs": [
            {
                **{"dataset": "digits", "models": ["VDMv-2", "VDM-2"], "seeds": [1, 2]},
                "training": {"steps": 4, "batch": 4, "log_every": 2, "precision": "float32"},
            }
        ],
        "comparisons": [{"dataset": "digits", "lower": "VDMv-2", "than": "VDM-2"}],
    }
    file, out = tmp_path / "small.yaml", tmp_path / "out"
    command = ["train", "--study", str(file), "--run", "digits/VDMv-2/fixed/seed1", "--out", str(out)]
    command += ["--data", str(tmp_path / "digits"), "--device", "cpu", "--checkpoint-steps", "2"]

    def stamped(margin, *more):
        file.write_text(yaml.safe_dump(study | {"margin": margin}))
        main([*command, *more])
        return list(json.loads((out / claims.CLAIMS).read_text())["claims"])

    with killed_before_its_end():
        stamped(0.01)
    first = [claims.sha256_of(Comparison(dataset="digits", lower="VDMv-2", than="VDM-2"), 0.01)]
    assert stamped(0.02) == first
    assert stamped(0.02) == first  # trained already
    assert stamped(0.02, "--again") != first
