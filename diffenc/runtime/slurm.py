"""What a training asks of SLURM when it is one of its jobs."""

import os
import re
import signal
import subprocess
import sys


def requeue_if_it_was_not_cancelled(asked_by: signal.Signals) -> None:
    """Queue this job again if its time limit is near or a job of higher priority wants its place.

    The run's checkpoint must be written: SLURM ends this attempt at once. Without this a job that ends by itself
    before the limit, or within the grace time of a preemption, would count as failed. Where a site does not allow it,
    it does, and whoever submitted it may do so again.
    """
    job = os.environ.get("SLURM_JOB_ID")
    if job is None or not (asked_by is signal.SIGUSR1 or _is_preempted(job)):
        return
    asked = _scontrol("requeue", job)
    if asked.returncode:
        reason = " ".join(asked.stderr.split())
        print(f"diffenc: warning: SLURM did not requeue job {job} ({reason}); submit again to go on", file=sys.stderr)
    else:
        print(f"diffenc: SLURM job {job} is queued again, to go on", file=sys.stderr)


def _is_preempted(job: str) -> bool:
    found = re.search(r"PreemptTime=(\S+)", _scontrol("show", "job", job).stdout)
    return bool(found) and found[1] not in ("None", "N/A")


def _scontrol(*arguments: str) -> subprocess.CompletedProcess:
    try:
        return subprocess.run(["scontrol", *arguments], capture_output=True, text=True, check=False)
    except OSError as error:
        return subprocess.CompletedProcess(arguments, 1, "", f"scontrol: {error.strerror}")
