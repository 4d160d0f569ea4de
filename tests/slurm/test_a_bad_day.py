"""One study on the cluster, from the data to the report, on a day on which all goes wrong that can.

A requeue, kills, scancel, a time limit, nodes that lose their daemon and one that fails, Snakemake killed and
interrupted: in the end it has the numbers that one undisturbed machine gives. The tests are one story, each goes on
where the one before ended.
"""

import csv
import os
import re
import signal
import subprocess
import sys
import zipfile
from datetime import datetime

import pipeline
import pytest
import yaml
from cluster import GPUS
from user import check_out_on_site, job_of, progress, running, trained_twice, until

SEEDS = [("digits", "VDMv-2", "fixed", f"seed{seed}") for seed in (1, 2, 3)]
LONG = ("digits", "DiffEnc-2-nt", "fixed", "seed1")
ON_TWO_NODES = ("digits", "DiffEnc-2-1", "fixed", "seed1")
RUNS = [*SEEDS, LONG, ON_TWO_NODES]
EVERY = 50
TRAINING = {"batch": 8, "learning_rate": 0.002, "ema": 0.98, "log_every": 50, "precision": "float32"}
STUDY = {
    "name": "day",
    "title": "A study on a bad day",
    "runs": [
        {"dataset": "digits", "models": ["VDMv-2"], "seeds": [1, 2, 3], "training": TRAINING | {"steps": 700}},
        {"dataset": "digits", "models": ["DiffEnc-2-nt"], "seeds": [1], "training": TRAINING | {"steps": 2000}},
        {
            **{"dataset": "digits", "models": ["DiffEnc-2-1"], "seeds": [1], "training": TRAINING | {"steps": 400}},
            **{"gpus": 2, "nodes": 2},
        },
    ],
    "checkpoints": {"steps": EVERY},
    "evaluation": {"passes": 1, "images": 50},
    "samples": {"count": 4, "steps": 10},
    "tables": ["components", "seeds"],
    "figures": ["heatmaps", "samples", "curves", "loss_per_t"],
}
COMMAND = ("all", "report", "--configfile=day.yaml")
ON_CLUSTER = ("all", "report", "--profile", "slurm", "--configfile", "day.yaml")
# what a machine or a moment decides, not the study
VARYING = {"device_hours", "peak_gib", "attempts"}


def place(run):
    """The run's folder in a checkout."""
    return "results/day/runs/" + "/".join(run)


@pytest.fixture(scope="module")
def checkout(cluster, tmp_path_factory):
    """A user's checkout on the cluster, with the study."""
    folder = check_out_on_site(tmp_path_factory.mktemp("day") / "checkout")
    (folder / "day.yaml").write_text(yaml.safe_dump(STUDY))
    return folder


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """The study on this machine without the cluster, in peace; its processes begin now."""
    folder = pipeline.check_out(tmp_path_factory.mktemp("here") / "checkout")
    on_one = [group | ({"nodes": 1} if "nodes" in group else {}) for group in STUDY["runs"]]
    (folder / "day.yaml").write_text(yaml.safe_dump(STUDY | {"runs": on_one}))
    with (folder / "said").open("w") as said:
        command = [sys.executable, "-m", "snakemake", "--cores", "2", *COMMAND]
        process = subprocess.Popen(command, cwd=folder, stdout=said, stderr=said)
        yield folder, process
        process.kill()
        process.wait()


def attempts(checkout, run):
    """What the run's attempts did so far."""
    return progress(checkout, place(run)).get("attempts", [])


def test_snakemake_sees_to_it_by_itself(cluster, checkout, here):
    """Until it is killed: its jobs go on without it."""
    first = [*SEEDS, LONG]  # each on one of the four GPUs
    targets = [f"{place(run)}/evaluation.json" for run in first]
    with running(checkout, *targets, *ON_CLUSTER[2:]) as main:
        for run in first:
            until(lambda run=run: progress(checkout, place(run)).get("step", 0) > 20, 240)
        cluster.restart_nodes()
        seen = {run: progress(checkout, place(run))["step"] for run in first}
        until(lambda: all(progress(checkout, place(run))["step"] > step for run, step in seen.items()))
        assert {len(attempts(checkout, run)) for run in first} == {1}
        jobs = [job_of(cluster, checkout, run) for run in first]
        assert None not in jobs
        cluster.run("scontrol", "requeue", jobs[0])
        os.kill(attempts(checkout, SEEDS[1])[-1]["process"], signal.SIGKILL)
        cluster.run("scancel", jobs[2])
        # the profile has SLURM warn five minutes before the end: at once
        cluster.run("scontrol", "update", f"JobId={jobs[3]}", "TimeLimit=5")
        until(lambda: jobs[3] in cluster.queue("PENDING"))
        cluster.run("scontrol", "update", f"JobId={jobs[3]}", "TimeLimit=60")
        until(lambda: all(len(attempts(checkout, run)) > 1 for run in first), 400)
        main.process.kill()
        main.process.wait()


