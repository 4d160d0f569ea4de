"""What each command does: options in, files out."""

import json
import os
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from diffenc import results, show, slurm
from diffenc.catalog import DATASETS
from diffenc.computing import device, launched, shared
from diffenc.errors import UserError
from diffenc.files import write_file
from diffenc.interruption import Ended, Stopped
from diffenc.study import Evaluation, Samples, Strict, Study, explain, load_study

if TYPE_CHECKING:
    from diffenc.diffusion import Diffusion
    from diffenc.processes import Processes

Command = Callable[[Namespace], None]
Settings = TypeVar("Settings", bound=Strict)


def prepare(options: Namespace) -> None:
    """Original files -> arrays."""
    from diffenc import data

    data.prepare(options.dataset, options.out, options.files)


@shared
def train(options: Namespace, processes: "Processes") -> None:
    """One run, from its last checkpoint if it has one."""
    study = load_study(options.study)
    run = study.run(options.run)
    training = study.training[run]
    _check_data(options, run.dataset)
    _check_batch(training.batch, max(options.processes, processes.size))
    if _trained_by_others(options):
        return
    from diffenc.train import Trainer

    out, where = options.out, (processes.device, processes)
    trainer = Trainer(run, training, study.name, options.data, out, *where, tensorboard=study.tensorboard)
    _make_ready(out)
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
        _make_ready(options.out)
    start = time.time()
    try:
        return launched(options)
    except Ended as ended:
        # a signal that came while the last files were written: without this, Snakemake would delete them
        if ended.status > 128 and _is_done(options.out, start):
            return True
        raise


def _is_done(folder: Path, since: float) -> bool:
    from diffenc import progress

    found = progress.read(folder)
    return bool(found) and found["state"] == "done" and found["time"] > since and (folder / results.MODEL).exists()


def status(options: Namespace) -> None:
    """How far a study's runs are."""
    from diffenc import progress

    print(progress.table(load_study(options.study)))


@shared
def evaluate(options: Namespace, processes: "Processes") -> None:
    """A model's terms on the test set: a summary, and every image's terms beside it."""
    from diffenc import data, sample
    from diffenc.assembly import parameters
    from diffenc.evaluate import evaluate, summarise

    settings = _settings(
        Evaluation, passes=options.passes, seed=options.seed, images=options.images, protocol=options.protocol
    )
    per_image = options.out.with_suffix(".npz")
    if per_image == options.out:
        raise UserError(f"--out: {options.out} is where the per-image terms go; name a .json")
    model, identity = _load(options)
    images = data.load(options.data, "test")
    count, batch = settings.images or len(images), options.batch
    if count > len(images):
        raise UserError(f"--images: {count} asked for, {options.data} has {len(images)}; ask for fewer")
    if settings.protocol == "authors" and count < (batch := DATASETS[identity["dataset"]].batch):
        raise UserError(
            f"--protocol authors: drops the last partial batch of {batch}, and leaves none of {count} images;"
            " take more, or --protocol full"
        )
    _make_ready(options.out.parent)
    if launched(options):
        return
    terms = evaluate(model, images, settings, batch, processes.device, processes)
    if terms is None:
        return
    gamma_0, gamma_1 = (gamma.item() for gamma in model.schedule.ends())
    summary = {
        **identity,
        "release": data.manifest(options.data)["release"],
        "protocol": settings.protocol,
        "evaluation_seed": settings.seed,
        "parameters": parameters(model),
        "gamma_0": gamma_0,
        "gamma_1": gamma_1,
        **summarise(terms),
    }
    sample.save_arrays(per_image, terms)
    write_file(options.out, json.dumps(summary, indent=1) + "\n")
    _say(summary)


def _say(summary: dict[str, Any]) -> None:
    for name, term in summary["bpd"].items():
        error = "" if term["mc_se"] is None else f" +- {term['mc_se']:.4f} (Monte Carlo)"
        print(f"{name:15s} {term['mean']:.4f}{error} bits per dimension")


@shared
def sample(options: Namespace, processes: "Processes") -> None:
    """Ancestral samples."""
    from diffenc import data
    from diffenc.sample import draw_samples, save_arrays

    settings = _settings(Samples, count=options.count, steps=options.steps, seed=options.seed)
    model, _ = _load(options)
    shape = tuple(data.manifest(options.data)["shape"])
    if settings.count < (count := max(options.processes, processes.size)):
        raise UserError(f"--processes {count}: are more than the --count of {settings.count} samples; ask for fewer")
    _make_ready(options.out.parent)
    if launched(options):
        return
    samples = draw_samples(model, shape, settings, processes.device, processes)
    if samples is not None:
        save_arrays(options.out, {"samples": samples, "levels": model.levels})


