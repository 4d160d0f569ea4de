"""Jobs that SLURM kills for memory: once they are tried again with twice as much, and then it is said what to do.

What happens is `short_of_memory`'s, which began beside test_preempted.
"""

import json

from cluster import APART
from user import MEMORY_MB_PER_CPU, progress

RUNS = "results/memory/runs/digits"
ENOUGH_AT_LAST, TOO_LITTLE = f"{RUNS}/VDMv-2/fixed/seed1", f"{RUNS}/DiffEnc-2-nt/fixed/seed1"
CPUS = 4


def jobs_of(cluster, run):
    """[(state, memory)] of SLURM's jobs for a training, in their order."""
    options = ("--allocations", "--noheader", "--parsable2", f"--nodelist={APART}", "--starttime=now-1hour")
    lines = cluster.run("sacct", *options, "--format=Comment,State,AllocTRES").splitlines()
    comment = "rule_train_wildcards_" + "_".join(run.split("/")[3:]).replace("seed", "")
    jobs = [line.split("|") for line in lines]
    return [(state, tres.partition("mem=")[2].partition(",")[0]) for name, state, tres in jobs if name == comment]


def test_one_gets_through_with_twice_the_memory_and_one_does_not(cluster, short_of_memory):
    checkout, snakemake = short_of_memory
    assert snakemake.wait(240) == 1, snakemake.said()
    once, twice = (f"{n * CPUS * MEMORY_MB_PER_CPU}M" for n in (1, 2))
    assert jobs_of(cluster, ENOUGH_AT_LAST) == [("FAILED", once), ("COMPLETED", twice)]
    assert jobs_of(cluster, TOO_LITTLE) == [("FAILED", once), ("FAILED", twice)]
    assert not (checkout / TOO_LITTLE / "model.safetensors").exists()
    said = snakemake.said()
    again = f"for memory, with mem_mb_per_cpu {MEMORY_MB_PER_CPU}; it is tried again with {2 * MEMORY_MB_PER_CPU}"
    assert said.count(again) == 2
    remedy = (
        f"for memory, with mem_mb_per_cpu {2 * MEMORY_MB_PER_CPU}; raise mem_mb_per_cpu in the profile's config.yaml"
    )
    # where it happened, and at the end in a line of its own
    assert said.count(remedy) == 2
    (line,) = [line for line in said.splitlines() if line.startswith("diffenc: error: ")]
    assert line.startswith(f"diffenc: error: {TOO_LITTLE}/model.safetensors: SLURM killed job ")
    assert remedy in line


def test_what_the_job_used_and_was_given_is_on_record(short_of_memory):
    checkout, _ = short_of_memory
    use = json.loads((checkout / ENOUGH_AT_LAST / "cost.json").read_text())["use"]
    given = 2 * CPUS * MEMORY_MB_PER_CPU / 1024
    assert (use["memory_gib_given"], use["hours_given"], use["cpus_given"]) == (round(given, 3), 1.0, CPUS)
    assert given / 2 < use["memory_gib"] + 0.2 < given  # with the job's Snakemake
    assert 0 < use["hours"] < 0.1
    # the other was killed before it could say how much it took
    attempts = progress(checkout, TOO_LITTLE)["attempts"]
    assert {attempt["ended"] for attempt in attempts} == {None}
    assert attempts[-1]["given"]["memory_gib"] == round(given, 3)
