import math

import numpy as np
import pytest
import torch
from scipy import stats

from diffenc.models import noise

KEYS = noise.keys(noise.stream(1, 2), torch.arange(200))


def test_words_are_splitmix64s():
    # the first outputs of the generator's published reference implementation, seeded with 0
    words = noise._words(torch.zeros(1, dtype=torch.int64), 3)[0].tolist()
    assert [word % 2**64 for word in words] == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]


def test_normal_numbers_are_normal_and_independent():
    draws = noise.normal(KEYS, (1000,)).double().numpy()
    assert stats.kstest(draws.ravel(), "norm").pvalue > 0.01
    assert abs(stats.kurtosis(draws.ravel())) < 5 * math.sqrt(24 / draws.size)
    between_images, within = np.corrcoef(draws), np.corrcoef(draws.T[:300])
    for correlation, n in ((between_images, 1000), (within, 200)):
        off = correlation[np.triu_indices_from(correlation, 1)] * math.sqrt(n)
        assert off.std() == pytest.approx(1, abs=0.05)


def test_an_images_noise_does_not_depend_on_its_batch():
    whole = noise.normal(KEYS, (3, 5, 5))
    halves = torch.cat([noise.normal(half, (3, 5, 5)) for half in KEYS.chunk(2)])
    torch.testing.assert_close(whole, halves, rtol=0, atol=0)
    h = torch.ones(200, 4, 3, 3)
    masks = torch.cat([noise.dropout(part, key, 0.3) for part, key in zip(h.split(50), KEYS.split(50), strict=True)])
    torch.testing.assert_close(noise.dropout(h, KEYS, 0.3), masks, rtol=0, atol=0)


def test_purposes_steps_and_seeds_are_independent():
    draws = [
        noise.normal(keys, (500,)).double().numpy().ravel()
        for keys in (
            KEYS,
            noise.split(KEYS, 0),
            noise.split(KEYS, 1),
            noise.keys(noise.stream(1, 3), torch.arange(200)),
            noise.keys(noise.stream(2, 2), torch.arange(200)),
            noise.keys(noise.stream(2, 1), torch.arange(200)),
        )
    ]
    correlations = np.corrcoef(draws)[np.triu_indices(len(draws), 1)]
    assert np.abs(correlations).max() < 4.5 / math.sqrt(draws[0].size)


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_dropout_keeps_the_mean_and_drops_its_share(rate):
    dropped = noise.dropout(torch.ones(200, 8, 8, 8), KEYS, rate)
    share = (dropped == 0).double().mean().item()
    assert share == pytest.approx(rate, abs=4 * math.sqrt(rate * (1 - rate) / dropped.numel()) + 2**-16)
    assert dropped.max().item() == pytest.approx(1 / (1 - rate), rel=1e-4)


def test_uniform_numbers_are_uniform():
    draws = [noise.uniform(noise.stream(0, step)) for step in range(5000)]
    assert stats.kstest(draws, "uniform").pvalue > 0.01
