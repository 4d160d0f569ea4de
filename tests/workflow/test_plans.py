"""What Snakemake would do: only what a target needs, and again only what a change concerns."""

import os
import re
import shlex
import shutil

import pytest
import yaml
from pipeline import RESULTS, ROOT, RUNS, SMALL, STUDY, check_out, name, place, planned, snakemake

ALL_RUNS = sorted(map(name, RUNS))
THIRD_SEEDS = sorted({name((*run[:-1], 3)) for run in RUNS})
# MATH.md's table of models and the paper's seeds, and the two controls of equal size
PAPER = {
    ("mnist", "fixed"): dict.fromkeys(["VDMv-8", "VDM-8", "DiffEnc-8-nt", "DiffEnc-8-2"], 5),
    ("mnist", "learned"): dict.fromkeys(["VDMv-8", "DiffEnc-8-nt", "DiffEnc-8-2"], 5),
    ("cifar10", "fixed"): {
        **dict.fromkeys(["VDMv-8", "VDM-8", "DiffEnc-8-nt", "DiffEnc-8-2", "DiffEnc-8-4", "VDMv-10"], 5),
        **dict.fromkeys(["VDMv-32", "DiffEnc-32-nt", "DiffEnc-32-2", "DiffEnc-32-4", "VDMv-35"], 3),
    },
    ("cifar10", "learned"): dict.fromkeys(["VDMv-8", "DiffEnc-8-nt", "DiffEnc-8-2"], 5),
    ("imagenet32", "fixed"): {"VDMv-32": 3, "DiffEnc-32-8": 3},
}
PAPER_FILE = "--configfile=config/paper.yaml"


def paper_runs(*datasets):
    return sorted(
        f"{dataset}/{model}/{schedule}/{seed}"
        for (dataset, schedule), models in PAPER.items()
        for model, seeds in models.items()
        for seed in range(1, seeds + 1)
        if dataset in datasets
    )


def test_one_evaluation_needs_its_own_run_alone(clone):
    run = RUNS[5]
    jobs = planned(clone, SMALL, f"{place(run)}/evaluation.json")
    assert jobs == {"prepare": ["digits"], "train": [name(run)], "evaluate": [name(run)]}


def test_forcing_one_seed(made):
    """The second seed of a model with an encoder: its figures show the first."""
    run = RUNS[5]
    jobs = planned(made, SMALL, f"--forcerun={place(run)}/model.safetensors")
    assert jobs == {
        "train": [name(run)],
        "evaluate": [name(run)],
        "collect": [""],
        "compare": [""],
        "collect_dataset": ["digits"],
        "compare_dataset": ["digits"],
        "table": ["digits/comparisons", "digits/components", "digits/seeds"],
        "figure_of_group": ["curves/digits/fixed", "loss_per_t/digits/fixed"],
        "page": [""],
        "all": [""],
    }


def test_forcing_a_seed_that_figures_show(made):
    run = RUNS[4]
    jobs = planned(made, SMALL, f"--forcerun={place(run)}/model.safetensors")
    assert jobs["train"] == jobs["evaluate"] == jobs["sample"] == jobs["encode"] == [name(run)]
    shown = [f"{kind}/{name(run)}" for kind in ("encodings", "heatmaps", "heatmaps_full")]
    assert jobs["figure_of_run"] == shown
    assert len(jobs["figure_of_group"]) == 3


@pytest.mark.parametrize(
    ("old", "new", "trained", "evaluated"),
    [
        ("steps: 6", "steps: 8", ALL_RUNS, ALL_RUNS),
        ("passes: 2", "passes: 3", None, ALL_RUNS),
        ("[1, 2]", "[1, 2, 3]", THIRD_SEEDS, THIRD_SEEDS),
    ],
)
def test_changing_the_protocol(made, tmp_path, old, new, trained, evaluated):
    assert old in STUDY
    (tmp_path / "changed.yaml").write_text(STUDY.replace(old, new))
    jobs = planned(made, f"--configfile={tmp_path}/changed.yaml")
    assert (jobs.get("train"), jobs.get("evaluate")) == (trained, evaluated)
    assert "prepare" not in jobs


def test_changing_the_title_concerns_what_shows_it(made, tmp_path):
    (tmp_path / "changed.yaml").write_text(STUDY.replace("A small study", "Another title"))
    assert planned(made, f"--configfile={tmp_path}/changed.yaml").keys() == {"table", "page", "all"}


def test_a_study_may_be_renamed_and_reordered(made, tmp_path):
    head, comparisons, rest = STUDY.partition("comparisons")
    (tmp_path / "renamed.yaml").write_text(f"# the same\n{comparisons}{rest}{head}")
    assert planned(made, f"--configfile={tmp_path}/renamed.yaml") == {}


