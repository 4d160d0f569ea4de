"""Data sets made small, and originals made up in their real layout."""

import dataclasses
import hashlib
import urllib.error
import urllib.request

import numpy as np
import pytest

from diffenc.data.catalog import DATASETS


@pytest.fixture
def resize(monkeypatch):
    """resize(name, train, test): let a data set have few images."""

    def resize(name, train, test):
        monkeypatch.setitem(DATASETS, name, dataclasses.replace(DATASETS[name], train=train, test=test))

    return resize


@pytest.fixture
def offline(monkeypatch):
    """No network, whatever the machine has."""

    def refuse(*_args, **_kwargs):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)


@pytest.fixture
def random_pixels():
    """random_pixels(n, dimensions): (n, dimensions) uint8, other ones at each call."""
    generator = np.random.default_rng(0)
    return lambda n, dimensions=3072: generator.integers(0, 256, (n, dimensions), np.uint8)


@pytest.fixture
def left_in():
    """left_in(folder): the names of what lies in it, hidden files too."""
    return lambda folder: sorted(p.name for p in folder.iterdir()) if folder.exists() else []


@pytest.fixture
def sha256_of():
    return lambda path: hashlib.sha256(path.read_bytes()).hexdigest()
