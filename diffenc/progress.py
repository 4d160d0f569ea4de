"""How far a run is: a small file that its training renews, so that anyone who sees the folder can tell."""

import json
import os
import resource
import socket
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffenc.files import write_file
from diffenc.results import EVALUATION, MODEL, run_folder, study_folder
from diffenc.study import Study

if TYPE_CHECKING:
    import torch

PROGRESS = "progress.json"
EVERY = 10.0
# after so many seconds without a sign of life a run counts as lost
SILENT = 60.0


class Progress:
    """Keeps a run's progress.json; time and attempts add up over all its restarts."""

    def __init__(self, folder: Path, steps: int, device: "torch.device") -> None:
        self.path, self.steps, self.device = folder / PROGRESS, steps, device
        before = read(folder)
        if before.get("state") == "done":  # it is trained anew
            before = {}
        self.attempts = before.get("attempts", 0) + 1
        self.seconds = before.get("device_seconds", 0.0)
        self.peak = before.get("peak_bytes", 0)
        self.since = self.written = time.monotonic()

    def note(self, step: int, line: dict[str, Any] | None) -> None:
        """The run is after `step`, `line` is its history's last; written every few seconds."""
        if time.monotonic() - self.written > EVERY:
            self.write("training", step, line)

    def write(self, state: str, step: int, line: dict[str, Any] | None) -> None:
        """Write now. States: training, stopped, done."""
        now = time.monotonic()
        self.seconds, self.since, self.written = self.seconds + now - self.since, now, now
        self.peak = max(self.peak, self._peak())
        line = line or {}
        content = {
            "state": state,
            "step": step,
            "steps": self.steps,
            "bpd": line.get("total"),
            "images_per_s": line.get("images_per_s"),
            "seconds_left": line.get("seconds_left"),
            "device": self.device.type,
            "device_seconds": round(self.seconds, 1),
            "peak_bytes": self.peak,
            "attempts": self.attempts,
            "process": os.getpid(),
            "host": socket.gethostname(),
            "time": round(time.time(), 1),
        }
        write_file(self.path, json.dumps(content) + "\n")

    def _peak(self) -> int:
        """Bytes: of the GPU's memory, or of this process's."""
        if self.device.type == "cuda":
            import torch

            return torch.cuda.max_memory_allocated(self.device)
        return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def read(folder: Path) -> dict[str, Any]:
    """What a run's progress.json says; nothing if it has none, or none that can be read."""
    try:
        content = json.loads((folder / PROGRESS).read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) and "state" in content else {}


def state_of(folder: Path, now: float) -> str:
    """waiting, training, stopped, lost (no sign of life), trained or evaluated."""
    if (folder / MODEL).exists():
        return "evaluated" if (folder / EVALUATION).exists() else "trained"
    found = read(folder)
    if not found or found["state"] == "done":
        return "waiting"
    return "lost" if found["state"] == "training" and now - found["time"] > SILENT else found["state"]


def table(study: Study) -> str:
    """Every run's state for people, from the files alone: the runs may train on any machine that shares them."""
    from tabulate import tabulate

    rows, now = [], time.time()
    for run in study.training:
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
                "hours": f"{found['device_seconds'] / 3600:.2f} {found['device']}" if found else "",
                "attempts": found.get("attempts"),
            }
        )
    return tabulate(rows, headers="keys", floatfmt=".3f", intfmt=",")
