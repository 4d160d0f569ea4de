"""A step's images: the batch's axis stays, however few there are."""

import numpy as np
import torch

from diffenc.training.batches import Batches

IMAGES = np.arange(5 * 3 * 2 * 2, dtype=np.uint8).reshape(5, 3, 2, 2)


def test_one_image_is_a_batch_of_one():
    """numpy takes a tensor of one index for a number."""
    batch = Batches(IMAGES, 1, seed=1, device=torch.device("cpu"))(0)
    assert batch.images.shape == batch.eps_t.shape == (1, 3, 2, 2)
    assert batch.t.shape == (1,)


def test_processes_with_one_image_each_share_a_batch():
    shares = (slice(None), slice(1), slice(1, 2))
    whole, *parts = (Batches(IMAGES, 2, 1, torch.device("cpu"), share)(3) for share in shares)
    for name in ("images", "t", "eps_0", "eps_t"):
        assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(whole, name)), name
