"""Preemptible partitions: one with a grace time, after which jobs are queued again, and one that cancels them."""

import pipeline
import pytest
import yaml
from cluster import ACCOUNT, GPUS
from user import adapt, job_of, progress, running, trained_twice, until

STUDY = {
    "name": "preempted",
    "title": "A study in the way of others",
    "runs": [{"dataset": "digits", "models": ["VDMv-2"], "seeds": [1], "training": {"steps": 600, "batch": 16}}],
    "evaluation": {"passes": 40},
    "tables": ["seeds"],
    "figures": [],
}
NAME = ("digits", "VDMv-2", "fixed", "seed1")
RUN = "results/preempted/runs/" + "/".join(NAME)
COMMAND = ("--profile", "workflow/profiles/slurm-preemptible", "--configfile", "preempted.yaml")


def start(checkout, partition, study=STUDY):
    """Snakemake, on that partition."""
    adapt(checkout, "slurm-preemptible", slurm_partition=partition)
    (checkout / "preempted.yaml").write_text(yaml.safe_dump(study))
    return running(checkout, *COMMAND)


def take_all_gpus(cluster):
    """Somebody with a higher priority takes all GPUs for a moment."""
    options = ("--partition=gpu", f"--gpus={GPUS}", "--nodes=2", f"--account={ACCOUNT}", "--output=/dev/null")
    cluster.run("sbatch", *options, "--wrap", "sleep 10")


@pytest.mark.parametrize("partition", ["preemptible", "scavenge"])
def test_a_training_queues_itself_again(cluster, checkout, partition):
    with start(checkout, partition) as main:
        until(lambda: progress(checkout, RUN).get("step", 0) > 20)
        take_all_gpus(cluster)
        until(lambda: progress(checkout, RUN)["state"] == "stopped")
        assert "stopped" in pipeline.diffenc(checkout, "status", "preempted.yaml")
        assert main.wait(600) == 0, main.said()
    attempts = progress(checkout, RUN)["attempts"]
    assert [attempt["ended"] for attempt in attempts] == ["SIGTERM", "done"]
    assert trained_twice(attempts) == 0
    assert attempts[0]["slurm_job"] == attempts[1]["slurm_job"]
    assert "Trying to restart job" not in main.said()


def test_a_cancelled_evaluation_is_submitted_again(cluster, checkout):
    """The plugin by itself would wait for it for ever."""
    short = STUDY | {"runs": [STUDY["runs"][0] | {"training": {"steps": 10, "batch": 16}}]}
    with start(checkout, "scavenge", short) as main:
        job = until(lambda: job_of(cluster, checkout, NAME, rule="evaluate"), 240)
        take_all_gpus(cluster)
        until(lambda: "PREEMPTED" in cluster.run("sacct", "-X", "-n", f"--jobs={job}", "--format=State"))
        assert main.wait(600) == 0, main.said()
    assert "Trying to restart job" in main.said()
    assert (checkout / RUN / "evaluation.json").exists()
