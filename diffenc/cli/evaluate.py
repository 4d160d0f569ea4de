"""What is measured, drawn and computed from one model: evaluate, sample, encode, inspect, depth, fid."""

from argparse import Namespace
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffenc.cli.execution import device, launched, shared
from diffenc.cli.options import (
    Parsers,
    add_batch,
    add_command,
    add_computing,
    add_model,
    add_processes,
    add_settings,
    check_data,
    checked,
    make_ready,
    positive,
)
from diffenc.io.errors import UserError
from diffenc.io.files import sha256_of
from diffenc.results.runs import IDENTITY
from diffenc.study.settings import Evaluation, FidOfRun, Samples
from diffenc.study.stages import MEASUREMENTS, MODEL
from diffenc.zoo.authors_config import read_config
from diffenc.zoo.configs import DEQUANTISED, UNIVARIATE

if TYPE_CHECKING:
    from diffenc.models.diffusion import Diffusion
    from diffenc.runtime.processes import Processes


@shared
def evaluate(options: Namespace, processes: "Processes") -> None:
    """A model's terms on the test set: a summary, and every image's terms beside it."""
    from diffenc import data
    from diffenc.evaluation.elbo import evaluate, summarise
    from diffenc.evaluation.noise import given_noise
    from diffenc.results.custody import save_json, save_npz
    from diffenc.zoo.build import parameters

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
    if options.noise and model.noises > 1:
        raise UserError(f"--noise: {options.model} has {model.noises} a dimension; evaluate it without")
    if count > len(images):
        raise UserError(f"--images: {count} asked for, {options.data} has {len(images)}; ask for fewer")
    if settings.protocol == "authors" and count < (batch := data.spec(options.data).batch):
        raise UserError(
            f"--protocol authors: drops the last partial batch of {batch}, and leaves none of {count} images;"
            " take more, or --protocol full"
        )
    make_ready(options.out.parent, options.out)
    if launched(options):
        return
    given = given_noise(options.noise, count, images.shape[1:]) if options.noise else None
    terms = evaluate(model, images, settings, batch, processes.device, processes, given)
    if terms is None:
        return
    gamma_0, gamma_1 = (gamma.item() for gamma in model.ends())
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
    sources = _sources(options, ["test"])
    save_npz(per_image, terms, sources)
    save_json(options.out, summary, sources)
    _say(summary)


def _say(summary: dict[str, Any]) -> None:
    for name, term in summary["bpd"].items():
        error = "" if term["mc_se"] is None else f" +- {term['mc_se']:.4f} (Monte Carlo)"
        print(f"{name:15s} {term['mean']:.4f}{error} bits per dimension")


@shared
def sample(options: Namespace, processes: "Processes") -> None:
    """Ancestral samples."""
    from diffenc import data
    from diffenc.evaluation.samples import draw_samples
    from diffenc.results.custody import save_npz

    chosen = {name: getattr(options, name) for name in Samples.model_fields}
    settings = checked(Samples, **chosen)
    model, _ = _load(options)
    if (settings.sampler and model.kind == UNIVARIATE) or (settings.fit and model.kind == DEQUANTISED):
        asked = "sampler" if settings.sampler else "fit"
        raise UserError(f"--{asked}: is not there for {model.kind} models such as {options.model}; take it out")
    shape = tuple(data.manifest(options.data)["shape"])
    if settings.count < (count := max(options.processes, processes.size)):
        raise UserError(f"--processes {count}: are more than the --count of {settings.count} samples; ask for fewer")
    make_ready(options.out.parent, options.out)
    if launched(options):
        return
    train = data.load(options.data, "train") if settings.fit else None
    samples = draw_samples(model, shape, settings, processes.device, processes, first=options.first, train=train)
    if samples is not None:
        sources = _sources(options, ["train"] if settings.fit else [])
        save_npz(options.out, {"samples": samples, "levels": model.levels}, sources)


def measure(name: str) -> Callable[[Namespace], None]:
    """The command of a measurement of one model on one device (`diffenc.study.stages.MEASUREMENTS`)."""
    one = MEASUREMENTS[name]

    def command(options: Namespace) -> None:
        from diffenc import data
        from diffenc.results.custody import save_json, save_npz

        chosen = {key: getattr(options, key) for key in one.settings.model_fields} if one.settings else {}
        settings = checked(one.settings, **chosen) if one.settings else None
        model, _ = _load(options)
        if model.kind not in one.of:
            raise UserError(f"--model {options.model}: {name} is not there for {model.kind} models; take another run")
        images = data.load(options.data, "test")
        make_ready(options.out.parent, options.out)
        module, _, function = one.made_by.partition(".")
        made = getattr(import_module(f"diffenc.evaluation.{module}"), function)
        batch = options.batch if one.settings else len(images)
        train = [data.load(options.data, "train")] if one.fits else []
        found = made(model, images, settings, batch, device(options), *train)
        sources = _sources(options, ["test", "train"] if one.fits else ["test"])
        save = save_npz if one.file.endswith(".npz") else save_json
        save(options.out, found, sources)

    return command


def inception(options: Namespace) -> None:
    """Inception's weights, for jobs that have no network."""
    from diffenc.evaluation.fid import download

    download(options.out)


