"""results/fashion8, the published study: its small files make everything, and the pages have its numbers."""

import json
import shutil
import subprocess

import numpy as np
import pytest
from pipeline import ROOT, check_out, planned
from scipy import stats
from test_from_small_files import COMMANDS

from diffenc.study.load import load_study

FOLDER = "results/fashion8"
STUDY = load_study(ROOT / FOLDER / "study.yaml")
LIMIT = 5_000_000  # bytes


def files():
    """Those that git keeps."""
    listed = subprocess.run(["git", "ls-files", FOLDER], cwd=ROOT, capture_output=True, text=True, check=True)
    return listed.stdout.split()


@pytest.fixture(scope="module")
def totals():
    """{(model, schedule): the seeds' bits per dimension}."""
    found = {}
    for run in STUDY.all_runs:
        path = ROOT / FOLDER / "runs" / run.path / "evaluation.json"
        found.setdefault((run.model, run.schedule), []).append(json.loads(path.read_text())["bpd"]["total"]["mean"])
    return found


def test_it_is_the_committed_configuration_and_small():
    assert load_study(ROOT / "config/fashion8.yaml") == STUDY
    assert sum((ROOT / file).stat().st_size for file in files()) < LIMIT
    assert not [file for file in files() if file.endswith(".safetensors")]


def test_its_small_files_are_enough(tmp_path):
    """Nothing is trained, measured, downloaded or prepared."""
    clone = check_out(tmp_path / "clone")
    for file in files():
        (clone / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, clone / file)
    jobs = planned(clone, f"--configfile={FOLDER}/study.yaml")
    assert not COMMANDS & jobs.keys()
    assert len(jobs["table"]) == len(STUDY.tables)


def test_the_pages_have_its_numbers(totals):
    """Computed from the evaluations with numpy and scipy alone."""
    readme, page = ((ROOT / file).read_text() for file in ("README.md", "docs/fashion8.md"))
    for (model, schedule), values in totals.items():
        assert len(values) == 6
        said = f"{np.mean(values):.3f} ± {stats.sem(values):.3f}"
        row = next(line for line in page.splitlines() if line.startswith(f"| {model}, {schedule} |"))
        assert said in row
    lower, than = totals["DiffEnc-2-1", "fixed"], totals["VDMv-2", "fixed"]
    low, high = stats.ttest_ind(lower, than, equal_var=False).confidence_interval()
    for text in (readme, page):
        assert f"{np.mean(lower) - np.mean(than):.3f} [{low:.3f}, {high:.3f}]" in " ".join(text.split())
