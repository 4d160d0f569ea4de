"""CIFAR-10 from made-up batches, byte for byte as Python 2 pickled the real ones."""

import hashlib
import io
import os
import pickle
import struct
import tarfile
import warnings

import numpy as np
import pytest
from torchvision.datasets import CIFAR10

from diffenc.data import load, manifest, prepare
from diffenc.io.errors import UserError

NAMES = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
FOLDER, ARCHIVE = "cifar-10-batches-py", "cifar-10-python.tar.gz"


def python2_pickle(pixels):
    """Protocol 2 with Python 2's str opcodes and numpy.core's name, as in the file of 2009."""

    def text(value):
        return b"U" + bytes([len(value)]) + value

    def integer(value):
        return b"J" + struct.pack("<i", value)

    raw = pixels.tobytes()
    dtype = b"cnumpy\ndtype\n" + text(b"u1") + b"K\x00K\x01\x87R"
    dtype += b"(K\x03" + text(b"|") + b"NNN" + integer(-1) + integer(-1) + b"K\x00tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b") + b"\x87R"
    array += b"(K\x01" + integer(len(pixels)) + integer(3072) + b"\x86" + dtype + b"\x89"
    array += b"T" + struct.pack("<i", len(raw)) + raw + b"tb"
    labels = b"](" + b"K\x03" * len(pixels) + b"e"
    entries = {b"batch_label": text(b"training batch 1 of 5"), b"labels": labels, b"data": array}
    return b"\x80\x02}(" + b"".join(text(key) + value for key, value in entries.items()) + b"u."


@pytest.fixture
def pixels(resize, random_pixels):
    """Four images a batch, by file name."""
    resize("cifar10", 20, 4)
    return {name: random_pixels(4) for name in NAMES}


@pytest.fixture
def pin(monkeypatch):
    """pin(contents): these are the expected checksums."""

    def pin(contents):
        sums = [[name, hashlib.md5(content).hexdigest()] for name, content in contents.items()]
        monkeypatch.setattr(CIFAR10, "train_list", sums[:5])
        monkeypatch.setattr(CIFAR10, "test_list", sums[5:])

    return pin


@pytest.fixture
def contents(pixels, pin):
    contents = {name: python2_pickle(values) for name, values in pixels.items()}
    pin(contents)
    return contents


def put(folder, contents):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)


