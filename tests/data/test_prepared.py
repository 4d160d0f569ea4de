import json
import os

import numpy as np
import pytest

from diffenc.data import load, manifest, pixel_counts, prepare, verify
from diffenc.io.errors import UserError


@pytest.fixture
def digits(tmp_path):
    prepare("digits", tmp_path / "digits", tmp_path)
    return tmp_path / "digits"


def test_arrays_are_memory_mapped_and_read_only(digits):
    images = load(digits, "test")
    assert isinstance(images, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        images[0] = 0


def test_missing_folder_names_the_remedy(tmp_path):
    with pytest.raises(UserError, match=r"mnist/manifest.json: .*run `diffenc prepare mnist --out .*mnist`"):
        load(tmp_path / "mnist", "train")


def test_missing_array(digits):
    (digits / "train.npy").unlink()
    with pytest.raises(UserError, match=r"train.npy: cannot be read .*`diffenc prepare digits --out .*digits`"):
        load(digits, "train")
    assert len(load(digits, "test")) == 300


@pytest.mark.parametrize("size", [0, 10, 100, 1000, -1])
def test_short_array(digits, size):
    path = digits / "train.npy"
    os.truncate(path, size if size >= 0 else path.stat().st_size + size)
    with pytest.raises(UserError, match=r"train.npy: is damaged or cut short"):
        load(digits, "train")


def test_long_array(digits):
    with (digits / "train.npy").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(UserError, match=r"train.npy: is longer"):
        load(digits, "train")


@pytest.mark.parametrize("other", [np.zeros((3, 1, 8, 8), np.uint8), np.zeros((1497, 1, 8, 8), np.int8)])
def test_array_of_another_shape_or_type(digits, other):
    np.save(digits / "train.npy", other)
    with pytest.raises(UserError, match=r"train.npy: is .* the manifest says uint8 \(1497, 1, 8, 8\)"):
        load(digits, "train")


def test_a_changed_pixel_is_found(digits):
    load(digits, "test")
    images = np.load(digits / "test.npy", mmap_mode="r+")
    images[7, 0, 3, 3] += 1
    images.flush()
    assert load(digits, "test", verified=True).shape == images.shape
    for read in (lambda: load(digits, "test"), lambda: verify(digits)):
        with pytest.raises(
            UserError, match=r"test.npy: was changed: its sha256 is \w{64}, the manifest's \w{64}; run"
        ):
            read()


def test_damaged_manifests(digits):
    content = json.loads((digits / "manifest.json").read_text())
    short = {key: value for key, value in content.items() if key != "levels"}
    for text, key in [
        ('{"dataset": ', "the file"),
        ("[]", "the file"),
        (json.dumps(short), "levels"),
        (json.dumps(content | {"train": {"count": "many", "sha256": ""}}), "train.count"),
        (json.dumps(content | {"shape": [8, 8]}), "shape"),
    ]:
        (digits / "manifest.json").write_text(text)
        with pytest.raises(
            UserError, match=rf"manifest.json: is damaged, {key}: .*`diffenc prepare digits --out .*digits`"
        ) as error:
            manifest(digits)
        assert "\n" not in str(error.value)


def test_manifests_of_before_do_not_count_pixels(digits):
    counted = pixel_counts(digits)
    assert sum(counted) == 300 * 64
    content = json.loads((digits / "manifest.json").read_text())
    del content["test"]["pixels"]
    (digits / "manifest.json").write_text(json.dumps(content))
    assert pixel_counts(digits) is None
    verify(digits)  # the data is as valid as it was
    content["test"]["pixels"] = [*counted[:-1], counted[-1] + 1]
    (digits / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"manifest.json: is damaged, test.pixels: do not count 19,200 pixels; run"):
        manifest(digits)
    (digits / "manifest.json").unlink()
    assert pixel_counts(digits) is None
