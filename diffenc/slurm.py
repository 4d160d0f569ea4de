"""What a training asks of SLURM when it is one of its jobs."""

import os
import subprocess
import sys


def requeue() -> None:
    """Queue this job again, as its time limit is near and its checkpoint written: SLURM then ends this attempt.

    Where a site does not allow it the job ends as failed, and whoever submitted it may do so again.
    """
    job = os.environ.get("SLURM_JOB_ID")
    if job is None:
        return
    try:
        asked = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True, check=False)
    except OSError as error:
        print(f"diffenc: warning: scontrol cannot be run ({error.strerror}); submit again to go on", file=sys.stderr)
        return
    if asked.returncode:
        reason = " ".join(asked.stderr.split())
        print(f"diffenc: warning: SLURM did not requeue job {job} ({reason}); submit again to go on", file=sys.stderr)
    else:
        print(f"diffenc: SLURM job {job} is queued again, to go on", file=sys.stderr)
