"""Preemptible partitions: one with a grace time, after which jobs are queued again, and one that cancels them."""

import pipeline
import pytest
import yaml
from cluster import ACCOUNT, GPUS
from user import adapt, check_out_on_site, job_of, progress, running, trained_twice, until

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


def start(folder, partition):
    """A checkout, and Snakemake in it on that partition."""
    checkout = check_out_on_site(folder)
    adapt(checkout, "slurm-preemptible", slurm_partition=partition)
    (checkout / "preempted.yaml").write_text(yaml.safe_dump(STUDY))
    return checkout, running(checkout, *COMMAND)


def take_all_gpus(cluster):
    """Somebody with a higher priority takes all GPUs for a moment."""
    options = ("--partition=gpu", f"--gpus={GPUS}", "--nodes=2", f"--account={ACCOUNT}", "--output=/dev/null")
    cluster.run("sbatch", *options, "--wrap", "sleep 5")


@pytest.mark.usefixtures("short_of_memory")  # the next file's study: it runs meanwhile, apart from this one
def test_trainings_queue_themselves_again_and_a_cancelled_evaluation_is_submitted_again(cluster, tmp_path):
    """The plugin by itself would wait for the latter for ever."""
    (requeued, first), (cancelled, second) = (start(tmp_path / name, name) for name in ("preemptible", "scavenge"))
    with first as on_requeueing, second as on_cancelling:
        until(lambda: min(progress(checkout, RUN).get("step", 0) for checkout in (requeued, cancelled)) > 20)
        take_all_gpus(cluster)
        until(lambda: progress(requeued, RUN)["state"] == "stopped")
        assert "stopped" in pipeline.diffenc(requeued, "status", "preempted.yaml")
        until(lambda: {progress(checkout, RUN)["state"] for checkout in (requeued, cancelled)} == {"done"}, 400)
        job = until(lambda: job_of(cluster, cancelled, NAME, rule="evaluate"), 240)
        for snakemake in (on_requeueing, on_cancelling):
            assert "Trying to restart job" not in snakemake.said()
        take_all_gpus(cluster)
        until(lambda: "PREEMPTED" in cluster.run("sacct", "-X", "-n", f"--jobs={job}", "--format=State"))
        for snakemake in (on_requeueing, on_cancelling):
            assert snakemake.wait(600) == 0, snakemake.said()
        assert "Trying to restart job" in on_cancelling.said()
    for checkout in (requeued, cancelled):
        attempts = progress(checkout, RUN)["attempts"]
        assert [attempt["ended"] for attempt in attempts] == ["SIGTERM", "done"]
        assert trained_twice(attempts) == 0
        assert attempts[0]["slurm_job"] == attempts[1]["slurm_job"]
        assert (checkout / RUN / "evaluation.json").exists()
