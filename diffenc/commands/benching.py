"""How fast this machine trains: bench."""

from argparse import Namespace

from diffenc.commands.common import make_ready
from diffenc.computing import device
from diffenc.errors import UserError


def bench(options: Namespace) -> None:
    """Training steps of some models, measured against what the machine can do at best."""
    import torch

    from diffenc import peak
    from diffenc.bench import Bench, ways_of
    from diffenc.figures.speed import speed
    from diffenc.tables import speed as table
    from diffenc.zoo import MODELS

    if unknown := [name for name in options.models if name not in MODELS]:
        raise UserError(f"--models {unknown[0]}: is not in the zoo; name some of {', '.join(MODELS)}")
    where = device(options)
    on_gpu = where.type == "cuda"
    make_ready(options.out.parent)
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
    print(options.out.with_name(f"{options.out.name}.md").read_text())