def encode(options: Namespace) -> None:
    """Encodings of test images over time."""
    from diffenc import data
    from diffenc.sample import encodings, save_arrays

    model, _ = _load(options)
    images = data.load(options.data, "test")
    _make_ready(options.out.parent)
    save_arrays(options.out, encodings(model, images, device(options)))


def collect(options: Namespace) -> None:
    """Evaluations -> runs.csv."""
    study = _part(options)
    results.write_csv(results.collect(study, results.study_folder(study)), options.out)


def compare(options: Namespace) -> None:
    """runs.csv -> tests.csv."""
    from diffenc import statistics

    results.write_csv(statistics.compare(_part(options), results.read_runs(options.runs)), options.out)


def table(options: Namespace) -> None:
    """runs.csv and tests.csv -> one table."""
    runs, tests = results.read_runs(options.runs), results.read_tests(options.tests)
    show.table(options.kind, _part(options), runs, tests, options.out)


def figure(options: Namespace) -> None:
    """A run's or a group's files -> one figure."""
    if options.encodings:
        if options.kind not in show.OF_A_RUN:
            raise UserError(f"--encodings: {options.kind} compares models; name them by --of and --study")
        show.figure_of_encodings(options.kind, options.encodings, options.out)
        return
    if not options.study:
        raise UserError("--of: names a part of a study; name its file by --study")
    study = load_study(options.study)
    show.figure(options.kind, options.of, study, results.study_folder(study), options.out)


def _part(options: Namespace) -> Study:
    study = load_study(options.study)
    if options.dataset is None:
        return study
    if options.dataset not in study.datasets:
        raise UserError(f"--dataset {options.dataset}: {options.study} has {', '.join(study.datasets)}; name one")
    return study.only(options.dataset)


def _settings(kind: type[Settings], **values: Any) -> Settings:
    try:
        return kind(**values)
    except ValidationError as error:
        raise UserError(f"--{explain(error)}")


def _check_data(options: Namespace, dataset: str) -> None:
    from diffenc import data

    found = data.manifest(options.data)["dataset"]
    if found != dataset:
        raise UserError(
            f"--data {options.data}: holds {found}, the run is on {dataset}; name the folder of {dataset}"
        )


def _make_ready(folder: Path) -> None:
    """Find out whether results can be written before the work, not after it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise UserError(f"--out: {folder} cannot be written to ({error.strerror}); name another folder")


def _load(options: Namespace) -> tuple["Diffusion", dict[str, Any]]:
    """The model of a trained run or of the authors' release, and which run it is."""
    if options.model and options.config:
        raise UserError("--config: belongs to --official; a trained run has its own configuration")
    from diffenc import data

    dataset = data.manifest(options.data)["dataset"]
    model, identity = _load_run(options.model) if options.model else _load_official(options, dataset)
    _check_data(options, identity["dataset"])
    return model, identity


def _load_run(folder: Path) -> tuple["Diffusion", dict[str, Any]]:
    from diffenc.weights import load_model

    model, config = load_model(folder)
    identity = {key: config[key] for key in ("study", *results.IDENTITY)}
    return model, identity | {"steps": config["training"]["steps"], "training": config["training"]}


def _load_official(options: Namespace, dataset: str) -> tuple["Diffusion", dict[str, Any]]:
    from diffenc import official

    if not options.config:
        raise UserError(f"--official {options.official}: needs --config with the JSON configuration of that model")
    model = official.load_checkpoint(options.official, options.config, options.weights)
    facts, channels = DATASETS[dataset], model.denoiser.conv_out.out_channels
    if (channels, model.levels) != (facts.channels, facts.levels):
        raise UserError(
            f"--data {options.data}: {facts.title} has {facts.channels} channel(s) and {facts.levels} levels,"
            f" {options.official} models {channels} and {model.levels}; name the data it was trained on"
        )
    identity = {
        "study": "official",
        "dataset": dataset,
        "model": options.config.stem,
        "schedule": official.read_config(options.config)[2],
        "seed": 0,
        "steps": int(official.read_msgpack(options.official).get("step", 0)),
    }
    return model, identity
