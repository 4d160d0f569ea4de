"""How fast models train on this machine, against what it can do at best (`diffenc.benchmark.peak`)."""

import itertools
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile

from diffenc.benchmark import peak
from diffenc.benchmark.peak import Peak
from diffenc.benchmark.ways import WAYS
from diffenc.data.catalog import DATASETS, DatasetSpec
from diffenc.networks.group_norm import GroupNorm
from diffenc.networks.layers import Conv2d, ConvTranspose2d, Linear
from diffenc.runtime.device import allow_tf32, compute_dtype, resolve_precision
from diffenc.runtime.processes import Processes
from diffenc.study.settings import Training
from diffenc.training.batches import Batches
from diffenc.training.step import Step
from diffenc.zoo.build import assemble, build, parameters
from diffenc.zoo.configs import ModelConfig, model_config
from diffenc.zoo.flops import flops

# what a kernel is for, by the first of these that its name fits, or that of what it is part of
KINDS = {
    "decoder": r"_LogProb",
    "attention": r"scaled_dot|flash|fmha|softmax",
    "optimizer and EMA": r"adam|lerp",
    "convolution": r"conv|fprop|dgrad|wgrad|xmma|implicit",
    "matrix product": r"::(add)?mm|bmm|gemm|linear|cublas|cutlass",
    "norm and swish": r"group_norm|NormWithTangents|silu|sigmoid|var_mean|welford|red_fused|per_fused",
    "noise and dropout": r"bitwise|shift|clamp|arange",
    "copies and sums": r"copy|cat|add|clone|contiguous",
}
# read: weight, gradient, two moments, average; written: weight, gradient, two moments, average
_PASSES_OVER_WEIGHTS = 10
_WITH_BACKWARD = 3


def ways_of(device: torch.device) -> list[str]:
    """Those that tell something on this device."""
    if device.type == "cuda":
        return list(WAYS)
    return ["float32", "bf16"] if resolve_precision("auto", device) == "bf16" else ["float32"]


