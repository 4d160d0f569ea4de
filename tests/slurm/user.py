"""A user on the test cluster: the checkout, its profiles with the site's five lines, Snakemake in the background."""

import contextlib
import itertools
import json
import re
import signal
import subprocess
import sys
import time

import pipeline
from cluster import ACCOUNT

MEMORY_MB_PER_CPU = 150  # of the study that has too little
# what the README tells a site to change, by the marks in the profile
LINES = {
    "slurm": {"jobs": 20, "slurm_partition": "gpu", "slurm_account": ACCOUNT, "gpu_model": "h100", "runtime": 60},
    "slurm-preemptible": {"jobs": 20, "slurm_account": ACCOUNT, "gpu_model": "h100", "runtime": 60},
}


def check_out_on_site(folder):
    """A checkout with the profiles adapted; nothing but the marked lines differs from what is shipped."""
    pipeline.check_out(folder)
    for profile, values in LINES.items():
        adapt(folder, profile, **values)
    return folder


def adapt(folder, profile, **values):
    """Change the lines below the numbered marks."""
    path = folder / "workflow/profiles" / profile / "config.yaml"
    lines = path.read_text().splitlines()
    marks = [i for i, line in enumerate(lines) if re.match(r" *# \(\d\)", line)]
    assert len(marks) == 5
    for mark in marks:
        place = next(i for i in range(mark, len(lines)) if not lines[i].lstrip().startswith("#"))
        key = lines[place].partition(":")[0]
        if key.strip() in values:
            lines[place] = f"{key}: {values.pop(key.strip())}"
    assert not values
    path.write_text("\n".join(lines) + "\n")


class Running:
    """Snakemake in the background."""

    def __init__(self, folder, *arguments):
        self.folder, self.log = folder, (folder / "snakemake.log").open("w+")
        # SLURM is asked more often than on a real cluster: it has nobody else to answer
        often = ("--slurm-init-seconds-before-status-checks", "3")
        command = [sys.executable, "-m", "snakemake", *arguments, *often]
        self.process = subprocess.Popen(
            command, cwd=folder, stdout=self.log, stderr=subprocess.STDOUT, preexec_fn=_interruptible
        )

    def said(self):
        """All that it printed so far."""
        return (self.folder / "snakemake.log").read_text()

    def wait(self, seconds):
        """Its exit status."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"Snakemake hangs:\n{self.said()[-4000:]}") from None


def _interruptible():
    # a shell's background job ignores Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)


@contextlib.contextmanager
def running(folder, *arguments):
    """Snakemake, killed at the end if it still runs."""
    one = Running(folder, *arguments)
    try:
        yield one
    finally:
        one.process.kill()
        one.process.wait()
        one.log.close()


def until(condition, seconds=120):
    """What `condition` gives once it is true."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.5)
    return found


def progress(folder, run):
    """A run's progress.json, or nothing."""
    try:
        return json.loads((folder / run / "progress.json").read_text())
    except (OSError, ValueError):
        return {}


def trained_twice(attempts, at_most_after_kill=0):
    """How many steps a run's attempts trained more than once; after a kill some are, since the last checkpoint."""
    assert attempts[0]["first"] == 0
    assert attempts[-1]["ended"] == "done"
    twice = 0
    for before, after in itertools.pairwise(attempts):
        lost = before["last"] - after["first"]
        # what a killed attempt wrote last may be older than its last checkpoint
        assert lost == 0 if before["ended"] else lost <= at_most_after_kill
        twice += max(0, lost)
    return twice


def job_of(cluster, checkout, run, states="RUNNING", rule="train"):
    """The SLURM job of that rule for a checkout's run, if it is in one of these states."""
    comment = f"rule_{rule}_wildcards_" + "_".join(run).replace("seed", "")
    wanted = (str(checkout), comment)
    jobs = [job for job, (_, *found) in cluster.queue(states).items() if tuple(found) == wanted]
    return jobs[-1] if jobs else None
