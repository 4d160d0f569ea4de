"""What ran: Snakemake's own record of each job, and what trainings and results say of themselves."""

import os
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from diffenc.reporting.targets import measurements, options_of
from diffenc.results.claims import begun
from diffenc.results.progress import Attempt, read
from diffenc.results.records import Cost, read_cost
from diffenc.study.stages import CONFIG, COST, FILES, HISTORY, MODEL
from diffenc.study.study import Run, Study, run_folder, study_folder

TRAIN = "train"
_RECORDS = Path(".snakemake/metadata")


class Job(NamedTuple):
    """One job: its rule, its command, files as the command names them, and its times in seconds of the epoch.

    `recorded`: by Snakemake, which ran it. `cost` and `attempts` are those of a training.
    """

    rule: str
    command: str
    inputs: list[str]
    outputs: list[str]
    start: float | None = None
    end: float | None = None
    recorded: bool = False
    cost: Cost | None = None
    attempts: tuple[Attempt, ...] = ()

    @property
    def slurm_jobs(self) -> list[str]:
        """Those of its attempts."""
        return list(dict.fromkeys(one["slurm_job"] for one in self.attempts if one["slurm_job"]))


class _Record(TypedDict):
    """Of what Snakemake keeps for each file that a job made, that which is read."""

    rule: str
    shellcmd: str
    input: list[str]
    starttime: float
    endtime: float


def jobs(study: Study, folder: Path, files: Iterable[Path]) -> list[Job]:
    """The jobs behind a study's files, in the order in which they ended; last those of which nobody knows when.

    Args:
        study: whose jobs they are.
        folder: results/STUDY, in the folder in which Snakemake ran.
        files: below `folder`.

    Raises:
        UserError: a run's cost.json or claims.json is damaged.
    """
    home = folder.resolve().parents[1]
    results = study_folder(study)
    data = [f"{results.parent}/data/{name}/{file}" for name in study.datasets for file in _PREPARED]
    weights = [str(run_folder(results, run) / MODEL) for run in study.all_runs]
    recorded = _recorded(home, [*data, *weights, *(str(results / file) for file in files)])
    there = set(chain.from_iterable(job.outputs for job in recorded))
    found = [_trained(job, study, folder) if job.rule == TRAIN else job for job in recorded]
    for run in study.all_runs:
        found += (job for job in _of_run(study, run, folder) if there.isdisjoint(job.outputs))
    return sorted(found, key=lambda job: float("inf") if job.end is None else job.end)


_PREPARED = ("train.npy", "test.npy", "manifest.json")


def _recorded(home: Path, names: Iterable[str]) -> list[Job]:
    """Jobs on Snakemake's record: each made one or more of the files."""
    found: dict[tuple[str, str], Job] = {}
    for name in names:
        if (one := _record(home, name)) is None:
            continue
        key = one["rule"], one["shellcmd"]
        job = found.get(key) or Job(*key, one["input"], [], one["starttime"], one["endtime"], recorded=True)
        job.outputs.append(name)
        found[key] = job._replace(start=min(job.start, one["starttime"]), end=max(job.end, one["endtime"]))
    return list(found.values())


def _record(home: Path, name: str) -> _Record | None:
    """That of one file; None where there is none that can be read."""
    encoded, most = urlsafe_b64encode(name.encode()).decode(), os.pathconf(home, "PC_NAME_MAX") - 1
    *first, last = (encoded[i : i + most] for i in range(0, len(encoded), most))
    path = home.joinpath(_RECORDS, *(f"@{part}" for part in first), last)
    try:
        return TypeAdapter(_Record).validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def _of_run(study: Study, run: Run, folder: Path) -> Iterator[Job]:
    """A run's training and measurements, as far as its files tell."""
    results = run_folder(study_folder(study), run)
    weights = str(results / MODEL)
    if run in study.training:
        since = begun(run_folder(folder, run))
        training = Job(
            TRAIN,
            f"python -m diffenc train --run {run.path}",
            [f"{study_folder(study).parent}/data/{run.dataset}/train.npy"],
            [weights, *(str(results / name) for name in (CONFIG, HISTORY, COST))],
            since and since.timestamp(),
        )
        yield _trained(training, study, folder)
    for command in measurements(study, run):
        said = f"python -m diffenc {command} --model {results} {options_of(command, study, run.dataset)}"
        yield Job(command, said.rstrip(), [weights], [str(results / FILES[command])])


def _trained(job: Job, study: Study, folder: Path) -> Job:
    """A training, with what it took."""
    place = folder / Path(job.outputs[0]).parent.relative_to(study_folder(study))
    progress = read(place)
    if not progress:
        return job._replace(cost=read_cost(place / COST))
    end = progress["time"] if job.end is None and progress["state"] == "done" else job.end
    return job._replace(end=end, cost=read_cost(place / COST), attempts=tuple(progress["attempts"]))