class Bench:
    """Measures steps of several models, with the peak before and after each."""

    def __init__(self, dataset: str, batch: int, device: torch.device, steps: int) -> None:
        self.spec: DatasetSpec = DATASETS[dataset]
        self.batch, self.device, self.steps = batch, device, steps
        self.peaks: dict[torch.dtype, Peak] = {}
        images = torch.randint(0, self.spec.levels, (4 * batch, *self.spec.shape), dtype=torch.uint8)
        self.batches = Batches(images.numpy(), batch, seed=0, device=device)

    def measure(self, models: list[str], ways: list[str], kinds: bool = True) -> pd.DataFrame:
        """A row for each model in each way, and what share of the peak of the same run it reached."""
        rows, before = [], None
        for model, way in itertools.product(models, ways):
            of_peak = compute_dtype(WAYS[way].precision), model_config(model, self.spec).width
            if of_peak != before:
                self._peak(*of_peak)
            rows.append(self._row(model, way, kinds))
            self._peak(*of_peak)
            before = of_peak
        return pd.DataFrame([row | self._shares(row) | self._overhead(row, rows) for row in rows])

    def _row(self, model: str, name: str, kinds: bool) -> dict[str, Any]:
        way, shape = WAYS[name], model_config(model, self.spec)
        _forget_peak_memory(self.device)
        training = Training(steps=1, batch=self.batch, precision=way.precision)
        net = build(model, self.spec, "fixed", training.dropout).to(self.device)
        step = Step(net, training, Processes(self.device))
        if way.tf32:
            allow_tf32(products=True, convolutions=True)
        batch = self.batches(0)
        with torch.compiler.set_stance("force_eager") if way.eager else nullcontext():
            (first,) = peak.seconds(lambda: step(batch, 0), self.device, times=1, uncounted=0)
            taken = sorted(peak.seconds(lambda: step(batch, 1), self.device, self.steps, uncounted=1))
            memory = _peak_memory(self.device)
            found = self._kinds(step) if kinds else {}
        dtype = compute_dtype(way.precision)
        return {
            **{"model": model, "way": name, "batch": self.batch, "parameters": parameters(net)},
            **{"ms": 1000 * taken[0], "median_ms": 1000 * taken[len(taken) // 2], "first_s": first},
            **{"images_per_s": self.batch / taken[0], "peak_gib": memory},
            "tflops": self.batch * flops(shape, self.spec).training / taken[0] / 1e12,
            "gbytes": bytes_moved(shape, self.spec, self.batch, dtype) / 1e9,
        } | {f"time: {kind}": share for kind, share in found.items()}

    def _peak(self, dtype: torch.dtype, width: int) -> None:
        found = peak.measure(self.device, dtype, self.batch, width, self.spec.side)
        self.peaks[dtype] = found.highest(self.peaks.get(dtype, found))

    def _shares(self, row: dict[str, Any]) -> dict[str, float]:
        best = self.peaks[compute_dtype(WAYS[row["way"]].precision)]
        return {
            "peak_tflops": best.convolution / 1e12,
            "of_convolution": 1e12 * row["tflops"] / best.convolution,
            "of_product": 1e12 * row["tflops"] / best.product,
            "arithmetic_ms": row["ms"] * 1e12 * row["tflops"] / best.convolution,
            "bytes_ms": 1e12 * row["gbytes"] / best.copy,
        }

    def _kinds(self, step: Step) -> dict[str, float]:
        """The share of a step's time by kind of kernel."""
        cuda = self.device.type == "cuda"
        batch, activities = self.batches(0), [ProfilerActivity.CUDA if cuda else ProfilerActivity.CPU]
        with profile(activities=activities) as found:
            step(batch, 1)
            if cuda:
                torch.cuda.synchronize(self.device)
        times: dict[str, float] = defaultdict(float)
        for event in found.events():
            names = " ".join(_lineage(event))
            kind = next((kind for kind, pattern in KINDS.items() if re.search(pattern, names, re.I)), "other")
            times[kind] += event.self_device_time_total if cuda else event.self_cpu_time_total
        return {kind: time / sum(times.values()) for kind, time in times.items()}

    def _overhead(self, row: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, float]:
        """How many times as long as the plain model's a step takes, in the same way; 1 for a plain one."""
        shapes = {other["model"]: model_config(other["model"], self.spec) for other in rows}
        mine = shapes[row["model"]]
        for other in rows:
            shape = shapes[other["model"]]
            alike = (shape.layers, shape.width, shape.prediction) == (mine.layers, mine.width, mine.prediction)
            if alike and shape.encoder == "identity" and other["way"] == row["way"]:
                return {"overhead": row["ms"] / other["ms"]}
        return {"overhead": float("nan")}


def _lineage(event: FunctionEvent | None) -> Iterator[str]:
    """An operation's name, and those of the operations that it is part of."""
    while event is not None:
        yield event.name
        event = event.cpu_parent


def bytes_moved(config: ModelConfig, spec: DatasetSpec, batch: int, dtype: torch.dtype) -> int:
    """The least that a step must read and write if every layer reads its input and writes its output once.

    A backward pass does so twice, once for each derivative. Norms are layers together with their swish; weights and
    what AdamW and the average keep of them are float32.
    """
    with torch.device("meta"):
        model = assemble(config, spec.channels, spec.levels, spec.side)
        images = torch.zeros(batch, *spec.shape, dtype=torch.uint8)
        noise = torch.zeros(images.shape)
        elements = 0

        def count(layer: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
            nonlocal elements
            elements += inputs[0].numel() + output.numel()

        for layer in model.modules():
            if isinstance(layer, Conv2d | ConvTranspose2d | Linear | GroupNorm):
                layer.register_forward_hook(count)
        model.loss_terms(images, torch.zeros(batch), noise, noise)
    return _WITH_BACKWARD * elements * dtype.itemsize + _PASSES_OVER_WEIGHTS * 4 * parameters(model)


def _forget_peak_memory(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    else:  # Linux takes the process's peak to be what it has now
        Path("/proc/self/clear_refs").write_text("5")


def _peak_memory(device: torch.device) -> float:
    """GiB: on a GPU of tensors, elsewhere of the whole process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 2**20
