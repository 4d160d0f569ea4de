"""A run's history: its loss terms over the steps, a line each, kept in its checkpoints and shown while it trains."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from diffenc.errors import UserError
from diffenc.files import write_file
from diffenc.results import TERMS

Line = dict[str, Any]


def as_text(lines: list[Line]) -> str:
    """One JSON object a line."""
    return "".join(json.dumps(line) + "\n" for line in lines)


def last_step(lines: list[Line]) -> int:
    """The step of the last line, 0 before the first."""
    return lines[-1]["step"] if lines else 0


def plain(line: Line, steps: int) -> str:
    """A line for people."""
    terms = ", ".join(f"{name} {line[name]:.4f}" for name in TERMS[1:])
    left = timedelta(seconds=line["seconds_left"])
    speed = f"{line['images_per_s']:.0f} images/s"
    return f"step {line['step']}/{steps}: {line['total']:.4f} bpd ({terms}), {speed}, {left} left"


class LiveHistory:
    """The file that shows the history while the run trains. Nothing reads it back: the checkpoints have the lines."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, lines: list[Line]) -> None:
        """Begin with the lines of the checkpoint that the run goes on from."""
        write_file(self.path, as_text(lines))

    def append(self, line: Line) -> None:
        """Add a line. Raises UserError if the disk is full or the folder is gone."""
        try:
            with self.path.open("a") as file:
                file.write(as_text([line]))
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written ({error.strerror}); free space, then run again to go on")

    def remove(self) -> None:
        """Delete it: the history was published."""
        self.path.unlink(missing_ok=True)