def fid(options: Namespace) -> None:
    """Samples -> their distance to the data set's images, as Inception sees both."""
    import numpy as np

    from diffenc import data
    from diffenc.evaluation.fid import fid, load_extractor
    from diffenc.io.arrays import read_arrays
    from diffenc.results.custody import save_json

    checked(FidOfRun, counts=options.counts, references=options.references, images=options.images)
    spec, parts = data.spec(options.data), []
    for file in options.samples:
        part = read_arrays(file, {"samples": "NCHW", "levels": ""})
        if (part["samples"].shape[1:], part["levels"]) != (spec.shape, spec.levels):
            raise UserError(
                f"{file}: are no samples of a model of {spec.title}; name the --data that it was trained on"
            )
        parts.append(part["samples"])
    references = {split: data.load(options.data, split)[: options.images] for split in options.references}
    make_ready(options.out.parent, options.out)
    extractor = load_extractor(options.weights, device(options))
    found = fid(np.concatenate(parts), references, options.counts, extractor, spec.levels, options.data)
    sources = {str(file): sha256_of(file) for file in options.samples}
    sources |= {split: data.manifest(options.data)[split]["sha256"] for split in options.references}
    save_json(options.out, found, sources)


def _sources(options: Namespace, splits: list[str]) -> dict[str, str]:
    """The sha256 of the weights' file and of these splits."""
    from diffenc import data

    weights = options.model / MODEL if options.model else options.official
    manifest = data.manifest(options.data)
    return {"weights": sha256_of(weights), **{split: manifest[split]["sha256"] for split in splits}}


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
    from diffenc.training.artifacts import load_model

    model, config = load_model(folder)
    identity = {key: config[key] for key in ("study", *IDENTITY)}
    training = config.get("training", {})  # none if its weights were trained elsewhere
    return model, identity | {"steps": training.get("steps", config.get("steps")), "training": training}


def _load_official(options: Namespace, dataset: str) -> tuple["Diffusion", dict[str, Any]]:
    import torch

    from diffenc import data
    from diffenc.zoo import flax_checkpoint

    if not options.config:
        raise UserError(f"--official {options.official}: needs --config with the JSON configuration of that model")
    model = flax_checkpoint.load_checkpoint(options.official, options.config, options.weights)
    model = model.to(memory_format=torch.channels_last)  # as trained ones are, for speed
    flax_checkpoint.check_images(options.official, model, data.spec(options.data))
    identity = {
        "study": "official",
        "dataset": dataset,
        "model": options.config.stem,
        "schedule": read_config(options.config)[2],
        "seed": 0,
        "steps": int(flax_checkpoint.read_msgpack(options.official).get("step", 0)),
    }
    return model, identity


def add_commands(parsers: Parsers) -> None:
    """Add this module's commands to the command line."""
    _evaluate(parsers)
    _sample(parsers)
    for name in MEASUREMENTS:
        _measure(parsers, name)
    _inception(parsers)
    _fid(parsers)


def _evaluate(parsers: Parsers) -> None:
    one = add_command(parsers, "evaluate", evaluate, "Measure a model on the test set, in bits per dimension.")
    add_model(one)
    add_computing(one)
    add_processes(one)
    defaults = Evaluation()
    one.add_argument("--passes", type=int, default=defaults.passes)
    one.add_argument("--seed", type=int, default=defaults.seed)
    one.add_argument("--images", type=int, help="only the first of them (default: all)")
    one.add_argument("--protocol", choices=["full", "authors", "given"], default=defaults.protocol)
    add_batch(one)
    one.add_argument("--noise", type=Path, help="an .npz of t, eps_0, eps_t; with --protocol given --passes 1")
    one.add_argument("--out", type=Path, required=True, help="the .json; per-image terms go beside it, into an .npz")


def _sample(parsers: Parsers) -> None:
    one = add_command(parsers, "sample", sample, "Draw ancestral samples from a model.")
    add_model(one)
    add_computing(one)
    add_processes(one)
    defaults = Samples()
    one.add_argument("--count", type=int, default=defaults.count)
    one.add_argument("--steps", type=int, default=defaults.steps, help="T")
    one.add_argument("--seed", type=int, default=defaults.seed)
    one.add_argument("--precision", choices=["float32", "bf16"], default=defaults.precision)
    one.add_argument("--fit", type=positive, help="the best T steps instead of even ones, by so many training images")
    one.add_argument(
        "--sampler", choices=["euler_maruyama"], help="in place of ancestral steps (multivariate models)"
    )
    one.add_argument("--first", type=int, default=0, help="position of the first, for samples in parts (default: 0)")
    one.add_argument("--out", type=Path, required=True, help="the .npz")


def _measure(parsers: Parsers, name: str) -> None:
    stage = MEASUREMENTS[name]
    one = add_command(parsers, name, measure(name), stage.text)
    add_model(one)
    add_computing(one)
    if stage.settings:
        add_settings(one, stage.settings())
        add_batch(one)
    one.add_argument("--out", type=Path, required=True, help=f"the {Path(stage.file).suffix}")


def _inception(parsers: Parsers) -> None:
    one = add_command(parsers, "inception", inception, "Download the weights that FID needs.")
    one.add_argument("--out", type=Path, required=True, help="the .pth")


def _fid(parsers: Parsers) -> None:
    one = add_command(parsers, "fid", fid, "FID of samples against a data set's images.")
    one.add_argument("--samples", type=Path, nargs="+", required=True, help="what `sample` wrote, in order")
    add_computing(one)
    defaults = FidOfRun()
    one.add_argument("--counts", type=positive, nargs="+", default=defaults.counts, help="so many of the samples")
    one.add_argument("--references", nargs="+", choices=["train", "test"], default=defaults.references)
    one.add_argument("--images", type=positive, help="of each reference, only the first so many (default: all)")
    one.add_argument("--weights", type=Path, help="the Inception network's (default: downloaded)")
    one.add_argument("--out", type=Path, required=True, help="the .json")
