"""Sampling: the same images whatever the batch, and however many processes share the work."""

import numpy as np
import pytest
import torch

from diffenc.data.catalog import DATASETS
from diffenc.evaluation import samples
from diffenc.evaluation.samples import draw_samples
from diffenc.models import noise
from diffenc.runtime.processes import Processes
from diffenc.study.study import Samples
from diffenc.zoo.build import build

CPU = torch.device("cpu")
SHAPE = (1, 8, 8)
SETTINGS = Samples(count=11, steps=6, seed=3)


@pytest.fixture(scope="module")
def model():
    model = build("DiffEnc-2-1", DATASETS["digits"], "fixed", seed=0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
    return model


@pytest.fixture(scope="module")
def by_hand(model):
    """All samples as one batch, step by step."""

    def eps(i):
        return noise.normal(noise.keys(noise.stream(3, noise.Purpose.SAMPLE, i), torch.arange(11)), SHAPE)

    with torch.no_grad():
        z = eps(6)
        for i in range(5, -1, -1):
            z = model.sample_step(z, i / 6, (i + 1) / 6, eps(i))
        return model.decode(z).numpy()


def levels_apart(a, b):
    assert a.dtype == b.dtype == np.uint8
    assert a.shape == b.shape
    return np.abs(a.astype(int) - b.astype(int))


@pytest.mark.parametrize("batch", [1, 4, 11, 250])
def test_samples_do_not_depend_on_the_batch(model, by_hand, batch):
    apart = levels_apart(draw_samples(model, SHAPE, SETTINGS, CPU, batch=batch), by_hand)
    # rounding may move a pixel that lies between two levels to the next one
    assert apart.max() <= 1
    assert np.count_nonzero(apart) <= 2
    assert len(np.unique(by_hand, axis=0)) == 11  # samples out of order would be seen


def test_the_batch_holds_for_each_part_of_several_processes(model, by_hand, monkeypatch):
    sizes, parts = [], {}
    sample = samples.ancestral

    def sampled(*given):
        drawn = sample(*given)
        sizes.append(len(drawn))
        return drawn

    def gather(self, part):
        parts[self.rank] = part
        return [parts[rank] for rank in sorted(parts)]

    monkeypatch.setattr(samples, "ancestral", sampled)
    monkeypatch.setattr(Processes, "gather", gather)
    ranks = (2, 1, 0)  # the first comes last: it has all parts
    drawn = [draw_samples(model, SHAPE, SETTINGS, CPU, Processes(CPU, rank, 3), batch=3) for rank in ranks]
    assert drawn[:2] == [None, None]
    assert levels_apart(drawn[2], by_hand).max() <= 1
    assert sizes == [3, 1, 3, 1, 3]


def test_samples_in_parts(model, by_hand):
    part = draw_samples(model, SHAPE, Samples(count=3, steps=6, seed=3), CPU, first=2)
    assert levels_apart(part, by_hand[2:5]).max() <= 1


def test_few_samples_are_the_first_of_many(model, by_hand):
    few = draw_samples(model, SHAPE, Samples(count=5, steps=6, seed=3), CPU, batch=2)
    assert levels_apart(few, by_hand[:5]).max() <= 1
