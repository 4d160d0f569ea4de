"""How far a run is: a small file that its training renews, so that anyone who sees the folder can tell."""

import json
import os
import resource
import socket
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from diffenc.files import write_file
from diffenc.results import EVALUATION, MODEL, run_folder, study_folder
from diffenc.study import Study

if TYPE_CHECKING:
    import torch

PROGRESS = "progress.json"
EVERY = 10.0
# after so many seconds without a sign of life a run counts as lost
SILENT = 60.0
HOURS = "device-hours"


class Attempt(TypedDict):
    """What one attempt at a run did: its steps, and what ended it (a signal, "done", or None: nobody knows)."""

    first: int
    last: int
    seconds: float
    processes: int
    host: str
    process: int
    slurm_job: str | None
    ended: str | None


class Content(TypedDict):
    """progress.json. States: training, stopped, done."""

    state: Literal["training", "stopped", "done"]
    step: int
    steps: int
    bpd: float | None
    images_per_s: float | None
    seconds_left: float | None
    device: str
    peak_bytes: int
    time: float
    attempts: list[Attempt]


class Progress:
    """Keeps a run's progress.json: where it is, and what each of its attempts did, over all restarts."""

    def __init__(self, folder: Path, steps: int, device: "torch.device", processes: int, precision: str) -> None:
        self.path, self.steps, self.device, self.processes = folder / PROGRESS, steps, device, processes
        self.precision = precision
        before = read(folder)
        if before.get("state") == "done":  # it is trained anew
            before = {}
        self.attempts: list[Attempt] = before.get("attempts", [])
        self.peak = before.get("peak_bytes", 0)

    def begin(self, step: int) -> None:
        """A new attempt goes on from `step`."""
        self.started = self.written = time.monotonic()
        self.attempts.append(
            {
                "first": step,
                "last": step,
                "seconds": 0.0,
                "processes": self.processes,
                "host": socket.gethostname(),
                "process": os.getpid(),
                "slurm_job": os.environ.get("SLURM_JOB_ID"),
                "ended": None,
            }
        )

    def note(self, step: int, line: dict[str, Any] | None) -> None:
        """The run is after `step`, `line` is its history's last; written every few seconds."""
        if time.monotonic() - self.written > EVERY:
            self.write("training", step, line)

    def write(self, state: str, step: int, line: dict[str, Any] | None, ended: str | None = None) -> None:
        """Write now; `ended` says by what the attempt was."""
        self.written = time.monotonic()
        self.attempts[-1] |= {"last": step, "seconds": round(self.written - self.started, 1), "ended": ended}
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
            "peak_bytes": self.peak,
            "time": round(time.time(), 1),
            "attempts": self.attempts,
        }
        write_file(self.path, json.dumps(content) + "\n")

    def was_done(self) -> None:
        """The run had been done, even if a kill kept that from being written."""
        if before := read(self.path.parent):
            write_file(self.path, json.dumps(before | {"state": "done"}) + "\n")

    def cost(self) -> dict[str, Any]:
        """What the run took, over all its attempts: `results.Cost`."""
        return {
            "device": f"{self._device_name()}, {self.precision}",
            "device_hours": round(device_hours(self.attempts), 4),
            "peak_gib": round(self.peak / 2**30, 3),
            "attempts": len(self.attempts),
        }

    def _device_name(self) -> str:
        if self.device.type == "cuda":
            import torch

            return torch.cuda.get_device_name(self.device)
        return self.device.type

    def _peak(self) -> int:
        """Bytes: of the GPU's memory, or of this process's."""
        if self.device.type == "cuda":
            import torch

            return torch.cuda.max_memory_allocated(self.device)
        return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def device_hours(attempts: list[Attempt]) -> float:
    """Hours of all devices together."""
    return sum(attempt["seconds"] * attempt["processes"] for attempt in attempts) / 3600


def read(folder: Path) -> Content | dict[str, Any]:
    """What a run's progress.json says; nothing if it has none, or none that can be read."""
    try:
        return TypeAdapter(Content).validate_json((folder / PROGRESS).read_bytes(), strict=True)
    except (OSError, ValidationError):
        return {}


def state_of(folder: Path, now: float) -> str:
    """waiting, training, stopped, lost (no sign of life), trained or evaluated."""
    if (folder / MODEL).exists():
        return "evaluated" if (folder / EVALUATION).exists() else "trained"
    found = read(folder)
    if not found and (folder / EVALUATION).exists():
        return "evaluated"  # elsewhere: its weights and its progress stayed there
    if not found or found["state"] == "done":
        return "waiting"
    return "lost" if found["state"] == "training" and now - found["time"] > SILENT else found["state"]


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
