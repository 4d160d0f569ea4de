"""Preemptible partitions: one with a grace time, after which jobs are queued again, and one that cancels them."""

import pipeline
import pytest
import yaml
from cluster import ACCOUNT, GPUS
from user import adapt, progress, running, trained_twice, until

STUDY = {
    "name": "preempted",
    "title": "A study in the way of others",
    "runs": [{"dataset": "digits", "models": ["VDMv-2"], "seeds": [1], "training": {"steps": 600, "batch": 16}}],
    "evaluation": {"passes": 1, "images": 50},
    "tables": ["seeds"],
    "figures": [],
}
RUN = "results/preempted/runs/digits/VDMv-2/fixed/seed1"
PROFILE = "workflow/profiles/slurm-preemptible"


@pytest.mark.parametrize("partition", ["preemptible", "scavenge"])
def test_a_preempted_run_goes_on_by_itself(cluster, checkout, partition):
    adapt(checkout, "slurm-preemptible", slurm_partition=partition)
    (checkout / "preempted.yaml").write_text(yaml.safe_dump(STUDY))
    with running(checkout, "--profile", PROFILE, "--configfile", "preempted.yaml") as main:
        until(lambda: progress(checkout, RUN).get("step", 0) > 20)
        # somebody with a higher priority takes all GPUs for a moment
        options = ("--partition=gpu", f"--gpus={GPUS}", "--nodes=2", f"--account={ACCOUNT}", "--output=/dev/null")
        cluster.run("sbatch", *options, "--wrap", "sleep 10")
        until(lambda: progress(checkout, RUN)["state"] == "stopped")
        assert "stopped" in pipeline.diffenc(checkout, "status", "preempted.yaml")
        assert main.wait(600) == 0, main.said()
    attempts = progress(checkout, RUN)["attempts"]
    assert [attempt["ended"] for attempt in attempts] == ["SIGTERM", "done"]
    assert trained_twice(attempts) == 0
    jobs = {attempt["slurm_job"] for attempt in attempts}
    # the same job, queued again; or another one, as Snakemake saw that this one was gone
    assert len(jobs) == (1 if partition == "preemptible" else 2)
    assert ("Trying to restart job" in main.said()) == (partition == "scavenge")
