"""Train and measure a study's runs without Snakemake: where a machine is lent for minutes, or in several sittings.

    python benchmarks/train_study.py config/mini.yaml --out results/mini-h100 --minutes 9

It runs the commands that the workflow's rules run. Weights, checkpoints and logs stay in a working folder; the small
files of every finished run go to --out, from which Snakemake makes tables, figures and the page anywhere. The study
takes that folder's name. Before the minutes are over it stops, a training with a checkpoint; the same command goes
on, on another machine with the runs that --out lacks. Ends with status 0 if all is done, 75 if it is to be called
again, 1 if a command failed.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from diffenc.io.arrays import save_arrays
from diffenc.io.errors import UserError
from diffenc.io.files import sha256_of, write_file
from diffenc.reporting.html.provenance import recorded
from diffenc.reporting.targets import measurements, options_of
from diffenc.results.progress import read
from diffenc.study.load import load_study
from diffenc.study.stages import CHECKSUMS, CLAIMS, CONFIG, COST, FILES, HISTORY, MODEL, PER_IMAGE, STUDY, TRAINED
from diffenc.study.study import Run, Study, run_folder

CALL_AGAIN = 75  # EX_TEMPFAIL
# a training that was asked to stop may take so long, for its step and its checkpoint
GRACE_S = 30.0
MANIFEST = "manifest.json"
OF_THE_TRAINING = (CONFIG, HISTORY, COST, CLAIMS)


class OutOfTime(Exception):
    """The time is over, or a signal asked to stop."""


class Failed(Exception):
    """A command failed; the reason is in its log."""


class Commands:
    """Runs commands of diffenc until the time is over or a signal asks to stop."""

    def __init__(self, minutes: float | None) -> None:
        seconds = 60 * minutes if minutes else float("inf")
        self.grace = min(GRACE_S, seconds / 4)
        self.end = time.monotonic() + seconds - self.grace
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            signal.signal(number, self.stop)

    def stop(self, *_: object) -> None:
        """As if the time were over."""
        self.end = 0.0

    def run(self, log: Path, *arguments: str | Path) -> None:
        """Run one, its output added to `log`. Raises OutOfTime or Failed."""
        if time.monotonic() > self.end:
            raise OutOfTime
        log.parent.mkdir(parents=True, exist_ok=True)
        start = time.monotonic()
        with log.open("ab") as said:
            # a session of its own: Ctrl-C reaches this process, which asks the command to stop
            process = subprocess.Popen(
                [sys.executable, "-m", "diffenc", *map(str, arguments)],
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        while process.poll() is None and time.monotonic() < self.end:
            time.sleep(0.1)
        stopped = process.poll() is None and self._ask_to_stop(process)
        took = f"{'stopped after ' if stopped else ''}{time.monotonic() - start:.0f} s"
        print(f"{log.parent}: {log.stem} {took}", flush=True)
        if stopped:
            raise OutOfTime
        if process.returncode:
            raise Failed(f"{log} ends with: {(log.read_text().splitlines() or ['nothing'])[-1]}")

    def _ask_to_stop(self, process: subprocess.Popen) -> bool:
        """Whether it ended before it was done: a training with its checkpoint, anything else with nothing."""
        process.terminate()
        try:
            return process.wait(self.grace) != 0
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return True


class Folders(NamedTuple):
    """Where a study is trained, and where its small files go."""

    work: Path
    out: Path

    def data(self, dataset: str) -> Path:
        """The prepared data set."""
        return self.work / "data" / dataset


def begin(source: Path, folders: Folders) -> Study:
    """The study under the name of its results' folder; its file goes to both folders. Raises UserError."""
    text = re.sub(r"(?m)^name:.*$", f"name: {folders.out.name}", source.read_text(), count=1)
    given = folders.work / f"given-{STUDY}"
    write_file(given, text)
    study = load_study(given)
    if study.name != folders.out.name:
        raise UserError(f"{source}: has no line `name: ...` of its own; write one")
    if study.fid or study.weights:
        raise UserError(f"{source}: has FID, or weights from elsewhere, which are Snakemake's work; take them out")
    for folder in folders:
        if (folder / STUDY).exists() and load_study(folder / STUDY) != study:
            raise UserError(f"{folder / STUDY}: is not {source} as it is now; delete {folder}, or name another one")
    given.replace(folders.work / STUDY)
    write_file(folders.out / STUDY, text)
    return study


def prepare(study: Study, folders: Folders, files: str, commands: Commands) -> None:
    """The data sets that are not there yet. Raises OutOfTime or Failed."""
    for dataset in study.datasets:
        data = folders.data(dataset)
        if not (data / MANIFEST).exists():
            where = ["--study", folders.work / STUDY, "--files", files, "--out", data]
            commands.run(data / "prepare.log", "prepare", dataset, *where)


