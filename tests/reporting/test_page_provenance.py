"""Costs, checksums, versions and the commit on the page."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import made_up
import pytest
from parsed_page import Parsed, small

from diffenc.io.errors import UserError
from diffenc.reporting.html import costs, provenance
from diffenc.study.stages import CHECKSUMS, CONFIG, EVALUATION, MODEL
from diffenc.study.study import run_folder

PARITY = Path(__file__).parents[1] / "parity"


def test_costs_are_sums_of_the_runs(made):
    section = made.parsed.text("section", id="costs")[0]
    assert f"{sum(0.5 * run.seed for run in made.study.all_runs):.1f} device-hours" in section
    spent, _ = costs.costs(made.study, made.runs)
    assert [cost[:4] for cost in spent][3:5] == [("Digits", "learned", m, 2) for m in ("VDMv-2", "DiffEnc-2-1")]
    assert (spent[0].each, spent[0].total, spent[0].attempts) == ("1.00", "3.00", "9")
    assert [costs.hours(h) for h in (0, 0.00214, 12.34, 4120.4)] == ["0", "0.00214", "12.3", "4,120"]


def test_weights_from_elsewhere_are_said_to_be(tmp_path, monkeypatch):
    monkeypatch.setitem(made_up.BASE, "theirs", 2.5)
    paths = {"path": str(PARITY / "vdmv_12000.gz"), "config": str(PARITY / "vdmv.json")}
    group = {"dataset": "digits", "models": ["theirs"], "seeds": [1], "weights": {"format": "authors", **paths}}
    written = made_up.write_results

    def write(study, folder):
        written(study, folder)
        place = run_folder(folder, study.all_runs[0])
        place.mkdir(parents=True, exist_ok=True)
        content = made_up.evaluation(study.all_runs[0]) | {"training": {}}
        (place / EVALUATION).write_text(json.dumps(content))
        (place / CONFIG).write_text("weights: {format: authors, sha256: 0123abcd}\n")

    monkeypatch.setattr(made_up, "write_results", write)
    made = small(tmp_path, runs=("runs:\n", f"runs:\n  - {json.dumps(group)}\n"))
    page = Parsed(made.page())
    said = page.text("section", id="results")[0]
    trained = len(made.study.training)
    assert f"Of {trained + 1} runs, {trained} were trained here; the others' weights are the authors'." in said
    assert "theirs 1 not trained here not trained here" in page.text("section", id="costs")[0]
    assert "digits/theirs/fixed/seed1" in page.text("section", id="provenance")[0]
    assert "the authors' file, sha256 0123abcd" in page.text("section", id="provenance")[0]
    (made.folder / "runs/digits/theirs/fixed/seed1" / CONFIG).write_text("weights: none\n")
    with pytest.raises(UserError, match=r"config\.yaml: is damaged"):
        made.page()


def test_provenance_has_checksums_versions_and_the_configuration(made):
    import torch

    section = made.parsed.text("section", id="provenance")[0]
    for run in made.study.all_runs:
        assert f"{run.path} {hashlib.sha256(run.path.encode()).hexdigest()} trained here" in section
    for name in ("digits", "mnist"):
        manifest = json.loads((made.data / name / "manifest.json").read_text())
        for checksum in (manifest["test"]["sha256"], *manifest["originals"].values()):
            assert checksum in section
        assert manifest["release"] in section
    assert dict(provenance.versions())["torch"] == torch.__version__.partition("+")[0]
    assert "--configfile config/small.yaml" in section


def test_a_study_that_was_trained_elsewhere_needs_neither_weights_nor_data(copy):
    """But for their checksums."""
    for run in copy.study.all_runs:
        (run_folder(copy.folder, run) / MODEL).unlink()
    shutil.move(copy.data, copy.folder / "data")
    sha256 = hashlib.sha256(b"theirs").hexdigest()
    (copy.folder / CHECKSUMS).write_text(f"{sha256}  runs/digits/VDMv-2/fixed/seed1/model.safetensors\n")
    section = Parsed(copy.page()).text("section", id="provenance")[0]
    assert f"digits/VDMv-2/fixed/seed1 {sha256} trained here; weights not here" in section
    assert "digits/VDMv-2/fixed/seed2 no checksum trained here; weights not here" in section
    assert json.loads((copy.folder / "data/mnist/manifest.json").read_text())["train"]["sha256"] in section


def test_the_commit_and_whether_it_was_changed(tmp_path):
    package = tmp_path / "repository" / "diffenc"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")

    def git(*arguments):
        identity = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "init.defaultBranch=main")
        command = ["git", "-C", str(package.parent), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    assert provenance.commit(package).startswith("unknown")
    git("init")
    git("commit", "--allow-empty", "-m", "first")
    assert provenance.commit(package).startswith("unknown"), "installed into another repository, not tracked by it"
    git("add", "diffenc/__init__.py")
    git("commit", "-m", "second")
    head = git("rev-parse", "HEAD")
    (package / "untracked.py").write_text("")
    assert provenance.commit(package) == f"{head}, unchanged"
    (package / "__init__.py").write_text("changed = True\n")
    assert provenance.commit(package) == f"{head}, with changes that are not committed"