def test_ctrl_c_after_it_was_killed(cluster, checkout):
    """What a killed Snakemake left is stopped, and what runs at Ctrl-C, with checkpoints."""
    pipeline.snakemake(checkout, "--unlock", *ON_CLUSTER)
    before = len(attempts(checkout, LONG))
    with running(checkout, *ON_CLUSTER) as main:
        until(lambda: len(attempts(checkout, LONG)) > before, 240)
        main.process.send_signal(signal.SIGINT)
        assert main.wait(240) != 0
    until(lambda: not cluster.queue("PENDING,RUNNING,COMPLETING"))
    assert attempts(checkout, LONG)[-1]["ended"] == "SIGTERM"


def test_a_node_fails_and_two_are_cancelled_and_all_is_done(cluster, checkout):
    before = len(attempts(checkout, LONG))
    with running(checkout, *ON_CLUSTER) as main:
        until(lambda: len(attempts(checkout, LONG)) > before, 240)
        job = job_of(cluster, checkout, LONG)
        node = cluster.run("squeue", "--noheader", f"--jobs={job}", "--format=%N").strip()
        cluster.run("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test")
        until(lambda: len(attempts(checkout, LONG)) > before + 1, 240)
        # it may have come back by itself
        cluster.run("scontrol", "update", f"NodeName={node}", "State=RESUME", check=False)
        until(lambda: progress(checkout, place(ON_TWO_NODES)).get("step", 0) > 20, 400)
        both = job_of(cluster, checkout, ON_TWO_NODES)
        said = cluster.run("scontrol", "show", "job", both)
        assert "NumNodes=2" in said
        assert "NodeList=n[1-2]" in said
        assert "gres/gpu=2" in said
        cluster.run("scancel", both)
        assert main.wait(900) == 0, main.said()
    assert {attempt["slurm_job"] for attempt in attempts(checkout, LONG)[before:]} == {job}


def test_no_step_was_lost_but_by_kills(checkout):
    ended = [[attempt["ended"] for attempt in attempts(checkout, run)] for run in RUNS]
    assert ended[0][0] == ended[2][0] == "SIGTERM"
    assert ended[1][0] is None  # killed
    assert "SIGUSR1" in ended[3]
    assert "SIGTERM" in ended[4]
    for run in RUNS:
        trained_twice(attempts(checkout, run), EVERY)
    assert {attempt["processes"] for attempt in attempts(checkout, ON_TWO_NODES)} == {2}


def test_the_numbers_are_those_of_an_undisturbed_machine(checkout, here):
    folder, process = here
    assert process.wait(600) == 0, (folder / "said").read_text()
    local, remote = folder / "results/day", checkout / "results/day"
    files = {path.relative_to(local) for path in local.rglob("*") if path.suffix in (".csv", ".md", ".tex")}
    assert len(files) == 9  # runs.csv of the study and of its data set, and the tables
    for file in files:
        if file.suffix == ".csv":
            assert rows(local / file) == rows(remote / file), file
        else:
            assert (local / file).read_text() == (remote / file).read_text(), file
    for name in ("model.safetensors", "evaluation.json"):
        for run in RUNS:
            assert (folder / place(run) / name).read_bytes() == (checkout / place(run) / name).read_bytes(), run
    figures = {path.relative_to(local) for path in local.rglob("*.svg")}
    assert figures
    assert figures == {path.relative_to(remote) for path in remote.rglob("*.svg")}
    assert list((checkout / ".snakemake/efficiency").glob("*.csv"))  # what each job used
    with zipfile.ZipFile(remote / "report.zip") as report:
        assert report.testzip() is None


def rows(path):
    """A table without the columns that vary."""
    return [{k: v for k, v in row.items() if k not in VARYING} for row in csv.DictReader(path.open())]


def test_each_training_is_one_job_with_its_gpus(cluster):
    lines = cluster.run(
        *("sacct", "--allocations", "--noheader", "--parsable2", "--duplicates"),
        "--format=Start,End,AllocTRES,Comment,State,JobName",
    ).splitlines()
    jobs = [line.split("|") for line in lines]
    jobs = [job for job in jobs if job[5].startswith("day.") and "gres/gpu=" in job[2]]
    trained = [job for job in jobs if job[3].startswith("rule_train_")]
    assert len({job[3] for job in trained}) == len(RUNS)
    for job in jobs:
        assert f"gres/gpu={2 if 'DiffEnc-2-1' in job[3] and 'encode' not in job[3] else 1}" in job[2], job
    # sacct's seconds: a job that starts in the second in which another ended comes after it
    gpus = [int(re.search(r"gres/gpu=(\d)", job[2])[1]) for job in jobs]
    times = [(*map(datetime.fromisoformat, job[:2]), of) for job, of in zip(jobs, gpus, strict=True)]
    assert 1 < at_a_time(times) <= GPUS


def at_a_time(jobs):
    """The most GPUs in use at any moment."""
    changes = [(moment, change) for start, end, gpus in jobs for moment, change in ((start, gpus), (end, -gpus))]
    in_use = most = 0
    for _, change in sorted(changes):
        in_use += change
        most = max(most, in_use)
    return most