def make(study: Study, run: Run, folders: Folders, commands: Commands, threads: int) -> None:
    """All of a run that is not there yet. Raises OutOfTime or Failed."""
    folder = run_folder(folders.work, run)
    where = ["--data", folders.data(run.dataset), "--threads", threads]
    if not all((folder / name).exists() for name in TRAINED):
        of_study = ["--study", folders.work / STUDY, "--run", run.path]
        commands.run(folder / "train.log", "train", *of_study, *where, "--out", folder)
    own = study.own_data.get(run.dataset)
    for command in measurements(study, run):
        out = folder / FILES[command]
        noise = ["--noise", own.noise] if command == "evaluate" and own and own.noise else []
        if not out.exists():
            how = [*options_of(command, study, run.dataset).split(), *noise]
            commands.run(folder / f"{command}.log", command, "--model", folder, *where, *how, "--out", out)


def measured(study: Study, run: Run) -> list[str]:
    """What is measured of a run, as files."""
    return [FILES[command] for command in measurements(study, run)]


def gather(study: Study, folders: Folders) -> list[Run]:
    """The small files of finished runs, their weights' checksums, what data they were trained on; and those runs.

    Runs that --out has from another sitting stay what they are.
    """
    sums, there = recorded(folders.out / CHECKSUMS), []
    for run in study.all_runs:
        source, target = (run_folder(folder, run) for folder in folders)
        weights, small = str(target.relative_to(folders.out) / MODEL), (*OF_THE_TRAINING, *measured(study, run))
        if weights in sums and all((target / name).exists() for name in small):
            there.append(run)
            continue
        if not all((source / name).exists() for name in (*TRAINED, *small)):
            continue
        there.append(run)
        target.mkdir(parents=True, exist_ok=True)
        for name in small:
            shutil.copy(source / name, target / name)
        save_arrays(target / PER_IMAGE, over_passes(source / PER_IMAGE))
        sums[weights] = sha256_of(source / MODEL)
        manifest = folders.out / "data" / run.dataset / MANIFEST
        manifest.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folders.data(run.dataset) / MANIFEST, manifest)
        write_file(folders.out / CHECKSUMS, "".join(f"{sha256}  {name}\n" for name, sha256 in sums.items()))
    return there


def over_passes(file: Path) -> dict[str, np.ndarray]:
    """An evaluation's terms of each image, in one pass, the mean of all: passes times smaller."""
    with np.load(file) as arrays:
        return {
            name: values.mean(axis=0, dtype=np.float64, keepdims=True).astype(values.dtype) if values.ndim else values
            for name, values in arrays.items()
        }


def how_far(study: Study, folders: Folders) -> str:
    """The runs that were begun and not finished."""
    found = {run.path: read(run_folder(folders.work, run)) for run in study.all_runs}
    begun = [
        f"{path} after step {said['step']:,} of {said['steps']:,}"
        for path, said in found.items()
        if said and said["state"] != "done"
    ]
    return f"; {', '.join(begun)}" if begun else ""


def work(study: Study, folders: Folders, commands: Commands, options: argparse.Namespace) -> tuple[int, str]:
    """Make all runs, so many at a time, seed by seed: what is there can be compared. Returns status and a reason."""
    threads = options.threads or max(1, len(os.sched_getaffinity(0)) // options.jobs)
    there = gather(study, folders)
    left = sorted((run for run in study.all_runs if run not in there), key=lambda run: run.seed)

    def one(run: Run) -> None:
        try:
            make(study, run, folders, commands, threads)
        except Failed:
            commands.stop()
            raise

    status, said = 0, ""
    try:
        if left:
            prepare(study, folders, options.files or study.files, commands)
        with ThreadPoolExecutor(options.jobs) as pool:
            ended = [pool.submit(one, run) for run in left]
        for end in sorted(ended, key=lambda end: not isinstance(end.exception(), Failed)):
            end.result()
    except OutOfTime:
        status, said = CALL_AGAIN, f"{how_far(study, folders)}; call again to go on"
    except Failed as failed:
        status, said = 1, f"; {failed}"
    return status, said


def main() -> int:
    """Train, measure, gather."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", type=Path, help="the study's YAML file")
    parser.add_argument("--out", type=Path, required=True, help="folder of small files, such as results/mini-h100")
    parser.add_argument("--work", type=Path, help="folder of all files (default: .cache/ and the name of --out)")
    parser.add_argument("--minutes", type=float, help="stop before so many are over (default: go on to the end)")
    parser.add_argument("--files", help="folder of the data sets' original files (default: the study's)")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time (default: 1)")
    parser.add_argument("--threads", type=int, help="CPU threads of each (default: all that there are, shared out)")
    options = parser.parse_args()
    if options.jobs < 1:
        parser.exit(2, f"train_study: error: --jobs: {options.jobs} is less than one run at a time\n")
    commands = Commands(options.minutes)
    out = options.out.resolve()
    folders = Folders((options.work or Path(".cache") / out.name).resolve(), out)
    try:
        study = begin(options.study, folders)
    except (UserError, OSError) as error:
        parser.exit(2, f"train_study: error: {error}\n")
    status, said = work(study, folders, commands, options)
    print(f"{len(gather(study, folders))} of {len(study.all_runs)} runs done{said}")
    return status


if __name__ == "__main__":
    sys.exit(main())
