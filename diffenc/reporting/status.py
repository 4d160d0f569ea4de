"""Table of every run's state, for people: `diffenc status`."""

import time
from datetime import timedelta

from diffenc.results.progress import device_hours, read, state_of
from diffenc.study.study import Study, run_folder, study_folder

HOURS = "device-hours"


def table(study: Study) -> str:
    """Every run's state for people, from the files alone: the runs may train on any machine that shares them."""
    from tabulate import tabulate

    rows, now = [], time.time()
    for run in study.all_runs:
        folder = run_folder(study_folder(study), run)
        found, state = read(folder), state_of(folder, now)
        left = timedelta(seconds=found["seconds_left"]) if state == "training" and found.get("seconds_left") else ""
        rows.append(
            {
                "run": run.path,
                "state": state,
                "step": f"{found['step']:,} / {found['steps']:,}" if found else "",
                "images/s": found.get("images_per_s"),
                "left": left,
                "training bpd": found.get("bpd"),
                HOURS: f"{device_hours(found['attempts']):.2f} {found['device']}" if found else "",
                "attempts": len(found["attempts"]) if found else None,
            }
        )
    return tabulate(rows, headers="keys", floatfmt=".3f", intfmt=",")
