"""The command line: every Snakemake rule is one of these calls, so what the pipeline runs a person can run."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from diffenc.catalog import DATASETS
from diffenc.commands import benching, measuring, showing, training
from diffenc.commands.common import Command
from diffenc.errors import UserError
from diffenc.interruption import Ended
from diffenc.launch import is_worker
from diffenc.settings import Depth, Evaluation, FidOfRun, Inspection, Samples, Strict
from diffenc.show import OF_A_GROUP, OF_A_RUN
from diffenc.ways import WAYS

Parsers = argparse._SubParsersAction
PUBLISHED = Path("config/published.yaml")


class Parser(argparse.ArgumentParser):
    """One whose complaint is one line, as any other mistake's."""

    def error(self, message: str) -> NoReturn:
        """Print it and exit with status 2."""
        self.exit(2, f"diffenc: error: {message}; see `{self.prog} --help`\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; a user's mistake is one line on stderr and exit status 2."""
    options = parser().parse_args(arguments)
    # what each of several processes runs again
    options.arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        options.command(options)
    except UserError as error:
        _exit(2, f"error: {error}")
    except Ended as ended:
        _exit(ended.status, str(ended))
    except KeyboardInterrupt:
        _exit(130, "interrupted; run the same command again to go on")


def _exit(status: int, said: str) -> NoReturn:
    if said:
        print(f"diffenc: {said}", file=sys.stderr)
    if is_worker():  # taking its connections down would wait for processes that may be gone
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = Parser(prog="diffenc", description=__doc__.splitlines()[0])
    commands_ = top.add_subparsers(required=True, metavar="COMMAND")
    for add in (_plan, _prepare, _train, _adopt, _status):
        add(commands_)
    for add in (_evaluate, _sample, _encode, _inspect, _depth, _inception, _fid):
        add(commands_)
    _bench(commands_)
    for add in (_collect, _compare, _table, _figure, _page):
        add(commands_)
    return top


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _above_zero(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = -1.0
    if not 0 <= minutes < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of minutes")
    return minutes


def _add(parsers: Parsers, name: str, command: Command, text: str) -> argparse.ArgumentParser:
    one = parsers.add_parser(name, help=text, description=text)
    one.set_defaults(command=command)
    return one


def _prepare(parsers: Parsers) -> None:
    one = _add(
        parsers, "prepare", training.prepare, "Turn a data set's original files into uint8 arrays and a manifest."
    )
    one.add_argument("dataset", help="one of the known ones, or of the study's own")
    _study(one, required=False)
    one.add_argument("--files", type=Path, default=Path("data"), help="folder of the original files (default: data)")
    one.add_argument("--out", type=Path, required=True, help="folder for train.npy, test.npy, manifest.json")


def _train(parsers: Parsers) -> None:
    one = _add(
        parsers, "train", training.train, "Train one run of a study; run it again to go on after an interruption."
    )
    _study(one)
    one.add_argument("--run", required=True, help="such as digits/VDMv-2/fixed/seed1")
    _computing(one)
    _processes(one)
    one.add_argument("--out", type=Path, required=True, help="the run's folder")
    one.add_argument("--checkpoint-minutes", type=_minutes, help="(default: the study's)")
    one.add_argument("--checkpoint-steps", type=_positive, help="also at every multiple (default: the study's)")
    one.add_argument(
        "--again", action="store_true", help="train a finished run anew (default: if $DIFFENC_AGAIN names it)"
    )


def _adopt(parsers: Parsers) -> None:
    one = _add(parsers, "adopt", training.adopt, "Take a run's weights from where the study says.")
    _study(one)
    one.add_argument("--run", required=True, help="such as cifar10/VDMv-32/fixed/seed1")
    one.add_argument("--data", type=Path, required=True, help="the data set's prepared folder")
    one.add_argument("--out", type=Path, required=True, help="the run's folder")


def _status(parsers: Parsers) -> None:
    one = _add(parsers, "status", training.status, "Show how far each run of a study is, wherever it trains.")
    one.add_argument("study", type=Path, help="the study's YAML file")


def _evaluate(parsers: Parsers) -> None:
    one = _add(parsers, "evaluate", measuring.evaluate, "Measure a model on the test set, in bits per dimension.")
    _model(one)
    _computing(one)
    _processes(one)
    defaults = Evaluation()
    one.add_argument("--passes", type=int, default=defaults.passes)
    one.add_argument("--seed", type=int, default=defaults.seed)
    one.add_argument("--images", type=int, help="only the first of them (default: all)")
    one.add_argument("--protocol", choices=["full", "authors", "given"], default=defaults.protocol)
    _batch(one)
    one.add_argument("--noise", type=Path, help="an .npz of t, eps_0, eps_t; with --protocol given --passes 1")
    one.add_argument("--out", type=Path, required=True, help="the .json; per-image terms go beside it, into an .npz")


def _sample(parsers: Parsers) -> None:
    one = _add(parsers, "sample", measuring.sample, "Draw ancestral samples from a model.")
    _model(one)
    _computing(one)
    _processes(one)
    defaults = Samples()
    one.add_argument("--count", type=int, default=defaults.count)
    one.add_argument("--steps", type=int, default=defaults.steps, help="T")
    one.add_argument("--seed", type=int, default=defaults.seed)
    one.add_argument("--precision", choices=["float32", "bf16"], default=defaults.precision)
    one.add_argument("--first", type=int, default=0, help="position of the first, for samples in parts (default: 0)")
    one.add_argument("--out", type=Path, required=True, help="the .npz")


def _encode(parsers: Parsers) -> None:
    one = _add(parsers, "encode", measuring.encode, "Encode test images at the times that the figures show.")
    _model(one)
    _computing(one)
    one.add_argument("--out", type=Path, required=True, help="the .npz")


def _inspect(parsers: Parsers) -> None:
    text = "Measure what the encoder does over time, and what the counterterm leaves of it."
    one = _add(parsers, "inspect", measuring.inspect, text)
    _model(one)
    _computing(one)
    _settings(one, Inspection())
    _batch(one)
    one.add_argument("--out", type=Path, required=True, help="the .npz")


def _depth(parsers: Parsers) -> None:
    one = _add(parsers, "depth", measuring.depth, "Bounds of finite depth T, by the variance ratio.")
    _model(one)
    _computing(one)
    _settings(one, Depth())
    _batch(one)
    one.add_argument("--out", type=Path, required=True, help="the .json")


def _inception(parsers: Parsers) -> None:
    one = _add(parsers, "inception", measuring.inception, "Download the weights that FID needs.")
    one.add_argument("--out", type=Path, required=True, help="the .pth")


def _fid(parsers: Parsers) -> None:
    one = _add(parsers, "fid", measuring.fid, "FID of samples against a data set's images.")
    one.add_argument("--samples", type=Path, nargs="+", required=True, help="what `sample` wrote, in order")
    _computing(one)
    defaults = FidOfRun()
    one.add_argument("--counts", type=_positive, nargs="+", default=defaults.counts, help="so many of the samples")
    one.add_argument("--references", nargs="+", choices=["train", "test"], default=defaults.references)
    one.add_argument("--images", type=_positive, help="of each reference, only the first so many (default: all)")
    one.add_argument("--weights", type=Path, help="the Inception network's (default: downloaded)")
    one.add_argument("--out", type=Path, required=True, help="the .json")


def _bench(parsers: Parsers) -> None:
    one = _add(parsers, "bench", benching.bench, "Measure training steps against what this machine can do at best.")
    one.add_argument("--models", nargs="+", default=["VDMv-8", "DiffEnc-8-2"], help="(default: VDMv-8 DiffEnc-8-2)")
    one.add_argument("--ways", nargs="+", choices=list(WAYS), help="(default: all that make sense on the device)")
    one.add_argument(
        "--dataset", choices=list(DATASETS), default="cifar10", help="whose images' size (default: cifar10)"
    )
    one.add_argument("--batch", type=_positive, help="images a step (default: 128 on a GPU, 8 elsewhere)")
    one.add_argument("--steps", type=_positive, default=5, help="that are timed (default: 5)")
    _device(one)
    one.add_argument("--out", type=Path, required=True, help="without the suffix: .md, .csv, .svg, .png")


def _collect(parsers: Parsers) -> None:
    one = _add(parsers, "collect", showing.collect, "Gather a study's evaluations into one tidy CSV.")
    _study(one)
    _part(one)
    one.add_argument("--out", type=Path, required=True)


def _compare(parsers: Parsers) -> None:
    one = _add(parsers, "compare", showing.compare, "Welch's tests of a study's comparisons, for every term.")
    _study(one)
    _part(one)
    one.add_argument("--runs", type=Path, required=True, help="what `collect` wrote")
    one.add_argument("--out", type=Path, required=True)


def _table(parsers: Parsers) -> None:
    one = _add(parsers, "table", showing.table, "Write one table as CSV, Markdown and LaTeX.")
    one.add_argument("kind", help="such as components, or one of the study's selections")
    _study(one)
    _part(one)
    one.add_argument("--published", type=Path, default=PUBLISHED, help=f"(default: {PUBLISHED})")
    one.add_argument("--runs", type=Path, help="what `collect` wrote (default: collected now)")
    one.add_argument("--tests", type=Path, help="what `compare` wrote (default: compared now)")
    one.add_argument("--out", type=Path, required=True, help="without the suffix")


def _figure(parsers: Parsers) -> None:
    one = _add(parsers, "figure", showing.figure, "Draw one figure as SVG and PNG.")
    one.add_argument("kind", choices=[*OF_A_RUN, *OF_A_GROUP])
    _study(one, required=False)
    what = one.add_mutually_exclusive_group(required=True)
    what.add_argument("--of", help="a run of the study, or DATASET/SCHEDULE for figures that compare models")
    what.add_argument("--file", type=Path, help="what `encode` or `sample` wrote, of any model")
    one.add_argument("--out", type=Path, required=True, help="without the suffix")


def _plan(parsers: Parsers) -> None:
    one = _add(parsers, "plan", training.plan, "Show what a study would cost, before anything is submitted.")
    one.add_argument("study", type=Path, help="the study's YAML file")
    rate = one.add_mutually_exclusive_group()
    rate.add_argument("--tflops", type=_above_zero, help="TFLOP/s that a device sustains")
    rate.add_argument("--measured", type=Path, help="the runs.csv of a study that was trained on such a device")


def _page(parsers: Parsers) -> None:
    one = _add(parsers, "page", showing.page, "Write the study's page, one file with all that it shows.")
    _study(one)
    one.add_argument("--out", type=Path, required=True, help="the .html")


def _study(one: argparse.ArgumentParser, required: bool = True) -> None:
    given = os.environ.get("DIFFENC_STUDY")
    text = "the study's YAML file (default: $DIFFENC_STUDY)"
    one.add_argument("--study", type=Path, default=given, required=required and given is None, help=text)


def _part(one: argparse.ArgumentParser) -> None:
    one.add_argument("--dataset", help="only this part of the study")


def _computing(one: argparse.ArgumentParser) -> None:
    one.add_argument("--data", type=Path, required=True, help="the data set's prepared folder")
    _device(one)


def _device(one: argparse.ArgumentParser) -> None:
    one.add_argument(
        "--device", choices=["auto", "cpu", "cuda"], default="auto", help="(default: a GPU if there is one)"
    )
    one.add_argument("--threads", type=_positive, help="CPU threads of a process (default: all that there are)")


def _processes(one: argparse.ArgumentParser) -> None:
    one.add_argument(
        "--processes", type=_positive, default=1, help="that share the work in all, each on its own GPU (default: 1)"
    )
    one.add_argument("--nodes", type=_positive, default=1, help="of a SLURM job, to start them on (default: 1)")


def _batch(one: argparse.ArgumentParser) -> None:
    one.add_argument("--batch", type=_positive, default=250, help="images at a time; does not change the result")


def _settings(one: argparse.ArgumentParser, defaults: Strict) -> None:
    """An option for each of a part of a study; several values where it is a list."""
    for name, value in defaults.model_dump().items():
        several = isinstance(value, list)
        kind = type(value[0] if several else value)
        one.add_argument(f"--{name}", type=kind, nargs="*" if several else None, default=value)


def _model(one: argparse.ArgumentParser) -> None:
    source = one.add_mutually_exclusive_group(required=True)
    source.add_argument("--model", type=Path, help="a trained run's folder")
    source.add_argument("--official", type=Path, help="a checkpoint of the authors' release")
    one.add_argument("--config", type=Path, help="the official checkpoint's JSON configuration")
    one.add_argument(
        "--weights", choices=["ema_params", "params"], default="ema_params", help="of the official checkpoint"
    )