@pytest.mark.parametrize(
    ("old", "new"), [("title: A", "files: elsewhere\ntitle: A"), ("log_every: 2", "log_every: 3")]
)
def test_where_files_lie_and_what_is_logged_retrain_nothing(made, tmp_path, old, new):
    (tmp_path / "changed.yaml").write_text(STUDY.replace(old, new))
    assert planned(made, f"--configfile={tmp_path}/changed.yaml").keys() == {
        "page",
        "all",
    }  # the page shows the study


def test_the_models_order_concerns_the_figures_that_compare_them(made, tmp_path):
    changed = STUDY.replace("[VDMv-2, DiffEnc-2-nt, DiffEnc-2-1]", "[DiffEnc-2-1, DiffEnc-2-nt, VDMv-2]")
    (tmp_path / "changed.yaml").write_text(changed)
    jobs = planned(made, f"--configfile={tmp_path}/changed.yaml")
    assert jobs["figure_of_group"] == ["curves/digits/fixed", "loss_per_t/digits/fixed", "samples/digits/fixed"]
    assert not {"train", "evaluate", "figure_of_run"} & jobs.keys()


def test_a_lost_table_is_made_again(made):
    (lost := made / RESULTS / "tables/digits/seeds.html").rename(lost.with_suffix(".lost"))
    try:
        assert planned(made, SMALL)["table"] == ["digits/seeds"]
    finally:
        lost.with_suffix(".lost").rename(lost)


@pytest.mark.parametrize(
    "target", ["runs/digits/VDMv-2/fixed/seed7/evaluation.json", "figures/heatmaps/digits/VDMv-2/fixed/seed1.svg"]
)
def test_what_the_study_has_not_is_refused(clone, target):
    ended = snakemake(clone, "--dry-run", SMALL, f"{RESULTS}/{target}")
    assert ended.returncode != 0
    assert "Traceback" not in ended.stdout
    assert re.search("has no run 'digits/VDMv-2/fixed/seed7'|digits/VDMv-2/fixed/seed1: has no encoder", ended.stdout)


def test_a_study_edited_while_it_runs(clone):
    """Jobs that start after the edit read the study as it was planned."""
    one = f"{RESULTS}/runs/digits/VDMv-2/fixed/seed2/evaluation.json"
    study = clone / "small.yaml"
    (clone / "edit.py").write_text(f"open('small.yaml', 'w').write({study.read_text().replace('0.01', '0.02')!r})")
    prepare = clone / "workflow/rules/data.smk"
    prepare.write_text(prepare.read_text().replace("> {log} 2>&1", "> {log} 2>&1 && python edit.py"))
    ended = snakemake(clone, "--cores", "1", SMALL, one)
    assert ended.returncode == 0, ended.stdout
    assert "learning_rate: 0.02" in study.read_text()
    assert "learning_rate: 0.01\n" in (clone / one).with_name("config.yaml").read_text()


def test_the_paper(clone):
    jobs = planned(clone, PAPER_FILE)
    runs = paper_runs("mnist", "cifar10", "imagenet32")
    assert len(runs) == 101
    assert jobs["prepare"] == ["cifar10", "imagenet32", "mnist"]
    assert jobs["train"] == jobs["evaluate"] == runs
    first = [run for run in runs if run.endswith("/1")]
    assert jobs["sample"] == first
    assert jobs["encode"] == [run for run in first if "DiffEnc" in run]
    tables = {
        "components",
        "seeds",
        "comparisons",
        "power",
        "paired",
        "equivalence",
        "by_seed",
        "cost",
        "encoder",
        "endpoints",
        "depth",
    }
    expected = {f"{dataset}/{table}" for dataset in jobs["prepare"] for table in tables} | {"cifar10/fid"}
    assert set(jobs["table"]) == expected
    assert len(jobs["selection"]) == 12
    assert jobs["table_of_all"] == ["literature", "since", "statistics"]
    large = [run for run in runs if run.startswith(("cifar10/VDMv-32", "cifar10/DiffEnc-32-4"))]
    assert jobs["fid"] == large
    assert len(jobs["sample_for_fid"]) == 100 * len(large)  # 50,000, 500 at a time


@pytest.mark.parametrize(
    ("target", "models"),
    [("table2", ["VDMv-32", "DiffEnc-32-4"]), ("equal_size", ["VDMv-8", "VDMv-10", "DiffEnc-8-2"])],
)
def test_a_table_of_the_paper_needs_its_own_models(clone, target, models):
    jobs = planned(clone, target, PAPER_FILE)
    expected = [run for run in paper_runs("cifar10") if run.split("/")[1] in models and "/fixed/" in run]
    assert jobs["train"] == jobs["evaluate"] == expected
    assert jobs["selection"] == [f"cifar10/{target}"]


