"""The fast ways give the digits of the slow ones: bf16 and compiled against eager float64 and float32."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from gaussian import randomised

from diffenc import data
from diffenc.data.catalog import DATASETS
from diffenc.evaluation.elbo import evaluate, mean_and_error
from diffenc.models import noise
from diffenc.models.model import bits_per_dimension
from diffenc.runtime.device import Compiled, resolve_precision
from diffenc.runtime.processes import Processes
from diffenc.study.settings import Evaluation, Training
from diffenc.training.batches import Batches
from diffenc.training.step import Step
from diffenc.zoo.build import build

CPU = torch.device("cpu")
QUARTER = replace(DATASETS["cifar10"], side=16)  # of CIFAR-10's pixels
# of weights around their first values; with 0.05 one bias is off by 1.05 %, and the loss at t = 0 by 0.11 %
SCALE = 0.02


def inputs(spec, batch, t=None):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, spec.levels, (batch, *spec.shape), dtype=torch.uint8, generator=generator)
    eps_0, eps_t = (torch.randn(images.shape, generator=generator) for _ in range(2))
    return images, torch.linspace(0.02, 0.98, batch) if t is None else t, eps_0, eps_t


def gradients(loss_terms, model, images, *others):
    model.zero_grad()
    terms = loss_terms(images, *others)
    terms.total.mean().backward()
    return {name: parameter.grad.double() for name, parameter in model.named_parameters()}


def assert_same_direction(found, exact):
    """Every leaf's cosine above 0.999 and norm within 1 %."""
    whole = sum(leaf.square().sum() for leaf in exact.values()).sqrt()
    compared = 0
    for name, leaf in exact.items():
        if leaf.norm() < 1e-12 * whole:
            # a bias of attention's keys shifts a softmax; norms of single channels, as a width of 32 has, subtract
            # biases and the condition again
            assert name.endswith((".bias", "cond_proj.weight")) or "time_embedding" in name, name
            continue
        compared += 1
        cosine = (leaf * found[name]).sum() / (leaf.norm() * found[name].norm())
        assert cosine > 0.999, (name, cosine)
        assert abs(found[name].norm() / leaf.norm() - 1) < 0.01, (name, found[name].norm() / leaf.norm())
    assert compared > len(exact) / 2


@pytest.mark.parametrize("name", ["VDMv-8", "DiffEnc-8-2"])
def test_gradients_in_bf16(name):
    model = randomised(build(name, QUARTER, "fixed", dropout=0.1), scale=SCALE)
    images, *others = inputs(QUARTER, 16)
    keys = noise.keys(5, torch.arange(16))
    double = copy.deepcopy(model).double()
    exact = gradients(double.loss_terms, double, images, *(values.double() for values in others), keys)
    model.compute_in(torch.bfloat16)
    assert_same_direction(gradients(model.loss_terms, model, images, *others, keys), exact)


@torch.no_grad()
def test_the_loss_in_bf16_at_every_time():
    model = randomised(build("DiffEnc-8-2", QUARTER, "fixed"), scale=SCALE)
    for t in torch.linspace(0, 1, 20):  # the smallest first, where sigma is 0.0013
        batch = inputs(QUARTER, 8, t.expand(8))
        model.compute_in(torch.float32)
        exact = model.loss_terms(*batch).diffusion.mean()
        model.compute_in(torch.bfloat16)
        assert model.loss_terms(*batch).diffusion.mean() == pytest.approx(exact.item(), rel=1e-3), t.item()


@pytest.mark.parametrize("name", ["VDMv-2", "DiffEnc-2-1"])
def test_a_training_in_bf16_ends_where_one_in_float32_does(name, tmp_path):
    data.prepare("digits", tmp_path, tmp_path)
    images, bpd = data.load(tmp_path, "train"), {}
    for precision in ("float32", "bf16"):
        training = Training(steps=60, batch=16, learning_rate=2e-3, ema=0.9, precision=precision)
        model = build(name, DATASETS["digits"], "fixed", training.dropout, seed=1)
        step, batches = Step(model, training, Processes(CPU)), Batches(images, training.batch, 1, CPU)
        for number in range(training.steps):
            step(batches(number), number)
        with torch.no_grad():
            for parameter, average in zip(step.parameters, step.average, strict=True):
                parameter.copy_(average)
        model.compute_in(torch.float32)
        terms = evaluate(model, data.load(tmp_path, "test"), Evaluation(passes=4), 250, CPU)
        bpd[precision] = mean_and_error(sum(terms[name].astype(np.float64) for name in terms if name != "t"))
    one, other = bpd["float32"], bpd["bf16"]
    assert abs(one["mean"] - other["mean"]) < max(0.002, np.hypot(one["mc_se"], other["mc_se"])), bpd


@pytest.mark.long
def test_compiled():
    spec = DATASETS["digits"]
    model = randomised(build("DiffEnc-2-1", spec, "learned", dropout=0.1))
    images, *others = inputs(spec, 4)
    keys = noise.keys(5, torch.arange(4))
    double = copy.deepcopy(model).double()
    exact = gradients(double.loss_terms, double, images, *(values.double() for values in others), keys)
    compiled = Compiled(model.loss_terms)
    assert_same_direction(gradients(compiled, model, images, *others, keys), exact)
    with torch.no_grad():  # as in evaluation
        terms = [loss_terms(images, *others) for loss_terms in (compiled, model.loss_terms)]
    for ours, theirs in zip(*terms, strict=True):
        ours, theirs = (bits_per_dimension(terms, images[0].numel()) for terms in (ours, theirs))
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    assert compiled.fast is not None


def test_without_a_compiler_it_goes_on_with_one_warning(monkeypatch, capsys):
    monkeypatch.setattr(torch._inductor.config.cpp, "cxx", ("/no/such/compiler",))
    monkeypatch.setattr(torch._inductor.config, "force_disable_caches", True)
    functions = [Compiled(torch.sin), Compiled(torch.cos)]
    x = torch.linspace(0, 1, 5)
    for _ in range(2):
        torch.testing.assert_close([function(x) for function in functions], [x.sin(), x.cos()])
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("diffenc: warning: cannot compile")


def test_rates_are_the_forward_mode_derivative():
    model = randomised(build("DiffEnc-8-4", DATASETS["mnist"], "fixed", dropout=0.1).double())
    x, keys = model.scale(inputs(DATASETS["mnist"], 3)[0]), torch.arange(3)
    gamma = torch.tensor([-6.0, -1.0, 3.0]).double()
    net = model.encoder.net.to(memory_format=torch.contiguous_format)  # as forward mode wants it
    with torch.no_grad(), torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        value, rate = torch.func.jvp(lambda g: net(x, g, keys), (gamma,), (torch.ones_like(gamma),))
        found = net(x, gamma, keys, tangents=len(x))
    torch.testing.assert_close(found, torch.cat([value, rate]), rtol=1e-9, atol=1e-9)


def test_auto_is_float32_where_bf16_gains_nothing(monkeypatch):
    for amx, expected in ((True, "bf16"), (False, "float32")):
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda amx=amx: amx)
        assert resolve_precision("auto", CPU) == expected
    assert resolve_precision("bf16", CPU) == "bf16"
