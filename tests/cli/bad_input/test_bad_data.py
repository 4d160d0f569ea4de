"""Original files and prepared data: missing, damaged, changed, or of another set."""

import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from mistakes import COMPUTING, DATA, ENCODE, EVALUATE, TRAIN, TRAIN_NEW


def test_missing_original_files_without_network(refused, monkeypatch):
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    error = refused(["prepare", "cifar10", "--files", "empty", "--out", "results/data/cifar10"])
    assert "error: empty/cifar10/cifar-10-python.tar.gz: is missing and cannot be downloaded" in error
    assert error.endswith("data_batch_5, test_batch, into empty/cifar10\n")


def test_original_file_with_a_wrong_checksum(refused):
    Path("files").mkdir()
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        Path("files", name).write_bytes(b"not what was published")
    error = refused(["prepare", "cifar10", "--files", "files", "--out", "results/data/cifar10"])
    assert "error: files/test_batch: wrong checksum (md5 " in error
    assert error.endswith("; fetch the original file again\n")


def test_older_imagenet32(refused):
    Path("files").mkdir()
    for name, count in {"val_data": 49_999, **{f"train_data_batch_{i}": 1 for i in range(1, 11)}}.items():
        batch = {"data": np.zeros((count, 3072), np.uint8), "labels": [1] * count}
        Path("files", name).write_bytes(pickle.dumps(batch, 3))
    error = refused(["prepare", "imagenet32", "--files", "files", "--out", "results/data/imagenet32"])
    assert "error: files/val_data: 49,999 test images, must be 50,000; this is the older release" in error
    assert "name the data set imagenet32_old in the study, or download the newer one" in error


def test_data_not_prepared(refused):
    shutil.rmtree(DATA)
    error = refused(TRAIN_NEW)
    assert f"error: {DATA}/manifest.json: cannot be read" in error
    assert f"run `diffenc prepare digits --out {DATA}`" in error


def test_prepared_file_cut_short(refused):
    os.truncate(f"{DATA}/train.npy", 5000)
    assert f"error: {DATA}/train.npy: is damaged or cut short; run `diffenc prepare digits" in refused(
        [*TRAIN, "new"]
    )


@pytest.mark.parametrize("command", COMPUTING)
def test_data_of_another_set(refused, command):
    path = Path(DATA, "manifest.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"dataset": "mnist"}))
    error = refused(command)
    assert f"error: --data {DATA}: holds mnist, the run is on digits; name the folder of digits\n" in error


@pytest.mark.parametrize(
    ("file", "commands"), [("test.npy", (EVALUATE, ENCODE, TRAIN_NEW)), ("train.npy", (TRAIN_NEW,))]
)
def test_changed_data_are_found_by_every_reader(refused, file, commands):
    path = Path(DATA, file)
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(bytes(content))
    for command in commands:
        assert f"{DATA}/{file}: was changed: its sha256 is" in refused(command)


@pytest.mark.parametrize(("file", "command"), [("test.npy", EVALUATE), ("train.npy", TRAIN_NEW)])
def test_a_pipe_in_the_place_of_data(refused, file, command):
    Path(DATA, file).unlink()
    os.mkfifo(f"{DATA}/{file}")
    assert f"{DATA}/{file}: is no regular file" in refused(command)
