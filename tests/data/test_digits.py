import json

import numpy as np
import pytest
from sklearn.datasets import load_digits

from diffenc.data import load, manifest, prepare, verify
from diffenc.io.errors import UserError


@pytest.fixture
def digits(tmp_path):
    prepare("digits", tmp_path / "digits", tmp_path / "no files")
    return tmp_path / "digits"


def test_every_image_of_sklearn_is_in_one_split(digits):
    train, test = load(digits, "train"), load(digits, "test")
    assert train.shape == (1497, 1, 8, 8)
    assert test.shape == (300, 1, 8, 8)
    assert train.dtype == test.dtype == np.uint8
    bunch = load_digits()
    originals = [row.astype(np.uint8).tobytes() for row in bunch.data]
    assert sorted(image.tobytes() for image in [*train, *test]) == sorted(originals)
    assert test[1].tobytes() == originals[6]
    assert train[0].tobytes() == originals[1]


def test_both_splits_have_all_digits_alike():
    shares = [np.bincount(load_digits().target[rows]) for rows in (slice(0, None, 6), slice(None))]
    assert np.abs(shares[0] / 300 - shares[1] / 1797).max() < 0.03


def test_manifest_says_what_is_there(digits, sha256_of):
    content = manifest(digits)
    assert content == json.loads((digits / "manifest.json").read_text())
    assert (content["dataset"], content["shape"], content["levels"]) == ("digits", [1, 8, 8], 17)
    assert content["levels"] == load(digits, "train").max() + 1
    assert content["train"] == {"count": 1497, "sha256": sha256_of(digits / "train.npy")}
    pixels = [int((load(digits, "test") == value).sum()) for value in range(17)]
    assert content["test"] == {"count": 300, "sha256": sha256_of(digits / "test.npy"), "pixels": pixels}
    verify(digits)


def test_files_are_those_that_numpy_writes(digits, tmp_path):
    np.save(tmp_path / "again.npy", np.array(load(digits, "train")))
    assert (tmp_path / "again.npy").read_bytes() == (digits / "train.npy").read_bytes()


def test_preparing_twice_gives_identical_bytes(digits, left_in):
    names = ["manifest.json", "test.npy", "train.npy"]
    before = [(digits / name).read_bytes() for name in names]
    prepare("digits", digits, digits)
    assert left_in(digits) == names
    assert [(digits / name).read_bytes() for name in names] == before


def test_unknown_data_set(tmp_path):
    with pytest.raises(UserError, match=r"unknown data set 'digit'; known: digits, mnist"):
        prepare("digit", tmp_path, tmp_path)


def test_out_that_cannot_be_written(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(UserError, match="out: cannot be read or written"):
        prepare("digits", tmp_path / "out", tmp_path)
