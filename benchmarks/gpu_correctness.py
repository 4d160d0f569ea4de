"""Whether a GPU gives the same digits: gradients, evaluation, sampling, compiled and eager, against float64.

python benchmarks/gpu_correctness.py

Ends with status 1 if a bar is missed: a cosine of 0.999 and a norm within 1 % for every leaf of the gradient of a
compiled step in bf16; 1e-5 bits per dimension between compiled and eager evaluation; a loss in bf16 within 1e-3 of
float32's at 20 times. The denoiser's weights are random, so that every leaf has a gradient.
"""

import copy
import sys

import torch
from torch import Tensor

from diffenc.data.catalog import DATASETS
from diffenc.models import noise
from diffenc.models.diffusion import Diffusion
from diffenc.models.model import bits_per_dimension
from diffenc.runtime.device import Compiled, allow_tf32, exact_float32
from diffenc.zoo.build import build

GPU = torch.device("cuda")
FACTS = DATASETS["cifar10"]
BATCH = 32
missed = []


def model_of(name: str) -> Diffusion:
    """With something in the kernels that are zero at first."""
    torch.manual_seed(0)
    model = build(name, FACTS, "fixed", dropout=0.1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return model.to(GPU)


def inputs(t: Tensor | None = None) -> list[Tensor]:
    """Images, times and noise."""
    torch.manual_seed(1)
    images = torch.randint(0, FACTS.levels, (BATCH, *FACTS.shape), dtype=torch.uint8)
    noises = [torch.randn(images.shape) for _ in range(2)]
    return [values.to(GPU) for values in (images, torch.linspace(0.02, 0.98, BATCH) if t is None else t, *noises)]


def judge(what: str, found: float, bar: float) -> None:
    """Say it, and remember whether it is above the bar."""
    print(f"{what}: {found:.2e} (bar {bar:g}){'' if found < bar else '  MISSED'}", flush=True)
    if not found < bar:
        missed.append(what)


def gradients(name: str) -> None:
    """The compiled step in bf16 against eager float64, leaf by leaf."""
    model, (images, *others) = model_of(name), inputs()
    keys = noise.keys(5, torch.arange(BATCH, device=GPU))
    double = copy.deepcopy(model).double()
    double.loss_terms(images, *(values.double() for values in others), keys).total.mean().backward()
    allow_tf32(products=True, convolutions=False)
    model.compute_in(torch.bfloat16)
    compiled = Compiled(model.loss_terms)
    compiled(images, *others, keys).total.mean().backward()
    exact_float32()
    judge(f"{name}: compiling failed", float(compiled.fast is None), 0.5)
    of = directions(double, model)
    for bar, what, values in ((1e-3, "1 - cosine", of[0]), (1e-2, "norm", of[1])):
        worst = max(values, key=values.__getitem__)
        judge(f"{name}: {what} of the worst leaf in bf16, {worst}", values[worst], bar)


def directions(double: Diffusion, model: Diffusion) -> tuple[dict[str, float], dict[str, float]]:
    """For each leaf 1 - cosine between its gradients, and by how much the norm is off."""
    exact = {name: leaf.grad for name, leaf in double.named_parameters()}
    found = {name: leaf.grad.double() for name, leaf in model.named_parameters()}
    whole = sum(grad.square().sum() for grad in exact.values()).sqrt()
    names = [name for name, grad in exact.items() if grad.norm() > 1e-12 * whole]
    cosines = {name: (exact[name] * found[name]).sum() / (exact[name].norm() * found[name].norm()) for name in names}
    norms = {name: (found[name].norm() / exact[name].norm() - 1).abs().item() for name in names}
    return {name: 1 - cosine.item() for name, cosine in cosines.items()}, norms


@torch.no_grad()
def losses(name: str) -> None:
    """The loss in bf16 at 20 times, and compiled evaluation."""
    model, worst = model_of(name), 0.0
    for t in torch.linspace(0, 1, 20):
        batch = inputs(t.expand(BATCH))
        model.compute_in(torch.float32)
        exact = model.loss_terms(*batch).diffusion.mean()
        model.compute_in(torch.bfloat16)
        worst = max(worst, (model.loss_terms(*batch).diffusion.mean() / exact - 1).abs().item())
    judge(f"{name}: loss in bf16 at the worst of 20 times", worst, 1e-3)
    model.compute_in(torch.float32)
    batch, dimensions = inputs(), FACTS.channels * FACTS.side**2
    pairs = zip(Compiled(model.loss_terms)(*batch), model.loss_terms(*batch), strict=True)
    gaps = [bits_per_dimension((one - other).mean(), dimensions).abs().item() for one, other in pairs]
    judge(f"{name}: evaluation compiled and eager, bits per dimension", max(gaps), 1e-5)


def main() -> None:
    """Both models of the small study."""
    exact_float32()
    for name in ("VDMv-8", "DiffEnc-8-2"):
        gradients(name)
        losses(name)
    sys.exit(f"missed: {'; '.join(missed)}" if missed else 0)


if __name__ == "__main__":
    main()
