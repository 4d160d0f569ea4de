"""A whole small study, made by Snakemake from the data to the report."""

import csv
import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
import zipfile

import numpy as np
import pandas as pd
import pytest
import yaml
from matplotlib.image import imread
from pipeline import RESULTS, RUNS, SMALL, STUDY, place, snakemake
from scipy import stats

TERMS = ["total", "diffusion", "latent", "reconstruction"]
MODELS = ["VDMv-2", "DiffEnc-2-nt", "DiffEnc-2-1"]
TABLES = ["components", "seeds", "comparisons"]
FIGURES = [f"{kind}/digits/fixed" for kind in ("samples", "curves", "loss_per_t")] + [
    f"{kind}/digits/{model}/fixed/seed1"
    for kind in ("heatmaps", "heatmaps_full", "encodings")
    for model in MODELS[1:]
]


def test_every_run_and_term_is_in_runs_csv(made):
    rows = list(csv.DictReader((made / RESULTS / "runs.csv").open()))
    identity = ("dataset", "model", "schedule", "seed", "term")
    assert [tuple(row[key] for key in identity) for row in rows] == [
        (*map(str, run), term) for run in RUNS for term in TERMS
    ]
    for run, row in zip([run for run in RUNS for _ in TERMS], rows, strict=True):
        said = json.loads((made / place(run) / "evaluation.json").read_text())
        assert float(row["bpd"]) == said["bpd"][row["term"]]["mean"]
        assert (row["images"], row["passes"], row["steps"]) == ("20", "2", "6")


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # scipy's, of terms that are the same for all seeds
def test_p_values_are_scipys(made):
    runs, tests = (pd.read_csv(made / RESULTS / f"{name}.csv") for name in ("runs", "tests"))
    assert list(zip(tests.lower, tests.than, tests.term, strict=True)) == [
        (lower, "VDMv-2", term) for lower in ("DiffEnc-2-1", "DiffEnc-2-nt") for term in TERMS
    ]
    for row in tests.itertuples():
        of_term = runs[runs.term == row.term]
        lower, than = (of_term[of_term.model == model].bpd.to_numpy() for model in (row.lower, row.than))
        assert (row.n_lower, row.n_than) == (len(lower), len(than)) == (2, 2)
        for alternative, p in (("less", row.p_less), ("two-sided", row.p_two_sided)):
            expected = stats.ttest_ind(lower, than, equal_var=False, alternative=alternative).pvalue
            assert p == pytest.approx(expected, rel=1e-9, abs=1e-300)
        assert row.difference == pytest.approx(lower.mean() - than.mean(), rel=1e-9)
    assert ((tests.p_less > 1e-6) & (tests.p_less < 1)).sum() >= 4  # the seeds do differ


@pytest.mark.parametrize("table", TABLES)
def test_tables(made, table):
    stem = made / RESULTS / "tables/digits" / table
    rows = list(csv.DictReader(stem.with_suffix(".csv").open()))
    shown = {row[key] for row in rows for key in ("model", "lower", "than") if key in row}
    assert shown == set(MODELS)
    texts = {suffix: stem.with_suffix(suffix).read_text() for suffix in (".md", ".html", ".tex")}
    assert all(model in text for text in texts.values() for model in MODELS)
    assert texts[".html"].count("<tr") > len(MODELS)
    assert r"\begin{tabular}" in texts[".tex"]
    assert re.search(r"^\|[ :|-]+\|$", texts[".md"], re.MULTILINE)


def test_the_table_of_components_has_the_means_of_runs_csv(made):
    runs = pd.read_csv(made / RESULTS / "runs.csv")
    means = runs.groupby(["model", "term"]).bpd.mean()
    table = pd.read_csv(made / RESULTS / "tables/digits/components.csv", index_col="model")
    assert table.n.tolist() == [2, 2, 2]
    for model in MODELS:
        for term in TERMS:
            assert table.loc[model, term] == pytest.approx(means[model, term], rel=1e-9)


@pytest.mark.parametrize("figure", FIGURES)
def test_figures(made, figure):
    stem = made / RESULTS / "figures" / figure
    assert ElementTree.parse(f"{stem}.svg").getroot().tag.endswith("svg")
    pixels = imread(f"{stem}.png")
    assert min(pixels.shape[:2]) > 200
    assert pixels[..., :3].std() > 0.01


