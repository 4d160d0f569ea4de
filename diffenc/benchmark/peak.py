"""What the device can do at best, measured: the largest convolution, a large matrix product, and a copy in memory.

A model's speed is judged by its share of these, taken in the same minutes on the same machine.
"""

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

HELD = 0.25


class Peak(NamedTuple):
    """The most that was seen: floating-point operations a second, and bytes a second read and written by a copy."""

    convolution: float
    product: float
    copy: float

    def highest(self, other: "Peak") -> "Peak":
        """The better of two measurements, each by itself: what runs beside only ever slows down."""
        return Peak(*map(max, self, other))


def seconds(work: Callable[[], object], device: torch.device, times: int = 5, uncounted: int = 1) -> list[float]:
    """How long each of so many calls took, after some that are not counted; the device's work included."""
    taken = []
    for _ in range(uncounted + times):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        taken.append(time.perf_counter() - start)
    return taken[uncounted:]


def held(work: Callable[[], object], device: torch.device) -> float:
    """Seconds a call, in the best of three rows of calls, HELD seconds each.

    A single call is faster for a moment than a processor stays, and on a GPU it is launched more slowly than it runs.
    """
    (once,) = seconds(work, device, times=1)
    calls = max(1, round(HELD / once))

    def row() -> None:
        for _ in range(calls):
            work()

    return min(seconds(row, device, times=3, uncounted=0)) / calls


@torch.no_grad()
def measure(device: torch.device, dtype: torch.dtype, batch: int, width: int, side: int) -> Peak:
    """The peak in one precision, as far as it is held (`held`).

    The convolution is the largest of a denoiser of that width, 3 x 3 from 2 n to n channels, with channels side by
    side in memory and not; the product is square, of 4096 rows on a GPU and 2048 elsewhere.
    """
    layouts = (torch.channels_last, torch.contiguous_format)
    convolution = max(_convolution(device, dtype, batch, width, side, layout) for layout in layouts)
    size = 4096 if device.type == "cuda" else 2048
    one, other = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    product = 2 * size**3 / held(lambda: one @ other, device)
    # larger than any cache
    source = torch.empty(2**30 if device.type == "cuda" else 2**28, dtype=torch.uint8, device=device).zero_()
    target = torch.empty_like(source)
    copy = 2 * source.numel() / held(lambda: target.copy_(source), device)
    return Peak(convolution, product, copy)


def _convolution(
    device: torch.device, dtype: torch.dtype, batch: int, width: int, side: int, layout: torch.memory_format
) -> float:
    def made(*shape: int) -> Tensor:
        return torch.randn(shape, device=device).to(dtype).to(memory_format=layout)

    h, weight = made(batch, 2 * width, side, side), made(width, 2 * width, 3, 3)
    operations = 2 * batch * side**2 * 2 * width * width * 9
    return operations / held(lambda: torch.conv2d(h, weight, padding=1), device)


def description(device: torch.device) -> dict[str, str]:
    """The machine in words: device, processor, threads, versions."""
    found = {"processor": _processor(), "cores": str(os.cpu_count()), "threads": str(torch.get_num_threads())}
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found = {"GPU": properties.name, "memory": f"{properties.total_memory / 2**30:.0f} GiB"} | found
    versions = {"PyTorch": torch.__version__, "Python": platform.python_version(), "system": platform.system()}
    return found | versions | ({"CUDA": str(torch.version.cuda)} if device.type == "cuda" else {})


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    units = [name for name in ("amx_bf16", "avx512_bf16", "avx512f") if name in facts.get("flags", "").split()]
    family = ", ".join(f"{key} {facts[key]}" for key in ("vendor_id", "cpu family", "model") if key in facts)
    return f"{facts.get('model name', platform.machine())} ({family}; {', '.join(units)})"
