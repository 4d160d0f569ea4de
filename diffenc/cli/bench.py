"""How fast this machine trains: bench."""

from argparse import Namespace
from pathlib import Path

from diffenc.benchmark.ways import WAYS
from diffenc.cli.execution import device
from diffenc.cli.options import Parsers, add_command, add_device, make_ready, positive
from diffenc.data.catalog import DATASETS
from diffenc.io.errors import UserError


def bench(options: Namespace) -> None:
    """Training steps of some models, measured against what the machine can do at best."""
    import torch

    from diffenc.benchmark import peak
    from diffenc.benchmark import report as table
    from diffenc.benchmark.figure import speed
    from diffenc.benchmark.step_time import Bench, ways_of
    from diffenc.zoo.configs import MODELS

    if unknown := [name for name in options.models if name not in MODELS]:
        raise UserError(f"--models {unknown[0]}: is not in the zoo; name some of {', '.join(MODELS)}")
    where = device(options)
    on_gpu = where.type == "cuda"
    make_ready(options.out.parent, options.out)
    found = Bench(options.dataset, options.batch or (128 if on_gpu else 8), where, options.steps)
    rows = found.measure(options.models, options.ways or ways_of(where))
    peaks = {
        str(dtype).removeprefix("torch."): {
            "convolution, TFLOP/s": best.convolution / 1e12,
            "matrix product, TFLOP/s": best.product / 1e12,
            "copy, TB/s": best.copy / 1e12,
        }
        for dtype, best in found.peaks.items()
    }
    machine = peak.description(where)
    table.write(rows, peaks, machine, options.out)
    name = torch.cuda.get_device_name(where) if on_gpu else machine["processor"].partition(" (")[0]
    speed(rows, options.out, f"Where a training step's time goes: {name}")
    print(options.out.with_name(f"{options.out.name}.md").read_text(encoding="utf-8"))


def add_commands(parsers: Parsers) -> None:
    """Add this module's commands to the command line."""
    for add in (_bench,):
        add(parsers)


def _bench(parsers: Parsers) -> None:
    one = add_command(parsers, "bench", bench, "Measure training steps against what this machine can do at best.")
    one.add_argument("--models", nargs="+", default=["VDMv-8", "DiffEnc-8-2"], help="(default: VDMv-8 DiffEnc-8-2)")
    one.add_argument("--ways", nargs="+", choices=list(WAYS), help="(default: all that make sense on the device)")
    one.add_argument(
        "--dataset", choices=list(DATASETS), default="cifar10", help="whose images' size (default: cifar10)"
    )
    one.add_argument("--batch", type=positive, help="images a step (default: 128 on a GPU, 8 elsewhere)")
    one.add_argument("--steps", type=positive, default=5, help="that are timed (default: 5)")
    add_device(one)
    one.add_argument("--out", type=Path, required=True, help="without the suffix: .md, .csv, .svg, .png")
