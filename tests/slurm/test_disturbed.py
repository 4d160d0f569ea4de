"""What happens to jobs on a cluster, all of it in one study: the numbers stay those of the undisturbed one."""

import os
import signal

import pipeline
import pytest
import yaml
from user import job_of, progress, running, trained_twice, until

RUNS = [("digits", "VDMv-2", "fixed", f"seed{seed}") for seed in (1, 2, 3)]
RUNS.append(("digits", "DiffEnc-2-nt", "fixed", "seed1"))
TRAINING = {"batch": 16, "learning_rate": 0.002, "ema": 0.98, "log_every": 50}
STUDY = {
    "name": "disturbed",
    "title": "A study on a bad day",
    "runs": [
        {"dataset": "digits", "models": ["VDMv-2"], "seeds": [1, 2, 3], "training": TRAINING | {"steps": 1200}},
        {"dataset": "digits", "models": ["DiffEnc-2-nt"], "seeds": [1], "training": TRAINING | {"steps": 3000}},
    ],
    "checkpoints": {"steps": 100},
    "evaluation": {"passes": 1, "images": 50},
    "tables": ["seeds"],
    "figures": [],
}
COMMAND = ("--configfile=disturbed.yaml",)


def place(run):
    """The run's folder in a checkout."""
    return "results/disturbed/runs/" + "/".join(run)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The study made in peace, on this machine without the cluster."""
    folder = pipeline.check_out(tmp_path_factory.mktemp("undisturbed") / "checkout")
    (folder / "disturbed.yaml").write_text(yaml.safe_dump(STUDY))
    ended = pipeline.snakemake(folder, "--cores", "2", *COMMAND)
    assert ended.returncode == 0, ended.stdout
    return folder


def test_nothing_is_lost(cluster, checkout, undisturbed):
    (checkout / "disturbed.yaml").write_text(yaml.safe_dump(STUDY))
    with running(checkout, "--profile", "slurm", *COMMAND) as main:
        for run in RUNS:
            until(lambda run=run: progress(checkout, place(run)).get("step", 0) > 50)
        cluster.restart_nodes()
        jobs = [job_of(cluster, run) for run in RUNS]
        cluster.run("scontrol", "requeue", jobs[0])
        os.kill(progress(checkout, place(RUNS[1]))["attempts"][-1]["process"], signal.SIGKILL)
        cluster.run("scancel", jobs[2])
        # with the profile's warning five minutes before the end, this one comes within the next minute
        cluster.run("scontrol", "update", f"JobId={jobs[3]}", "TimeLimit=6")
        until(lambda: all(len(progress(checkout, place(run)).get("attempts", [])) > 1 for run in RUNS), 400)
        # all of this Snakemake saw to by itself; now it is killed, and its jobs go on without it
        main.process.kill()
        main.process.wait()
    pipeline.snakemake(checkout, "--unlock", "--profile", "slurm", *COMMAND)
    with running(checkout, "--profile", "slurm", *COMMAND) as main:
        assert main.wait(900) == 0, main.said()
    _check(checkout, undisturbed)


def _check(checkout, undisturbed):
    for run in RUNS:
        ours, theirs = checkout / place(run), undisturbed / place(run)
        assert (ours / "model.safetensors").read_bytes() == (theirs / "model.safetensors").read_bytes(), run
        assert (ours / "evaluation.json").read_bytes() == (theirs / "evaluation.json").read_bytes(), run
        trained_twice(progress(checkout, place(run))["attempts"], STUDY["checkpoints"]["steps"])
    ended = [attempt["ended"] for run in RUNS for attempt in progress(checkout, place(run))["attempts"]]
    assert ended.count(None) == 1  # the one that was killed
    assert ended.count("SIGUSR1") >= 1


def test_ctrl_c_and_a_node_that_fails(cluster, checkout, undisturbed):
    (checkout / "disturbed.yaml").write_text(yaml.safe_dump(STUDY))
    run = RUNS[0]
    evaluation = f"{place(run)}/evaluation.json"
    with running(checkout, evaluation, "--profile", "slurm", *COMMAND) as main:
        until(lambda: progress(checkout, place(run)).get("step", 0) > 50)
        main.process.send_signal(signal.SIGINT)
        assert main.wait(240) != 0
    until(lambda: not cluster.queue("PENDING,RUNNING,COMPLETING"))
    with running(checkout, evaluation, "--profile", "slurm", *COMMAND) as main:
        job = until(lambda: job_of(cluster, run))
        until(lambda: len(progress(checkout, place(run))["attempts"]) > 1)
        node = cluster.run("squeue", "--noheader", f"--jobs={job}", "--format=%N").strip()
        cluster.run("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test")
        until(lambda: job_of(cluster, run, "PENDING") or job_of(cluster, run, "RUNNING"))
        assert main.wait(600) == 0, main.said()
    cluster.run(
        "scontrol", "update", f"NodeName={node}", "State=RESUME", check=False
    )  # it may have come back by itself
    assert (checkout / evaluation).read_bytes() == (undisturbed / evaluation).read_bytes()
    attempts = progress(checkout, place(run))["attempts"]
    assert attempts[0]["ended"] == "SIGTERM"
    assert attempts[1]["slurm_job"] == attempts[-1]["slurm_job"] == job
    trained_twice(attempts, STUDY["checkpoints"]["steps"])
