import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from diffenc.data.catalog import DATASETS, DatasetSpec
from diffenc.zoo import build
from diffenc.zoo.build import assemble
from diffenc.zoo.configs import MODELS, SCHEDULES, model_config
from diffenc.zoo.flops import flops, parameters

ODD = DatasetSpec("Odd", 3, 15, 17, 1, 1, 1, "made up")
BATCH = 2


def counted(work):
    """What PyTorch's own counter says of `work`, an image."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops() / BATCH


def on_meta(name, spec, schedule="fixed"):
    """The model and a batch, without memory or arithmetic."""
    config = model_config(name, spec)
    with torch.device("meta"):
        model = assemble(config, spec.channels, spec.levels, spec.side, schedule)
        return config, model, torch.zeros(BATCH, *spec.shape), torch.zeros(BATCH)


@pytest.mark.parametrize("schedule", ["fixed", "learned"])
@pytest.mark.parametrize("spec", [DATASETS["digits"], DATASETS["imagenet32"], ODD], ids=lambda spec: spec.title)
@pytest.mark.parametrize("name", MODELS)
def test_parameters_are_those_of_the_model(name, spec, schedule):
    config, model, _, _ = on_meta(name, spec, schedule)
    assert parameters(config, spec, schedule) == build.parameters(model)


@pytest.mark.parametrize("spec", [DATASETS["digits"], DATASETS["imagenet32"], ODD], ids=lambda spec: spec.title)
@pytest.mark.parametrize("name", ["DiffEnc-2-1", "DiffEnc-8-4", "VDMv-32", "DiffEnc-32-8"])
def test_a_forward_pass_is_what_pytorch_counts(name, spec):
    config, model, x, gamma = on_meta(name, spec)
    found = flops(config, spec)
    assert found.denoiser == counted(lambda: model.denoise(x, gamma))
    assert found.encoder == counted(lambda: model.encode(x, gamma))
    assert found.forward == found.denoiser + found.encoder


@pytest.mark.parametrize("name", ["VDMv-2", "DiffEnc-2-nt", "DiffEnc-2-1", "DiffEnc-8-2"])
def test_a_training_step_is_what_pytorch_counts(name):
    spec = DATASETS["cifar10"]
    config, model, x, t = on_meta(name, spec)

    def step():
        x_0, x_1, x_t, r = model._encoded(x, t, None)
        (model.diffusion(x_t, r, t, model.schedule.dgamma_dt(t), x).sum() + x_0.sum() + x_1.sum()).backward()

    # less: the first layer's input needs no derivative; more: attention's derivative has twice its value's products
    assert counted(step) == pytest.approx(flops(config, spec).training, rel=0.01)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_parameters_of_the_schedules(schedule):
    spec = DATASETS["digits"]
    config, model, _, _ = on_meta("VDMv-2", spec, schedule)
    assert parameters(config, spec, schedule) == build.parameters(model)


def test_the_large_models():
    cifar10, imagenet32 = DATASETS["cifar10"], DATASETS["imagenet32"]
    found = [
        flops(model_config("VDMv-8", cifar10), cifar10).denoiser,
        flops(model_config("VDMv-32", cifar10), cifar10).denoiser,
        flops(model_config("VDMv-32", imagenet32), imagenet32).denoiser,
    ]
    assert [float(f"{f / 1e9:.3g}") for f in found] == [15.5, 53.4, 212]
    large = flops(model_config("VDMv-32", cifar10), cifar10)
    assert (large.encoder, large.training) == (0, 3 * large.denoiser)


def test_the_encoders_twelve_passes():
    spec = DATASETS["cifar10"]
    found = flops(model_config("DiffEnc-8-2", spec), spec)
    # at t value and derivative, at both ends the value; each with a backward pass of twice its cost
    assert found.stem == 2 * 9 * (3 + 64) * 64 * 32**2
    assert found.training == 3 * found.denoiser + (2 + 1 + 1) * 3 * (found.encoder - found.stem) + 3 * found.stem
