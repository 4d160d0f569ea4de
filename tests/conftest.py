"""What tests of several parts share."""

import os
from pathlib import Path

import pytest
import torch

from diffenc.cli import fork_server

# one thread, as the pipeline's jobs have: results of other numbers of threads differ in the last bit
torch.set_num_threads(1)

ROOT = Path(__file__).parents[1]


def pytest_configure(config):
    """Commands of their own, and Snakemake's jobs, are forks of one server for the session, as in the pipeline."""
    if not hasattr(config, "workerinput"):
        fork_server.start()


@pytest.fixture(scope="session")
def fashion_mnist_files():
    """The original IDX files, as Debian's package ships them; `make test` fetches it."""
    folder = Path(os.environ.get("FASHION_MNIST", ROOT / ".cache/fashion-mnist/usr/share/datasets/fashion-mnist"))
    assert folder.is_dir(), f"{folder}: not there; run `make fashion-mnist`, or name a folder by FASHION_MNIST"
    return folder


@pytest.fixture(scope="session")
def random_weights(tmp_path_factory):
    """A file as the standard weights' one is, so scaled that activations neither vanish nor grow."""
    from torch_fidelity import feature_extractor_inceptionv3 as inception

    path = tmp_path_factory.mktemp("inception") / "random.pth"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inception, "load_state_dict_from_url", lambda *args, **options: None)
        patch.setattr(inception.FeatureExtractorInceptionV3, "load_state_dict", lambda *args: None)
        network = inception.FeatureExtractorInceptionV3("random", ["2048"], verbose=False)
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight, generator=generator)
    torch.save(network.state_dict(), path)
    return path
