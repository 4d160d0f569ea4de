"""A run's history while it trains: one JSON object a line, beside its checkpoints, published when the run is done."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from diffenc.diffusion import Terms
from diffenc.errors import UserError
from diffenc.files import write_file


class History:
    """The lines so far; `last_step` is the last one's step."""

    def __init__(self, path: Path) -> None:
        self.path, self.last_step = path, 0

    def cut(self, step: int) -> None:
        """Drop what was logged after the checkpoint that the run continues from."""
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        kept = [line for line in lines if _step_of(line) <= step]
        self.last_step = _step_of(kept[-1]) if kept else 0
        write_file(self.path, "".join(line + "\n" for line in kept))

    def append(self, line: dict[str, Any]) -> None:
        """Add a line. Raises UserError if the disk is full or the folder is gone."""
        try:
            with self.path.open("a") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written ({error.strerror}); free space, then run again to go on")
        self.last_step = line["step"]

    def publish(self, path: Path) -> None:
        """Copy it to its place among the results."""
        write_file(path, self.path.read_text())

    def remove(self) -> None:
        """Delete it: it was published."""
        self.path.unlink()


def _step_of(line: str) -> float:
    """The line's step; a line that a kill cut short counts as later than any checkpoint."""
    try:
        return json.loads(line)["step"]
    except ValueError:
        return float("inf")


def plain(line: dict[str, Any], steps: int) -> str:
    """A history line for people."""
    terms = ", ".join(f"{name} {line[name]:.4f}" for name in reversed(Terms._fields))
    left = timedelta(seconds=line["seconds_left"])
    speed = f"{line['images_per_s']:.0f} images/s"
    return f"step {line['step']}/{steps}: {line['total']:.4f} bpd ({terms}), {speed}, {left} left"
