"""ImageNet32 from made-up batches of the real layout, small ones and of the real size."""

import hashlib
import os
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest

from diffenc.data import download, load, manifest, prepare, verify
from diffenc.io.errors import UserError

TRAIN = [f"train_data_batch_{i}" for i in range(1, 11)]
PER_BATCH, LAST_BATCH, VALIDATION = 128_116, 128_123, 50_000


def save(path, pixels):
    """One batch, as a pickle or as npz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    batch = {"data": pixels, "labels": list(range(1, len(pixels) + 1)), "mean": pixels.mean(axis=0)}
    if path.suffix == ".npz":
        np.savez(path, **batch)
    else:
        with path.open("wb") as file:
            pickle.dump(batch, file, protocol=3)


@pytest.fixture
def pixels(resize, random_pixels):
    """Three images a batch, by file name."""
    resize("imagenet32", 30, 3)
    return {name: random_pixels(3) for name in [*TRAIN, "val_data"]}


@pytest.mark.parametrize(
    ("train", "validation", "suffix"),
    [
        ("imagenet32", "imagenet32", ""),
        ("imagenet32/Imagenet32_train", "imagenet32/Imagenet32_val", ""),
        ("Imagenet32_train_npz", "Imagenet32_val_npz", ".npz"),
        ("", "", ".npz"),
        ("Imagenet32_train", "imagenet32/Imagenet32_val_npz", ""),
    ],
)
def test_pixels_arrive_wherever_the_files_lie(pixels, tmp_path, sha256_of, train, validation, suffix):
    files = tmp_path / "files"
    last = ".npz" if "npz" in validation else suffix
    paths = {name: files / train / (name + suffix) for name in TRAIN}
    paths["val_data"] = files / validation / ("val_data" + last)
    for name, path in paths.items():
        save(path, pixels[name])
    prepare("imagenet32", tmp_path / "out", files)
    expected = np.concatenate([pixels[name] for name in TRAIN]).reshape(-1, 3, 32, 32)
    assert np.array_equal(load(tmp_path / "out", "train"), expected)
    assert np.array_equal(load(tmp_path / "out", "test"), pixels["val_data"].reshape(-1, 3, 32, 32))
    content = manifest(tmp_path / "out")
    assert content["originals"] == {path.name: sha256_of(path) for path in paths.values()}
    assert "50,000" in content["release"]


def test_planes_are_red_green_blue(pixels, tmp_path):
    coloured = np.zeros((3, 3072), np.uint8)
    coloured[:, :1024], coloured[:, 1024:2048] = 200, 100
    coloured[:, 2048 + 33] = 7  # blue, second row, second column
    for name in pixels:
        save(tmp_path / name, coloured)
    prepare("imagenet32", tmp_path / "out", tmp_path)
    image = load(tmp_path / "out", "test")[0]
    assert (image[0] == 200).all()
    assert (image[1] == 100).all()
    assert image[2, 1, 1] == image[2].sum() == 7


def test_missing_files_are_listed(pixels, tmp_path, offline):
    for name in pixels:
        if name not in ("train_data_batch_4", "val_data"):
            save(tmp_path / name, pixels[name])
    message = r"imagenet32: train_data_batch_4, val_data missing; unpack Imagenet32_train.zip .* there"
    with pytest.raises(UserError, match=message) as error:
        prepare("imagenet32", tmp_path / "out", tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("old", ["train_32x32", "valid_32x32", "train_32x32.tar"])
def test_folders_of_the_old_release_are_refused(tmp_path, old):
    (tmp_path / "imagenet32" / old).mkdir(parents=True)
    with pytest.raises(UserError, match=f"{old}: this is the older release .* not comparable"):
        prepare("imagenet32", tmp_path / "out", tmp_path)


def test_validation_set_of_the_old_release_is_refused(tmp_path, left_in):
    save(tmp_path / "val_data", np.zeros((49_999, 3072), np.uint8))
    for name in TRAIN:
        save(tmp_path / name, np.zeros((1, 3072), np.uint8))
    message = "val_data: 49,999 test images, must be 50,000; this is the older release .* not comparable"
    with pytest.raises(UserError, match=message) as error:
        prepare("imagenet32", tmp_path / "out", tmp_path)
    assert "\n" not in str(error.value)
    assert left_in(tmp_path / "out") == []


def test_training_set_of_the_old_release_is_refused(pixels, tmp_path, monkeypatch, left_in):
    monkeypatch.setitem(download.OLD, "train", 28)
    for name in pixels:
        save(tmp_path / name, pixels[name][: 1 if name == "train_data_batch_7" else 3])
    message = "train_data_batch_1 and the 9 others: 28 train images, must be 30; this is the older release"
    with pytest.raises(UserError, match=message):
        prepare("imagenet32", tmp_path / "out", tmp_path)
    assert left_in(tmp_path / "out") == []


@pytest.mark.parametrize("suffix", ["", ".npz"])
@pytest.mark.parametrize("keep", [0, 100, 5000, -1])
def test_short_file_is_named_and_nothing_is_left(pixels, tmp_path, left_in, suffix, keep):
    for name in pixels:
        save(tmp_path / (name + suffix), pixels[name])
    path = tmp_path / f"train_data_batch_10{suffix}"
    os.truncate(path, keep if keep >= 0 else path.stat().st_size + keep)
    with pytest.raises(UserError, match=f"train_data_batch_10{suffix}: is damaged or cut short") as error:
        prepare("imagenet32", tmp_path / "out", tmp_path)
    assert "\n" not in str(error.value)
    assert left_in(tmp_path / "out") == []


@pytest.fixture
def real_size(tmp_path):
    """The folder of made-up files of the real size, and how to make their pixels again; 5 GB at the end, removed."""

    def pixels(seed, count):
        return np.random.default_rng(seed).integers(0, 256, (count, 3072), np.uint8)

    save(tmp_path / TRAIN[0], pixels(1, PER_BATCH))
    for name in TRAIN[1:9]:
        os.link(tmp_path / TRAIN[0], tmp_path / name)
    save(tmp_path / TRAIN[9], pixels(2, LAST_BATCH))
    save(tmp_path / "val_data", pixels(3, VALIDATION))
    yield tmp_path, pixels
    shutil.rmtree(tmp_path)


@pytest.mark.long
def test_real_size_in_less_than_a_gigabyte(real_size):
    folder, pixels = real_size
    # The peak of this process alone: ru_maxrss of a child counts what its parent used before it.
    code = (
        "import sys; from pathlib import Path; from diffenc.data import prepare;"
        "prepare('imagenet32', Path(sys.argv[1], 'out'), Path(sys.argv[1]));"
        "print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    peak = subprocess.run([sys.executable, "-c", code, folder], check=True, capture_output=True, text=True).stdout
    assert int(peak.split()[1]) * 1024 < 1e9
    train, test = load(folder / "out", "train"), load(folder / "out", "test")
    assert train.shape == (1_281_167, 3, 32, 32)
    first, last = pixels(1, PER_BATCH), pixels(2, LAST_BATCH)
    for batch in (0, 8):
        written = train[batch * PER_BATCH : (batch + 1) * PER_BATCH]
        assert np.array_equal(written.reshape(PER_BATCH, -1), first)
    assert np.array_equal(train[-LAST_BATCH:].reshape(LAST_BATCH, -1), last)
    assert np.array_equal(test.reshape(VALIDATION, -1), pixels(3, VALIDATION))
    verify(folder / "out")
    with (folder / TRAIN[9]).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    assert manifest(folder / "out")["originals"][TRAIN[9]] == digest
