"""Fail if a training step has become slower, as a share of what this machine's convolutions reach in the same run.

python benchmarks/guard.py

It is the share that is guarded, not the time, so that it holds on any machine; whatever else runs there disturbs
both, and so there are three tries.
"""

import sys

import torch

from diffenc.benchmark.step_time import Bench

SHARES = {"VDMv-8": 0.74, "DiffEnc-8-2": 0.70}  # of the convolution peak: benchmarks/cpu.md
LOST = 1 / 3
TRIES = 3


def slower() -> list[str]:
    """What one measurement complains of."""
    rows = Bench("cifar10", batch=8, device=torch.device("cpu"), steps=3).measure([*SHARES], ["float32"], kinds=False)
    found = dict(zip(rows["model"], rows["of_convolution"], strict=True))
    print("share of the convolution peak:", {name: round(share, 3) for name, share in found.items()}, flush=True)
    return [name for name, share in found.items() if share < (1 - LOST) * SHARES[name]]


def main() -> None:
    """Three tries."""
    for _ in range(TRIES):
        if not (complaints := slower()):
            return
    sys.exit(f"{', '.join(complaints)}: slower by a third than {SHARES}, in {TRIES} tries")


main()
