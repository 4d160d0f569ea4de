"""Preemptible partitions: one with a grace time, after which jobs are queued again, and one that cancels them."""

import pipeline
import yaml
from cluster import ACCOUNT, GPUS
from user import adapt, check_out_on_site, job_of, progress, running, trained_twice, until

STUDY = {
    "name": "preempted",
    "title": "A study in the way of others",
    "runs": [{"dataset": "digits", "models": ["VDMv-2"], "seeds": [1], "training": {"steps": 400, "batch": 8}}],
    "evaluation": {"passes": 60},
    "tables": ["seeds"],
    "figures": [],
}
NAME = ("digits", "VDMv-2", "fixed", "seed1")
RUN = "results/preempted/runs/" + "/".join(NAME)


def start(folder, partition):
    """A checkout of its own and Snakemake in it, for that partition."""
    checkout = check_out_on_site(folder / partition)
    adapt(checkout, "slurm-preemptible", slurm_partition=partition)
    (checkout / "preempted.yaml").write_text(yaml.safe_dump(STUDY | {"name": partition}))
    command = ("--profile", "workflow/profiles/slurm-preemptible", "--configfile", "preempted.yaml")
    return checkout, running(checkout, *command)


def take_all_gpus(cluster):
    """Somebody with a higher priority takes all GPUs for a moment."""
    options = ("--partition=gpu", f"--gpus={GPUS}", "--nodes=2", f"--account={ACCOUNT}", "--output=/dev/null")
    cluster.run("sbatch", *options, "--wrap", "sleep 10")


def test_trainings_queue_themselves_again_and_a_cancelled_evaluation_is_submitted_again(cluster, tmp_path):
    """In both partitions at once; by itself, the plugin would wait for the evaluation for ever."""
    requeued, one = start(tmp_path, "preemptible")
    cancelled, other = start(tmp_path, "scavenge")
    runs = {folder: RUN.replace("preempted", folder.name) for folder in (requeued, cancelled)}
    with one as of_requeued, other as of_cancelled:
        for folder, run in runs.items():
            until(lambda folder=folder, run=run: progress(folder, run).get("step", 0) > 20)
        take_all_gpus(cluster)
        for folder, run in runs.items():
            until(lambda folder=folder, run=run: progress(folder, run)["state"] == "stopped")
            assert "stopped" in pipeline.diffenc(folder, "status", "preempted.yaml")
        job = until(lambda: job_of(cluster, cancelled, NAME, rule="evaluate"), 240)
        take_all_gpus(cluster)
        until(lambda: "PREEMPTED" in cluster.run("sacct", "-X", "-n", f"--jobs={job}", "--format=State"))
        assert of_cancelled.wait(600) == 0, of_cancelled.said()
        assert "Trying to restart job" in of_cancelled.said()
        assert of_requeued.wait(600) == 0, of_requeued.said()
        assert "Trying to restart job" not in of_requeued.said()
    for folder, run in runs.items():
        attempts = progress(folder, run)["attempts"]
        assert [attempt["ended"] for attempt in attempts] == ["SIGTERM", "done"]
        assert trained_twice(attempts) == 0
        assert attempts[0]["slurm_job"] == attempts[1]["slurm_job"]
        assert (folder / run / "evaluation.json").exists()
