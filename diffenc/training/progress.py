"""How far a run is: a small file that its training renews, so that anyone who sees the folder can tell."""

import json
import os
import resource
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffenc.io.files import write_file
from diffenc.results.progress import PROGRESS, Attempt, device_hours, read, use
from diffenc.runtime import slurm

if TYPE_CHECKING:
    import torch

EVERY = 10.0


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
        self.cpu = time.process_time()
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
                "given": slurm.given(self.processes),
            }
        )

    def note(self, step: int, line: dict[str, Any] | None) -> None:
        """The run is after `step`, `line` is its history's last; written every few seconds."""
        if time.monotonic() - self.written > EVERY:
            self.write("training", step, line)

    def write(self, state: str, step: int, line: dict[str, Any] | None, ended: str | None = None) -> None:
        """Write now; `ended` says by what the attempt was."""
        self.written = time.monotonic()
        self.attempts[-1] |= {
            "last": step,
            "seconds": round(self.written - self.started, 1),
            "ended": ended,
            "host_bytes": _host_peak(),
            "cpu_seconds": round(time.process_time() - self.cpu, 1),
        }
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
        """What the run took, over all its attempts: `diffenc.results.records.Cost`."""
        return {
            "device": f"{self._device_name()}, {self.precision}",
            "device_hours": round(device_hours(self.attempts), 6),
            "peak_gib": round(self.peak / 2**30, 3),
            "attempts": len(self.attempts),
            "use": use(self.attempts),
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
        return _host_peak()


def _host_peak() -> int:
    """The most bytes that this process took of its host."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
