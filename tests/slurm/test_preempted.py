"""Preemptible partitions: one whose jobs are queued again, one that cancels them."""

import pipeline
import pytest
import yaml
from cluster import GPUS
from user import adapt, progress, running, until

STUDY = {
    "name": "preempted",
    "title": "A study in the way of others",
    "runs": [{"dataset": "digits", "models": ["VDMv-2"], "seeds": [1], "training": {"steps": 400, "batch": 16}}],
    "evaluation": {"passes": 1, "images": 50},
    "tables": ["seeds"],
    "figures": [],
}
RUN = "results/preempted/runs/digits/VDMv-2/fixed/seed1"


@pytest.mark.parametrize("partition", ["preemptible", "scavenge"])
def test_a_preempted_run_goes_on_by_itself(cluster, checkout, partition):
    adapt(checkout, "slurm-preemptible", slurm_partition=partition)
    (checkout / "preempted.yaml").write_text(yaml.safe_dump(STUDY))
    profile = "workflow/profiles/slurm-preemptible"
    with running(checkout, "--profile", profile, "--configfile", "preempted.yaml") as main:
        until(lambda: progress(checkout, RUN).get("step", 0) > 20)
        # somebody with a higher priority takes all GPUs for a moment
        cluster.run(
            *("sbatch", "--partition=gpu", f"--gpus={GPUS}", "--nodes=2", "--account=physics", "--output=/dev/null"),
            *("--wrap", "sleep 10"),
        )
        until(lambda: progress(checkout, RUN)["state"] == "stopped")
        shown = pipeline.diffenc(checkout, "status", "preempted.yaml")
        assert "stopped" in shown
        assert main.wait(600) == 0, main.said()
    first, last = progress(checkout, RUN)["attempts"]
    assert first["ended"] == "SIGTERM"
    assert (last["first"], last["last"]) == (first["last"], 400)
    restarted = "Trying to restart job" in main.said()
    assert restarted == (partition == "scavenge")
