"""Data and weights: prepare, train, adopt, and what is known before and meanwhile: plan, status."""

import os
import time
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from diffenc.cli.execution import launched, shared
from diffenc.cli.options import (
    Parsers,
    above_zero,
    add_command,
    add_computing,
    add_processes,
    add_study,
    add_study_first,
    check_data,
    make_ready,
    minutes_given,
    positive,
)
from diffenc.io.errors import UserError
from diffenc.results import claims
from diffenc.runtime import slurm
from diffenc.runtime.signals import Ended, Stopped
from diffenc.study.load import load_study
from diffenc.study.stages import HISTORY, MODEL

if TYPE_CHECKING:
    from diffenc.runtime.processes import Processes


def prepare(options: Namespace) -> None:
    """Original files -> arrays."""
    from diffenc import data

    own = load_study(options.study).own_data if options.study else {}
    if options.dataset in own:
        data.prepare_own(options.dataset, own[options.dataset], options.out)
    else:
        data.prepare(options.dataset, options.out, options.files)


@shared
def train(options: Namespace, processes: "Processes") -> None:
    """One run, from its last checkpoint if it has one."""
    study = load_study(options.study)
    run = study.run(options.run)
    if run not in study.training:
        raise UserError(f"--run {run.path}: {options.study} gives its weights; use `diffenc adopt`")
    training = study.training[run]
    check_data(options, run.dataset)
    _check_batch(training.batch, max(options.processes, processes.size))
    if _trained_by_others(options):
        return
    from diffenc.training.trainer import Trainer

    out, where = options.out, (processes.device, processes)
    how = {"tensorboard": study.tensorboard, "base": study.base_shape(run.model)}
    trainer = Trainer(run, training, study.name, options.data, out, *where, **how)
    make_ready(out)
    minutes = study.checkpoints.minutes if options.checkpoint_minutes is None else options.checkpoint_minutes
    again = options.again or _is_forced(options)
    if processes.first and (again or not ((out / HISTORY).exists() or trainer.checkpoints.paths())):
        claims.stamp(study, run, out)  # before its first step, whatever comes of it
    try:
        trainer.run(options.checkpoint_steps or study.checkpoints.steps, 60 * minutes, again)
    except Stopped as stopped:
        if processes.first:
            slurm.requeue_if_it_was_not_cancelled(stopped.asked_by)
        raise


def _is_forced(options: Namespace) -> bool:
    """Whether $DIFFENC_AGAIN, a time and names of runs, has this run, and it was not trained since."""
    from diffenc.training import artifacts

    since, *runs = os.environ.get("DIFFENC_AGAIN", "0").split()
    return options.run in runs and not artifacts.kept_since(options.out, float(since))


def _check_batch(batch: int, processes: int) -> None:
    if batch % processes:
        raise UserError(
            f"--processes {processes}: the run's training.batch of {batch} cannot be shared equally by them;"
            " ask for a number that divides it"
        )


def _trained_by_others(options: Namespace) -> bool:
    if options.processes > 1:
        make_ready(options.out)
    start = time.time()
    try:
        return launched(options)
    except Ended as ended:
        # a signal that came while the last files were written: without this, Snakemake would delete them
        if ended.status > 128 and _is_done(options.out, start):
            return True
        raise


def _is_done(folder: Path, since: float) -> bool:
    from diffenc.results.progress import read

    found = read(folder)
    return bool(found) and found["state"] == "done" and found["time"] > since and (folder / MODEL).exists()


def status(options: Namespace) -> None:
    """How far a study's runs are."""
    from diffenc.reporting.status import table

    print(table(load_study(options.study)))


def adopt(options: Namespace) -> None:
    """Weights that were trained elsewhere -> a run's weights and configuration."""
    from diffenc.training.import_weights import adopt

    study = load_study(options.study)
    run = study.run(options.run)
    if run not in study.weights:
        raise UserError(f"--run {run.path}: is trained, {options.study} names no weights for it; use `diffenc train`")
    check_data(options, run.dataset)
    make_ready(options.out)
    adopt(run, study.weights[run], study.name, options.data, options.out)


def plan(options: Namespace) -> None:
    """What a study would cost."""
    from diffenc.reporting.plan import plan

    print(plan(load_study(options.study), options.tflops, options.measured))


def add_commands(parsers: Parsers) -> None:
    """Add this module's commands to the command line."""
    for add in (_plan, _prepare, _train, _adopt, _status):
        add(parsers)


def _prepare(parsers: Parsers) -> None:
    one = add_command(
        parsers, "prepare", prepare, "Turn a data set's original files into uint8 arrays and a manifest."
    )
    one.add_argument("dataset", help="one of the known ones, or of the study's own")
    add_study(one, required=False)
    one.add_argument("--files", type=Path, default=Path("data"), help="folder of the original files (default: data)")
    one.add_argument("--out", type=Path, required=True, help="folder for train.npy, test.npy, manifest.json")


def _train(parsers: Parsers) -> None:
    one = add_command(
        parsers, "train", train, "Train one run of a study; run it again to go on after an interruption."
    )
    add_study(one)
    one.add_argument("--run", required=True, help="such as digits/VDMv-2/fixed/seed1")
    add_computing(one)
    add_processes(one)
    one.add_argument("--out", type=Path, required=True, help="the run's folder")
    one.add_argument("--checkpoint-minutes", type=minutes_given, help="(default: the study's)")
    one.add_argument("--checkpoint-steps", type=positive, help="also at every multiple (default: the study's)")
    one.add_argument(
        "--again", action="store_true", help="train a finished run anew (default: if $DIFFENC_AGAIN names it)"
    )


def _adopt(parsers: Parsers) -> None:
    one = add_command(parsers, "adopt", adopt, "Take a run's weights from where the study says.")
    add_study(one)
    one.add_argument("--run", required=True, help="such as cifar10/VDMv-32/fixed/seed1")
    one.add_argument("--data", type=Path, required=True, help="the data set's prepared folder")
    one.add_argument("--out", type=Path, required=True, help="the run's folder")


def _status(parsers: Parsers) -> None:
    one = add_command(parsers, "status", status, "Show how far each run of a study is, wherever it trains.")
    add_study_first(one)


def _plan(parsers: Parsers) -> None:
    one = add_command(parsers, "plan", plan, "Show what a study would cost, before anything is submitted.")
    add_study_first(one)
    rate = one.add_mutually_exclusive_group()
    rate.add_argument("--tflops", type=above_zero, help="TFLOP/s that a device sustains")
    rate.add_argument("--measured", type=Path, help="the runs.csv of a study that was trained on such a device")
