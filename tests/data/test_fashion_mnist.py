"""The real Fashion-MNIST, as Debian ships it."""

import gzip
from fractions import Fraction

import numpy as np
import pytest

from diffenc.data import load, manifest, prepare
from diffenc.io.errors import UserError

NAMES = {"train": "train-images-idx3-ubyte", "test": "t10k-images-idx3-ubyte"}


@pytest.fixture(scope="module")
def unpacked(fashion_mnist_files):
    """The content of the IDX files by split, read without the code under test."""
    contents = {}
    for split, name in NAMES.items():
        plain = fashion_mnist_files / name
        zipped = fashion_mnist_files / f"{name}.gz"
        contents[split] = plain.read_bytes() if plain.exists() else gzip.decompress(zipped.read_bytes())
    return contents


def test_real_files(fashion_mnist_files, unpacked, tmp_path):
    prepare("fashion_mnist", tmp_path / "gz", fashion_mnist_files)
    train, test = load(tmp_path / "gz", "train"), load(tmp_path / "gz", "test")
    assert train.shape == (60_000, 1, 28, 28)
    assert test.shape == (10_000, 1, 28, 28)
    assert train.tobytes() == unpacked["train"][16:]
    assert test.tobytes() == unpacked["test"][16:]
    # the mean and deviation that everybody normalizes with: 0.2860 and 0.3530 of 255
    assert train.mean() == pytest.approx(0.2860 * 255, abs=0.02)
    assert np.std(train) == pytest.approx(0.3530 * 255, abs=0.02)


def test_unzipped_files_give_the_same(fashion_mnist_files, unpacked, tmp_path):
    for split, name in NAMES.items():
        (tmp_path / name).write_bytes(unpacked[split])
    prepare("fashion_mnist", tmp_path / "plain", tmp_path)
    prepare("fashion_mnist", tmp_path / "gz", fashion_mnist_files)
    for split in NAMES:
        assert manifest(tmp_path / "plain")[split] == manifest(tmp_path / "gz")[split]


def test_averaged_to_eight_by_eight(fashion_mnist_files, unpacked, tmp_path):
    """A pixel is the mean of the area that it covers, 3.5 by 3.5 of the original's, in exact fractions."""
    prepare("fashion_mnist8", tmp_path, fashion_mnist_files)
    train, test = load(tmp_path, "train"), load(tmp_path, "test")
    assert (train.shape, test.shape) == ((60_000, 1, 8, 8), (10_000, 1, 8, 8))
    parts = [[max(Fraction(0), min(i + 1, (p + 1) * side) - max(i, p * side)) / side for i in range(28)]
             for side in [Fraction(28, 8)] for p in range(8)]  # fmt: skip
    original = np.frombuffer(unpacked["test"][16:], np.uint8).reshape(-1, 28, 28)
    for n in (0, 4321, 9999):
        rows = [[sum(w * int(x) for w, x in zip(part, column, strict=True) if w) for column in original[n].T]
                for part in parts]  # fmt: skip
        means = [[sum(w * x for w, x in zip(part, row, strict=True) if w) for part in parts] for row in rows]
        assert test[n, 0].tolist() == [[int(mean + Fraction(1, 2)) for mean in row] for row in means]
    whole = np.frombuffer(unpacked["train"][16:], np.uint8).mean()
    assert train.mean() == pytest.approx(whole, abs=0.05)


def test_refused_as_mnist(fashion_mnist_files, tmp_path):
    with pytest.raises(UserError, match=r"t10k-images-idx3-ubyte.*wrong checksum"):
        prepare("mnist", tmp_path, fashion_mnist_files)
