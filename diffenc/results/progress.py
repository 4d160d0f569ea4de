"""progress.json of a run: what its training last wrote, and the state that follows from the files."""

from pathlib import Path
from typing import Any, Literal, NotRequired

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from diffenc.runtime.slurm import Given
from diffenc.study.stages import EVALUATION, MODEL

PROGRESS = "progress.json"
# after so many seconds without a sign of life a run counts as lost
SILENT = 60.0


class Attempt(TypedDict):
    """What one attempt at a run did: its steps, and what ended it (a signal, "done", or None: nobody knows).

    Of the first process: the most memory that it took of its host, and its seconds of all CPUs; `given` by SLURM.
    """

    first: int
    last: int
    seconds: float
    processes: int
    host: str
    process: int
    slurm_job: str | None
    ended: str | None
    # earlier versions did not write these
    host_bytes: NotRequired[int]
    cpu_seconds: NotRequired[float]
    given: NotRequired[Given | None]


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


def device_hours(attempts: list[Attempt]) -> float:
    """Hours of all devices together."""
    return sum(attempt["seconds"] * attempt["processes"] for attempt in attempts) / 3600


def use(attempts: list[Attempt]) -> dict[str, float | None] | None:
    """The content of a `diffenc.results.records.Use`; None if the last attempt was no job of SLURM's."""
    given = attempts[-1].get("given")
    if given is None:
        return None
    seconds = sum(attempt["seconds"] for attempt in attempts if "cpu_seconds" in attempt)
    used = {
        "memory_gib": round(max(attempt.get("host_bytes", 0) for attempt in attempts) / 2**30, 3),
        "hours": round(max(attempt["seconds"] for attempt in attempts) / 3600, 6),
        # a training of less than a clock's tick has no seconds
        "cpus": round(sum(attempt.get("cpu_seconds", 0.0) for attempt in attempts) / seconds, 2) if seconds else None,
    }
    return used | {f"{name}_given": value for name, value in given.items()}


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