def test_no_figure_but_these(made):
    folder = made / RESULTS / "figures"
    assert sorted(str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.svg")) == sorted(FIGURES)


def test_arrays_of_the_runs(made):
    for run in RUNS:
        terms = np.load(made / place(run) / "evaluation.npz")
        assert terms["diffusion"].shape == (2, 20)
        assert len((made / place(run) / "history.jsonl").read_text().splitlines()) == 3
        assert not list((made / place(run)).glob("checkpoint*"))
        first = run[-1] == 1
        assert (made / place(run) / "samples.npz").exists() == first
        assert (made / place(run) / "encodings.npz").exists() == (first and run[1] != "VDMv-2")
    assert np.load(made / place(RUNS[0]) / "samples.npz")["samples"].shape == (4, 1, 8, 8)


def test_a_line_for_each_job_and_where_the_page_is(made):
    first, *lines = (made / "said").read_text().splitlines()
    assert first.startswith("small: 37 jobs, 1 prepare, 6 train, ")
    jobs = [line for line in lines if re.match(r"\[ ?\d+/37\] ", line)]
    assert len(jobs) == 37
    assert len(lines) < len(jobs) + 5
    assert max(map(len, lines)) < 120
    assert any(
        re.match(r"\[.*\] train digits/VDMv-2/fixed/seed1 \d:\d\d, \d\.\d+ bpd in training", line) for line in jobs
    )
    assert f"page: {RESULTS}/index.html" in lines


NEEDS_NO_TORCH = """
import sys
from diffenc.cli.main import main
commands = [line.split() for line in sys.stdin.read().splitlines()]
for command in commands:
    main(command)
    print("LOADED", command[0], *sorted({"torch", "scipy.stats", "sklearn", "matplotlib"} & sys.modules.keys()))
"""


def test_what_shows_results_imports_no_torch(copy):
    """Tables no matplotlib either, and nothing scipy.stats or scikit-learn."""
    table = "table {} --study small.yaml --dataset digits --out new/{}"
    figure = "figure {} --study small.yaml --of {} --out new/figure"
    commands = ["plan small.yaml", "status small.yaml", "collect --study small.yaml --out new/runs.csv"]
    commands += ["compare --study small.yaml --runs new/runs.csv --out new/tests.csv"]
    commands += [table.format(name, name) for name in (*TABLES, "power", "paired", "cost", "endpoints")]
    commands += [figure.format(name, "digits/fixed") for name in ("samples", "curves", "loss_per_t")]
    commands += [
        figure.format("heatmaps", f"{RUNS[2][0]}/{RUNS[2][1]}/fixed/seed1"),
        "page --study small.yaml --out new/page.html",
    ]
    ended = subprocess.run(
        [sys.executable, "-c", NEEDS_NO_TORCH], input="\n".join(commands), cwd=copy, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    loaded = [line.split()[1:] for line in ended.stdout.splitlines() if line.startswith("LOADED ")]
    assert len(loaded) == len(commands)
    for command, *modules in loaded:
        # seaborn imports scipy.stats; the page comes after figures here
        assert modules == (["matplotlib", "scipy.stats"] if command in ("figure", "page") else []), command


def test_running_again_does_nothing(made):
    ended = snakemake(made, "--cores", "2", SMALL, "all", "report")
    assert ended.returncode == 0
    assert "Nothing to be done" in ended.stdout


def test_the_report_has_every_table_and_figure_under_its_labels(made):
    with zipfile.ZipFile(made / RESULTS / "report.zip") as report:
        page = report.read("report/report.html").decode()
        entries = json.loads(re.search(r"var results = (\{.*\});?\n", page)[1])
        contents = {path: report.read(f"report/{entry['data_uri']}") for path, entry in entries.items()}
    files = [f"{RESULTS}/tables/digits/{table}.html" for table in TABLES]
    files += [f"{RESULTS}/figures/{figure}.svg" for figure in FIGURES]
    assert sorted(entries) == sorted(files)
    for path, content in contents.items():
        assert content == (made / path).read_bytes()
        assert entries[path]["caption"]
    assert entries[files[0]]["labels"] == {"table": "The loss on the test set and its three terms"}
    expected = {"data set": "Digits", "model": "DiffEnc-2-nt", "schedule": "fixed", "seed": "1"}
    assert entries[f"{RESULTS}/figures/heatmaps/digits/DiffEnc-2-nt/fixed/seed1.svg"]["labels"] == expected
    assert "A small study" in page


def test_a_forced_seed_is_trained_again_to_the_same_numbers(copy):
    """And nothing else is touched."""
    run = RUNS[3]
    before = {path: path.stat().st_mtime_ns for path in (copy / "results").rglob("*") if path.is_file()}
    said = (copy / place(run) / "evaluation.json").read_text()
    model, evaluation = f"{place(run)}/model.safetensors", f"{place(run)}/evaluation.json"
    ended = snakemake(copy, "--cores", "2", SMALL, f"--forcerun=./{model}", evaluation)
    assert ended.returncode == 0, ended.stdout
    changed = {path for path, time in before.items() if path.stat().st_mtime_ns != time}
    assert {path.parent for path in changed} == {copy / place(run), copy / place(run) / ".trained"}
    assert copy / model in changed
    assert copy / evaluation in changed
    assert "put back" not in (copy / place(run) / "train.log").read_text()
    assert (copy / evaluation).read_text() == said


def test_a_run_that_fails_leaves_the_others_and_no_comparison(clone, made):
    shutil.copytree(made / "results/data", clone / "results/data")
    for run in RUNS[:2]:
        shutil.copytree(made / place(run), clone / place(run), ignore=shutil.ignore_patterns("evaluation.json"))
    study = yaml.safe_load(STUDY) | {"tables": [], "figures": []}
    training = study["runs"][0]["training"]
    study["runs"] = [
        {"dataset": "digits", "models": [model], "seeds": [1, 2], "training": training | {"learning_rate": rate}}
        for model, rate in (("VDMv-2", 0.01), ("DiffEnc-2-nt", 1e30))
    ]
    del study["comparisons"][0]
    (clone / "small.yaml").write_text(yaml.safe_dump(study))
    ended = snakemake(clone, "--cores", "2", "--keep-going", "--show-failed-logs", SMALL)
    assert ended.returncode != 0
    for run in RUNS[2:4]:
        said = f"diffenc: error: {place(run)}: the loss is not finite at step"
        assert len(re.findall(f"^{re.escape(said)}", ended.stdout, re.MULTILINE)) == 1
        assert not (clone / place(run) / "model.safetensors").exists()
    for run in RUNS[:2]:
        assert json.loads((clone / place(run) / "evaluation.json").read_text())["seed"] == run[-1]
    assert not (clone / RESULTS / "runs.csv").exists()
    assert not (clone / RESULTS / "tests.csv").exists()
