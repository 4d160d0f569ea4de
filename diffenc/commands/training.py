"""Data and weights: prepare, train, adopt, and what is known before and meanwhile: plan, status."""

import os
import time
from argparse import Namespace
from typing import TYPE_CHECKING

from diffenc import results, slurm
from diffenc.commands.common import check_data, make_ready
from diffenc.computing import launched, shared
from diffenc.errors import UserError
from diffenc.interruption import Ended, Stopped
from diffenc.study import load_study

if TYPE_CHECKING:
    from pathlib import Path

    from diffenc.processes import Processes


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
    from diffenc.train import Trainer

    out, where = options.out, (processes.device, processes)
    trainer = Trainer(run, training, study.name, options.data, out, *where, tensorboard=study.tensorboard)
    make_ready(out)
    minutes = study.checkpoints.minutes if options.checkpoint_minutes is None else options.checkpoint_minutes
    again = options.again or _is_forced(options)
    try:
        trainer.run(options.checkpoint_steps or study.checkpoints.steps, 60 * minutes, again)
    except Stopped as stopped:
        if processes.first:
            slurm.requeue_if_it_was_not_cancelled(stopped.asked_by)
        raise


def _is_forced(options: Namespace) -> bool:
    """Whether $DIFFENC_AGAIN, a time and names of runs, has this run, and it was not trained since."""
    from diffenc import finished

    since, *runs = os.environ.get("DIFFENC_AGAIN", "0").split()
    return options.run in runs and not finished.kept_since(options.out, float(since))


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


def _is_done(folder: "Path", since: float) -> bool:
    from diffenc import progress

    found = progress.read(folder)
    return bool(found) and found["state"] == "done" and found["time"] > since and (folder / results.MODEL).exists()


def status(options: Namespace) -> None:
    """How far a study's runs are."""
    from diffenc import progress

    print(progress.table(load_study(options.study)))


def adopt(options: Namespace) -> None:
    """Weights that were trained elsewhere -> a run's weights and configuration."""
    from diffenc.adopt import adopt

    study = load_study(options.study)
    run = study.run(options.run)
    if run not in study.weights:
        raise UserError(f"--run {run.path}: is trained, {options.study} names no weights for it; use `diffenc train`")
    check_data(options, run.dataset)
    make_ready(options.out)
    adopt(run, study.weights[run], study.name, options.data, options.out)


def plan(options: Namespace) -> None:
    """What a study would cost."""
    from diffenc.plan import plan

    print(plan(load_study(options.study), options.tflops, options.measured))