def pack(path, contents, monkeypatch):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as tar:
        for name, content in reversed(contents.items()):
            member = tarfile.TarInfo(f"{FOLDER}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    monkeypatch.setattr(CIFAR10, "tgz_md5", hashlib.md5(path.read_bytes()).hexdigest())


def assert_prepared(folder, pixels):
    train = np.concatenate([pixels[name] for name in NAMES[:5]]).reshape(-1, 3, 32, 32)
    assert np.array_equal(load(folder, "train"), train)
    assert np.array_equal(load(folder, "test"), pixels["test_batch"].reshape(-1, 3, 32, 32))


def test_the_made_up_batch_is_a_pickle(pixels, contents):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy 2.4: dtype(align=0), as the real files have it
        batch = pickle.loads(contents["test_batch"], encoding="latin1")
    assert np.array_equal(batch["data"], pixels["test_batch"])


@pytest.mark.parametrize("place", ["cifar10", f"cifar10/{FOLDER}", FOLDER, ""])
def test_pixels_arrive_wherever_the_files_lie(pixels, contents, tmp_path, sha256_of, place):
    put(tmp_path / "files" / place, contents)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prepare("cifar10", tmp_path / "out", tmp_path / "files")
    assert_prepared(tmp_path / "out", pixels)
    used = {name: sha256_of(tmp_path / "files" / place / name) for name in NAMES}
    assert manifest(tmp_path / "out")["originals"] == used


@pytest.mark.parametrize("place", ["cifar10", ""])
def test_archive(pixels, contents, tmp_path, monkeypatch, sha256_of, place):
    archive = tmp_path / "files" / place / ARCHIVE
    pack(archive, contents, monkeypatch)
    prepare("cifar10", tmp_path / "out", tmp_path / "files")
    assert_prepared(tmp_path / "out", pixels)
    assert manifest(tmp_path / "out")["originals"] == {ARCHIVE: sha256_of(archive)}


@pytest.mark.parametrize("protocol", range(6))
def test_every_protocol_of_python_3(pixels, pin, tmp_path, protocol):
    contents = {
        name: pickle.dumps({b"data": values, b"labels": [np.int64(3)] * 4, b"filenames": ["a"]}, protocol)
        for name, values in pixels.items()
    }
    pin(contents)
    put(tmp_path, contents)
    prepare("cifar10", tmp_path / "out", tmp_path)
    assert_prepared(tmp_path / "out", pixels)


def test_pixels_stored_column_by_column(pixels, pin, tmp_path):
    contents = {name: pickle.dumps({"data": np.asfortranarray(values)}) for name, values in pixels.items()}
    pin(contents)
    put(tmp_path, contents)
    prepare("cifar10", tmp_path / "out", tmp_path)
    assert_prepared(tmp_path / "out", pixels)


@pytest.mark.parametrize("name", ["data_batch_3", "test_batch"])
def test_wrong_checksum(contents, tmp_path, left_in, name):
    put(tmp_path, contents | {name: contents[name][:-1]})
    with pytest.raises(UserError, match=f"{name}: wrong checksum"):
        prepare("cifar10", tmp_path / "out", tmp_path)
    assert left_in(tmp_path / "out") == []


def test_wrong_checksum_of_the_archive(contents, tmp_path, monkeypatch, left_in):
    pack(tmp_path / ARCHIVE, contents, monkeypatch)
    os.truncate(tmp_path / ARCHIVE, 1000)
    with pytest.raises(UserError, match=f"{ARCHIVE}: wrong checksum"):
        prepare("cifar10", tmp_path / "out", tmp_path)
    assert left_in(tmp_path / "out") == []


def test_archive_without_a_batch(contents, tmp_path, monkeypatch):
    pack(tmp_path / ARCHIVE, {name: contents[name] for name in NAMES[1:]}, monkeypatch)
    with pytest.raises(UserError, match=f"{ARCHIVE}: is damaged .*data_batch_1"):
        prepare("cifar10", tmp_path / "out", tmp_path)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({"labels": [1]}, "has no such array"),
        ({"data": [1, 2]}, "has no such array"),
        ({"data": np.zeros((4, 3072))}, "has no such array"),
        ({"data": np.zeros((4, 3072), object)}, "has no such array"),
        ({"data": np.zeros((4, 1024), np.uint8)}, r"has uint8 \(4, 1024\)"),
        ({"data": np.zeros((4, 3, 32, 32), np.uint8)}, r"has uint8 \(4, 3, 32, 32\)"),
        ([np.zeros((4, 3072), np.uint8)], "has no such array"),
        ({"data": np.zeros((3, 3072), np.uint8)}, "3 test images, must be 4"),
    ],
)
def test_other_content_with_a_right_sum(contents, pin, tmp_path, left_in, batch, message):
    contents["test_batch"] = pickle.dumps(batch, 3)
    pin(contents)
    put(tmp_path, contents)
    with pytest.raises(UserError, match=f"test_batch: .*{message}"):
        prepare("cifar10", tmp_path / "out", tmp_path)
    assert left_in(tmp_path / "out") == []


def test_missing_batch_without_network(contents, offline, tmp_path):
    del contents["data_batch_4"]
    put(tmp_path / "cifar10", contents)
    message = rf"{ARCHIVE}: .*no network.*put {ARCHIVE}, or data_batch_4, into .*cifar10"
    with pytest.raises(UserError, match=message) as error:
        prepare("cifar10", tmp_path / "out", tmp_path)
    assert "\n" not in str(error.value)
