"""What a training asks of SLURM when it is one of its jobs, and what SLURM gave it."""

import os
import re
import signal
import subprocess
import sys

from typing_extensions import TypedDict

SECONDS_TO_ANSWER = 10.0
_GIB = {"K": 2.0**-20, "M": 2.0**-10, "G": 1.0, "T": 2.0**10}


class Given(TypedDict):
    """What SLURM gave a job, for each of its processes: memory in GiB, hours, CPUs. None: as much as it likes."""

    memory_gib: float | None
    hours: float | None
    cpus: float | None


def given(processes: int) -> Given | None:
    """What this job was given, shared by so many processes; None if this is no job, or SLURM does not say."""
    job = os.environ.get("SLURM_JOB_ID")
    said = _scontrol("show", "job", job, timeout=SECONDS_TO_ANSWER).stdout if job else ""
    if not said:
        return None
    # newer versions also name the TRES that were asked for: with cpus_per_gpu less than was given
    memory = re.search(r"(?<!Req)TRES=\S*\bmem=([\d.]+)([KMGT])", said)
    time = re.search(r"\bTimeLimit=(?:(\d+)-)?(\d+):(\d+):(\d+)", said)
    cpus = re.search(r"\bNumCPUs=(\d+)", said)
    return {
        "memory_gib": round(float(memory[1]) * _GIB[memory[2]] / processes, 3) if memory else None,
        "hours": round(_hours(*(int(part or 0) for part in time.groups())), 3) if time else None,
        "cpus": int(cpus[1]) / processes if cpus else None,
    }


def _hours(days: int, hours: int, minutes: int, seconds: int) -> float:
    return 24 * days + hours + minutes / 60 + seconds / 3600


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


def _scontrol(*arguments: str, timeout: float | None = None) -> subprocess.CompletedProcess:
    try:
        return subprocess.run(["scontrol", *arguments], capture_output=True, text=True, check=False, timeout=timeout)
    except OSError as error:
        return subprocess.CompletedProcess(arguments, 1, "", f"scontrol: {error.strerror}")
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(arguments, 1, "", "scontrol: does not answer")