def test_ones_own_images_that_change_are_noticed(clone):
    """Or the levels that they have; the catalogue's are the same whenever they are prepared."""
    study = yaml.safe_load(STUDY) | {"tables": [], "figures": [], "comparisons": []}
    shutil.copy(clone / "tests/parity/vdmv.npz", clone / "images.npz")
    study["own_data"] = {"mine": {"title": "Mine", "train": "images.npz", "test": "images.npz"}}
    study["runs"] = [study["runs"][0] | {"dataset": "mine", "models": ["VDMv-2"], "seeds": [1]}]
    study["evaluation"] = {"passes": 1, "images": 4}
    target = f"{RESULTS}/runs/mine/VDMv-2/fixed/seed1/evaluation.json"
    (clone / "small.yaml").write_text(yaml.safe_dump(study))
    ended = snakemake(clone, "--cores", "2", "--show-failed-logs", target, SMALL)
    assert ended.returncode == 0, ended.stdout
    assert planned(clone, target, SMALL) == {}
    study["own_data"]["mine"]["levels"] = 255
    (clone / "small.yaml").write_text(yaml.safe_dump(study))
    assert planned(clone, target, SMALL).keys() == {"prepare", "train", "evaluate"}
    del study["own_data"]["mine"]["levels"]
    (clone / "small.yaml").write_text(yaml.safe_dump(study))
    assert planned(clone, target, SMALL) == {}
    shutil.copy(clone / "tests/parity/nt.npz", clone / "images.npz")
    assert planned(clone, target, SMALL).keys() == {"prepare", "train", "evaluate"}


def test_one_data_set_of_the_paper(clone):
    jobs = planned(clone, PAPER_FILE, "cifar10")
    assert jobs["train"] == jobs["evaluate"] == paper_runs("cifar10")
    parts = {part for names in jobs.values() for one in names for part in one.split("/")}
    assert parts & {"mnist", "cifar10", "imagenet32"} == {"cifar10"}


def test_tables_by_name(clone):
    jobs = planned(clone, SMALL, "tables")
    assert jobs["table"] == ["digits/comparisons", "digits/components", "digits/seeds"]
    assert jobs["evaluate"] == ALL_RUNS
    assert not {"sample", "encode", "figure_of_run", "figure_of_group"} & jobs.keys()


def test_figures_by_name(clone):
    jobs = planned(clone, SMALL, "figures")
    assert len(jobs["figure_of_run"]) == 6
    assert jobs["figure_of_group"] == ["curves/digits/fixed", "loss_per_t/digits/fixed", "samples/digits/fixed"]
    assert not {"table", "compare", "collect"} & jobs.keys()


def test_one_table_and_one_figure(clone):
    run = RUNS[2]
    files = [
        f"{RESULTS}/tables/digits/seeds.tex",
        f"{RESULTS}/figures/heatmaps/digits/DiffEnc-2-nt/fixed/seed1.png",
    ]
    jobs = planned(clone, SMALL, *files)
    assert jobs["table"] == ["digits/seeds"]
    assert jobs["figure_of_run"] == [f"heatmaps/{name(run)}"]
    assert jobs["encode"] == [name(run)]
    assert not {"sample", "figure_of_group"} & jobs.keys()


def test_without_a_study_the_demo_is_made_from_any_folder(tmp_path):
    jobs = planned(tmp_path, "--snakefile", ROOT / "workflow/Snakefile")
    assert len(jobs["train"]) == 9


def test_a_checkout_with_an_odd_path_used_from_another_folder(tmp_path):
    """A blank and an apostrophe in the path, braces in the title: neither shell nor Snakemake takes them apart."""
    checkout = check_out(tmp_path / "Ada's work")
    (tmp_path / "elsewhere").mkdir()
    study = STUDY.replace("A small study", "'Bounds E[L_{T}]'").replace("tables: [", "tables: [statistics, ")
    (tmp_path / "small.yaml").write_text(study)
    ended = snakemake(
        tmp_path, "-np", "--snakefile", checkout / "workflow/Snakefile", "--directory", "elsewhere", SMALL
    )
    assert ended.returncode == 0, ended.stdout
    commands = [shlex.split(line) for line in ended.stdout.splitlines() if "python -m diffenc " in line]
    assert sum("train" in words for words in commands) == len(ALL_RUNS)
    published = [words[words.index("--published") + 1] for words in commands if "--published" in words]
    assert len(published) == 5  # four tables and the page
    assert {os.path.realpath(tmp_path / "elsewhere" / file) for file in published} == {
        os.path.realpath(checkout / "config/published.yaml")
    }
