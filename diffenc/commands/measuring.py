"""What is measured, drawn and computed from one model: evaluate, sample, encode, inspect, depth, fid."""

import json
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffenc import results
from diffenc.authors import read_config
from diffenc.commands.common import check_data, checked, make_ready
from diffenc.computing import device, launched, shared
from diffenc.errors import UserError
from diffenc.files import write_file
from diffenc.settings import Depth, Evaluation, FidOfRun, Inspection, Samples

if TYPE_CHECKING:
    from diffenc.diffusion import Diffusion
    from diffenc.processes import Processes


@shared
def evaluate(options: Namespace, processes: "Processes") -> None:
    """A model's terms on the test set: a summary, and every image's terms beside it."""
    from diffenc import data
    from diffenc.arrays import save_arrays
    from diffenc.assembly import parameters
    from diffenc.evaluate import evaluate, given_noise, summarise

    settings = checked(
        Evaluation, passes=options.passes, seed=options.seed, images=options.images, protocol=options.protocol
    )
    if bool(options.noise) != (settings.protocol == "given") or (options.noise and settings.passes > 1):
        raise UserError("--noise: goes with --protocol given and --passes 1; give all of them, or none")
    per_image = options.out.with_suffix(".npz")
    if per_image == options.out:
        raise UserError(f"--out: {options.out} is where the per-image terms go; name a .json")
    model, identity = _load(options)
    images = data.load(options.data, "test")
    count, batch = settings.images or len(images), options.batch
    if count > len(images):
        raise UserError(f"--images: {count} asked for, {options.data} has {len(images)}; ask for fewer")
    if settings.protocol == "authors" and count < (batch := data.facts(options.data).batch):
        raise UserError(
            f"--protocol authors: drops the last partial batch of {batch}, and leaves none of {count} images;"
            " take more, or --protocol full"
        )
    make_ready(options.out.parent)
    if launched(options):
        return
    given = given_noise(options.noise, count, images.shape[1:]) if options.noise else None
    terms = evaluate(model, images, settings, batch, processes.device, processes, given)
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
    save_arrays(per_image, terms)
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
    from diffenc.arrays import save_arrays
    from diffenc.sample import draw_samples

    chosen = {name: getattr(options, name) for name in Samples.model_fields}
    settings = checked(Samples, **chosen)
    model, _ = _load(options)
    shape = tuple(data.manifest(options.data)["shape"])
    if settings.count < (count := max(options.processes, processes.size)):
        raise UserError(f"--processes {count}: are more than the --count of {settings.count} samples; ask for fewer")
    make_ready(options.out.parent)
    if launched(options):
        return
    samples = draw_samples(model, shape, settings, processes.device, processes, first=options.first)
    if samples is not None:
        save_arrays(options.out, {"samples": samples, "levels": model.levels})


def encode(options: Namespace) -> None:
    """Encodings of test images over time."""
    from diffenc import data
    from diffenc.arrays import save_arrays
    from diffenc.sample import encodings

    model, _ = _load(options)
    images = data.load(options.data, "test")
    make_ready(options.out.parent)
    save_arrays(options.out, encodings(model, images, device(options)))


def inspect(options: Namespace) -> None:
    """What the encoder does over time, and what the counterterm leaves of it."""
    from diffenc import data
    from diffenc.arrays import save_arrays
    from diffenc.inspection import inspect

    settings = checked(Inspection, images=options.images, seed=options.seed)
    model, _ = _load(options)
    images = data.load(options.data, "test")
    make_ready(options.out.parent)
    save_arrays(options.out, inspect(model, images, settings, options.batch, device(options)))


def depth(options: Namespace) -> None:
    """Bounds of finite depth, with each variance ratio."""
    from diffenc import data
    from diffenc.depth import finite_depth

    chosen = {name: getattr(options, name) for name in Depth.model_fields}
    settings = checked(Depth, **chosen)
    model, _ = _load(options)
    images = data.load(options.data, "test")
    make_ready(options.out.parent)
    found = finite_depth(model, images, settings, options.batch, device(options))
    write_file(options.out, json.dumps(found, indent=1) + "\n")


def inception(options: Namespace) -> None:
    """Inception's weights, for jobs that have no network."""
    from diffenc.fid import download

    download(options.out)


def fid(options: Namespace) -> None:
    """Samples -> their distance to the data set's images, as Inception sees both."""
    import numpy as np

    from diffenc import data
    from diffenc.arrays import read_arrays
    from diffenc.fid import fid, load_extractor

    checked(FidOfRun, counts=options.counts, references=options.references, images=options.images)
    facts, parts = data.facts(options.data), []
    for file in options.samples:
        part = read_arrays(file, {"samples": "NCHW", "levels": ""})
        if (part["samples"].shape[1:], part["levels"]) != (facts.shape, facts.levels):
            raise UserError(
                f"{file}: are no samples of a model of {facts.title}; name the --data that it was trained on"
            )
        parts.append(part["samples"])
    references = {split: data.load(options.data, split)[: options.images] for split in options.references}
    make_ready(options.out.parent)
    extractor = load_extractor(options.weights, device(options))
    found = fid(np.concatenate(parts), references, options.counts, extractor, facts.levels, options.data)
    write_file(options.out, json.dumps(found, indent=1) + "\n")


def _load(options: Namespace) -> tuple["Diffusion", dict[str, Any]]:
    """The model of a trained run or of the authors' release, and which run it is."""
    if options.model and options.config:
        raise UserError("--config: belongs to --official; a trained run has its own configuration")
    from diffenc import data

    dataset = data.manifest(options.data)["dataset"]
    model, identity = _load_run(options.model) if options.model else _load_official(options, dataset)
    check_data(options, identity["dataset"])
    return model, identity


def _load_run(folder: Path) -> tuple["Diffusion", dict[str, Any]]:
    from diffenc.weights import load_model

    model, config = load_model(folder)
    identity = {key: config[key] for key in ("study", *results.IDENTITY)}
    training = config.get("training", {})  # none if its weights were trained elsewhere
    return model, identity | {"steps": training.get("steps", config.get("steps")), "training": training}


def _load_official(options: Namespace, dataset: str) -> tuple["Diffusion", dict[str, Any]]:
    import torch

    from diffenc import data, official

    if not options.config:
        raise UserError(f"--official {options.official}: needs --config with the JSON configuration of that model")
    model = official.load_checkpoint(options.official, options.config, options.weights)
    model = model.to(memory_format=torch.channels_last)  # as trained ones are, for speed
    official.check_images(options.official, model, data.facts(options.data))
    identity = {
        "study": "official",
        "dataset": dataset,
        "model": options.config.stem,
        "schedule": read_config(options.config)[2],
        "seed": 0,
        "steps": int(official.read_msgpack(options.official).get("step", 0)),
    }
    return model, identity
