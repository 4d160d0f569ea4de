"""What tests of several parts share."""

import os
from pathlib import Path

import pytest
import torch

# one thread, as the pipeline's jobs have: results of other numbers of threads differ in the last bit
torch.set_num_threads(1)

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def fashion_mnist_files():
    """The original IDX files, as Debian's package ships them; `make test` fetches it."""
    folder = Path(os.environ.get("FASHION_MNIST", ROOT / ".cache/fashion-mnist/usr/share/datasets/fashion-mnist"))
    assert folder.is_dir(), f"{folder}: not there; run `make fashion-mnist`, or name a folder by FASHION_MNIST"
    return folder
