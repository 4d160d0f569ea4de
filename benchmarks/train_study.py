"""Train and measure a study's runs, one after another, where there is no Snakemake or a machine is lent for minutes.

    python benchmarks/train_study.py config/mini.yaml --out results/mini-h100 --minutes 9

It runs the commands that the workflow's rules run. Weights, checkpoints and logs stay in a working folder; the small
files of every finished run go to --out, from which Snakemake makes tables, figures and the page anywhere. The study
takes that folder's name. Before the minutes are over it stops, a training with a checkpoint; the same command goes
on. Ends with status 0 if all is done, 75 if it is to be called again, 1 if a command failed.
"""

import argparse
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from diffenc.io.errors import UserError
from diffenc.io.files import sha256_of, write_file
from diffenc.reporting.targets import measurements, options_of
from diffenc.results.progress import read
from diffenc.study.load import load_study
from diffenc.study.stages import CHECKSUMS, CONFIG, COST, FILES, HISTORY, MODEL, PER_IMAGE, STUDY, TRAINED
from diffenc.study.study import Run, Study, run_folder

CALL_AGAIN = 75  # EX_TEMPFAIL
# a training that was asked to stop may take so long, for its step and its checkpoint
GRACE_S = 30.0
MANIFEST = "manifest.json"
SMALL = (CONFIG, HISTORY, COST, PER_IMAGE, *FILES.values())


class OutOfTime(Exception):
    """The time is over, or a signal asked to stop."""


class Failed(Exception):
    """A command failed; the reason is in its log."""


class Commands:
    """Runs commands of diffenc, one after another, until the time is over or a signal asks to stop."""

    def __init__(self, minutes: float | None) -> None:
        seconds = 60 * minutes if minutes else float("inf")
        self.grace = min(GRACE_S, seconds / 4)
        self.end = time.monotonic() + seconds - self.grace
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            signal.signal(number, self._stop)

    def _stop(self, *_: object) -> None:
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
        print(f"  {log.stem}: {'stopped after ' if stopped else ''}{time.monotonic() - start:.0f} s", flush=True)
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
    given, begun = folders.work / f"given-{STUDY}", folders.work / STUDY
    write_file(given, text)
    study = load_study(given)
    if study.name != folders.out.name:
        raise UserError(f"{source}: has no line `name: ...` of its own; write one")
    if study.fid or study.weights:
        raise UserError(f"{source}: has FID, or weights from elsewhere, which are Snakemake's work; take them out")
    if begun.exists() and load_study(begun) != study:
        raise UserError(f"{begun}: was begun and is not {source} as it is now; delete {folders.work}, or give --work")
    given.replace(begun)
    write_file(folders.out / STUDY, text)
    return study


def make(study: Study, run: Run, folders: Folders, files: str, commands: Commands, threads: list[str]) -> None:
    """All of a run that is not there yet. Raises OutOfTime or Failed."""
    folder, data = run_folder(folders.work, run), folders.data(run.dataset)
    of_study = ["--study", folders.work / STUDY]
    if not (data / MANIFEST).exists():
        commands.run(data / "prepare.log", "prepare", run.dataset, *of_study, "--files", files, "--out", data)
    where = ["--data", data, *threads]
    if not all((folder / name).exists() for name in TRAINED):
        commands.run(folder / "train.log", "train", *of_study, "--run", run.path, *where, "--out", folder)
    own = study.own_data.get(run.dataset)
    for command in measurements(study, run):
        out = folder / FILES[command]
        noise = ["--noise", own.noise] if command == "evaluate" and own and own.noise else []
        if not out.exists():
            how = [*options_of(command, study, run.dataset).split(), *noise]
            commands.run(folder / f"{command}.log", command, "--model", folder, *where, *how, "--out", out)


def finished(study: Study, folders: Folders) -> list[Run]:
    """The runs of which everything is there."""
    return [
        run
        for run in study.all_runs
        for names in [[*TRAINED, *(FILES[command] for command in measurements(study, run))]]
        if all((run_folder(folders.work, run) / name).exists() for name in names)
    ]


def gather(study: Study, runs: list[Run], folders: Folders) -> None:
    """The runs' small files, their weights' checksums, and what data they were trained on."""
    sums = []
    for run in runs:
        source, target = (run_folder(folder, run) for folder in folders)
        target.mkdir(parents=True, exist_ok=True)
        for name in SMALL:
            if (source / name).exists():
                shutil.copy(source / name, target / name)
        sums.append(f"{sha256_of(source / MODEL)}  {target.relative_to(folders.out) / MODEL}\n")
        manifest = folders.out / "data" / run.dataset / MANIFEST
        manifest.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folders.data(run.dataset) / MANIFEST, manifest)
    if sums:
        write_file(folders.out / CHECKSUMS, "".join(sums))


def how_far(study: Study, folders: Folders) -> str:
    """The runs that were begun and not finished."""
    found = {run.path: read(run_folder(folders.work, run)) for run in study.all_runs}
    begun = [
        f"{path} after step {said['step']:,} of {said['steps']:,}"
        for path, said in found.items()
        if said and said["state"] != "done"
    ]
    return f"; {', '.join(begun)}" if begun else ""


def main() -> int:
    """Train, measure, gather."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", type=Path, help="the study's YAML file")
    parser.add_argument("--out", type=Path, required=True, help="folder of small files, such as results/mini-h100")
    parser.add_argument("--work", type=Path, help="folder of all files (default: .cache/ and the name of --out)")
    parser.add_argument("--minutes", type=float, help="stop before so many are over (default: go on to the end)")
    parser.add_argument("--files", help="folder of the data sets' original files (default: the study's)")
    parser.add_argument("--threads", help="CPU threads (default: all that there are)")
    options = parser.parse_args()
    commands = Commands(options.minutes)
    out = options.out.resolve()
    folders = Folders((options.work or Path(".cache") / out.name).resolve(), out)
    try:
        study = begin(options.study, folders)
    except (UserError, OSError) as error:
        parser.exit(2, f"train_study: error: {error}\n")
    status, said = 0, ""
    try:
        for run in study.all_runs:
            print(run.path, flush=True)
            threads = ["--threads", options.threads] if options.threads else []
            make(study, run, folders, options.files or study.files, commands, threads)
    except OutOfTime:
        status, said = CALL_AGAIN, f"{how_far(study, folders)}; call again to go on"
    except Failed as failed:
        status, said = 1, f"; {failed}"
    runs = finished(study, folders)
    gather(study, runs, folders)
    print(f"{len(runs)} of {len(study.all_runs)} runs done{said}")
    return status


if __name__ == "__main__":
    sys.exit(main())
