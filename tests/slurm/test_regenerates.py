"""The demo study on the cluster: the numbers of one machine, and a job and a GPU for each training."""

import csv
import zipfile
from datetime import datetime

import pipeline
import yaml
from cluster import GPUS
from user import running

from diffenc.study import LOSS_TABLES

# what a machine or a moment decides, not the study
VARYING = {"device_hours", "peak_gib", "attempts"}


def rows(path):
    """A table without the columns that vary."""
    return [{k: v for k, v in row.items() if k not in VARYING} for row in csv.DictReader(path.open())]


def at_a_time(jobs):
    """The most GPUs in use at any moment."""
    changes = [(moment, change) for start, end in jobs for moment, change in ((start, 1), (end, -1))]
    in_use = most = 0
    for _, change in sorted(changes):
        in_use += change
        most = max(most, in_use)
    return most


def without_analyses(folder):
    """The demo as a study whose tables and figures are those of losses and runs."""
    study = yaml.safe_load((folder / "config/demo.yaml").read_text())
    study |= {"tables": list(LOSS_TABLES), "figures": ["heatmaps", "encodings", "samples", "curves", "loss_per_t"]}
    (folder / "demo.yaml").write_text(yaml.safe_dump(study))


def test_the_demo_on_the_cluster_gives_the_same_numbers(cluster, checkout, tmp_path):
    here = pipeline.check_out(tmp_path / "here")
    for folder in (here, checkout):
        without_analyses(folder)
    with running(checkout, "all", "report", "--profile", "slurm", "--configfile", "demo.yaml") as main:
        ended = pipeline.snakemake(here, "--cores", "1", "--configfile=demo.yaml", "all", "report")
        assert ended.returncode == 0, ended.stdout
        assert main.wait(900) == 0, main.said()
    local, remote = here / "results/demo", checkout / "results/demo"
    files = {path.relative_to(local) for path in local.rglob("*") if path.suffix in (".csv", ".md", ".tex")}
    assert len(files) > 10
    for file in files:
        if file.suffix == ".csv":
            assert rows(local / file) == rows(remote / file), file
        else:
            assert (local / file).read_text() == (remote / file).read_text(), file
    for file in local.glob("runs/*/*/*/*/model.safetensors"):
        assert file.read_bytes() == (remote / file.relative_to(local)).read_bytes()
    figures = {path.relative_to(local) for path in local.rglob("*.svg")}
    assert figures
    assert figures == {path.relative_to(remote) for path in remote.rglob("*.svg")}
    with zipfile.ZipFile(remote / "report.zip") as report:
        assert report.testzip() is None
    _check_jobs(cluster, len(list(local.glob("runs/*/*/*/*/model.safetensors"))))


def _check_jobs(cluster, runs):
    lines = cluster.run(
        *("sacct", "--allocations", "--noheader", "--parsable2", "--format=Start,End,AllocTRES,Comment,State,JobName")
    ).splitlines()
    jobs = [line.split("|") for line in lines]
    jobs = [job for job in jobs if job[5].startswith("demo.")]
    assert {job[4] for job in jobs} == {"COMPLETED"}
    # sacct's seconds: a job that starts in the second in which another ended comes after it
    times = [tuple(datetime.fromisoformat(moment) for moment in job[:2]) for job in jobs]
    trained = [job for job in jobs if job[3].startswith("rule_train_")]
    assert len(trained) == len({job[3] for job in trained}) == runs
    assert all("gres/gpu=1" in job[2] for job in jobs)
    assert 1 < at_a_time(times) <= GPUS
