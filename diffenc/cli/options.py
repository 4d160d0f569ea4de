"""Options that several commands share, and checks of what the user gave before any work is done."""

import argparse
import os
import tempfile
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from diffenc.io.errors import UserError
from diffenc.io.files import refuse_other_than_a_file
from diffenc.io.schema import Strict, explain
from diffenc.study.load import load_study, study_file
from diffenc.study.stages import TRAINED
from diffenc.study.study import Study

Command = Callable[[Namespace], None]
Settings = TypeVar("Settings", bound=Strict)


def part(options: Namespace) -> Study:
    """The study, or its part on --dataset. Raises UserError if it has no such part."""
    study = load_study(options.study)
    if options.dataset is None:
        return study
    if options.dataset not in study.datasets:
        raise UserError(f"--dataset {options.dataset}: {options.study} has {', '.join(study.datasets)}; name one")
    return study.only(options.dataset)


def checked(kind: type[Settings], **values: Any) -> Settings:
    """A part of a study from options. Raises UserError naming the option."""
    try:
        return kind(**values)
    except ValidationError as error:
        raise UserError(f"--{explain(error)}")


def check_data(options: Namespace, dataset: str) -> None:
    """Raise UserError if --data holds another data set than the run's."""
    from diffenc import data

    found = data.manifest(options.data)["dataset"]
    if found != dataset:
        raise UserError(
            f"--data {options.data}: holds {found}, the run is on {dataset}; name the folder of {dataset}"
        )


def make_ready(folder: Path, file: Path | None = None) -> None:
    """Find out whether results can be written, into a folder or as a file in it, before the work, not after it."""
    if file:
        refuse_other_than_a_file(file)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise UserError(f"--out: {folder} cannot be written to ({error.strerror}); name another folder")


def spare_inputs(options: Namespace) -> None:
    """Raise UserError if --out, or what lies beside it of the same name, is a file that the command reads."""
    out = getattr(options, "out", None)
    if out is None:
        return
    if not out.is_dir():
        refuse_other_than_a_file(out)
    given = {name: value for name, value in vars(options).items() if name != "out" and isinstance(value, Path)}
    listed = [one for value in vars(options).values() if isinstance(value, list) for one in value]
    read = [*given.values(), *(one for one in listed if isinstance(one, Path))]
    read += [given[name] / file for name in ("model", "data") if name in given for file in _READ]
    named = out if out.name else out.resolve()  # "." has no name
    written = [out, *(named.with_name(named.name + ending) for ending in _ENDINGS), named.with_suffix(".npz")]
    for target in written:
        for source in read:
            if target.is_file() and source.is_file() and target.samefile(source):
                raise UserError(f"--out: {target} is {source}, which the command reads; name another file")


# in the folders of a trained run and of prepared data
_READ = (*TRAINED, "manifest.json", "train.npy", "test.npy")
_ENDINGS = (".svg", ".png", ".csv", ".json", ".md", ".html", ".tex")
A_STUDY = "the study's YAML file, or the name of one that comes with diffenc, such as demo"
Parsers = argparse._SubParsersAction


def positive(text: str) -> int:
    """A whole number above 0, of an option's text."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def above_zero(text: str) -> float:
    """A number above 0, of an option's text."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def minutes_given(text: str) -> float:
    """A number of minutes, of an option's text."""
    try:
        minutes = float(text)
    except ValueError:
        minutes = -1.0
    if not 0 <= minutes < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of minutes")
    return minutes


def add_command(parsers: Parsers, name: str, command: Command, text: str) -> argparse.ArgumentParser:
    """Add a command; `command` runs it."""
    one = parsers.add_parser(name, help=text, description=text)
    one.set_defaults(command=command)
    return one


def add_study(one: argparse.ArgumentParser, required: bool = True) -> None:
    """Add --study."""
    given = os.environ.get("DIFFENC_STUDY")
    text = f"{A_STUDY} (default: $DIFFENC_STUDY)"
    one.add_argument(
        "--study", type=study_file, metavar="STUDY", default=given, required=required and given is None, help=text
    )


def add_study_first(one: argparse.ArgumentParser) -> None:
    """Add STUDY, which needs no option's name."""
    one.add_argument("study", type=study_file, metavar="STUDY", help=A_STUDY)


def add_part(one: argparse.ArgumentParser) -> None:
    """Add --dataset."""
    one.add_argument("--dataset", help="only this part of the study")


def add_computing(one: argparse.ArgumentParser) -> None:
    """Add --data, and where to compute."""
    one.add_argument("--data", type=Path, required=True, help="the data set's prepared folder")
    add_device(one)


def add_device(one: argparse.ArgumentParser) -> None:
    """Add --device and --threads."""
    one.add_argument(
        "--device", choices=["auto", "cpu", "cuda"], default="auto", help="(default: a GPU if there is one)"
    )
    one.add_argument("--threads", type=positive, help="CPU threads of a process (default: all that there are)")


def add_processes(one: argparse.ArgumentParser) -> None:
    """Add --processes and --nodes."""
    one.add_argument(
        "--processes", type=positive, default=1, help="that share the work in all, each on its own GPU (default: 1)"
    )
    one.add_argument("--nodes", type=positive, default=1, help="of a SLURM job, to start them on (default: 1)")


def add_batch(one: argparse.ArgumentParser) -> None:
    """Add --batch."""
    one.add_argument("--batch", type=positive, default=250, help="images at a time; does not change the result")


def add_settings(one: argparse.ArgumentParser, defaults: Strict) -> None:
    """An option for each key of a part of a study, with what is said of it; several values where it is a list."""
    for name, value in defaults.model_dump().items():
        text = " ".join(type(defaults).model_fields[name].description.split())
        several = isinstance(value, list)
        kind = int if value is None else type(value[0] if several else value)
        one.add_argument(f"--{name}", type=kind, nargs="*" if several else None, default=value, help=text)


def add_model(one: argparse.ArgumentParser) -> None:
    """Add --model, or the options of a checkpoint of the authors'."""
    source = one.add_mutually_exclusive_group(required=True)
    source.add_argument("--model", type=Path, help="a trained run's folder")
    source.add_argument("--official", type=Path, help="a checkpoint of the authors' release")
    one.add_argument("--config", type=Path, help="the official checkpoint's JSON configuration")
    one.add_argument(
        "--weights", choices=["ema_params", "params"], default="ema_params", help="of the official checkpoint"
    )
