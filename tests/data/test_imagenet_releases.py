"""ImageNet64, and the older releases of both sizes: one PNG an image, in a folder or a .tar."""

import io
import shutil
import tarfile

import numpy as np
import pytest
from PIL import Image
from test_imagenet32 import TRAIN, save

from diffenc.data import load, manifest, prepare
from diffenc.io.errors import UserError


def png(pixels):
    """(3, H, W) uint8 as a file's content."""
    buffer = io.BytesIO()
    Image.fromarray(pixels.transpose(1, 2, 0)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(params=[32, 64])
def old(request, resize, tmp_path):
    """Name, side and pixels by split, and the folder of their files."""
    side, files = request.param, tmp_path / "files"
    name = f"imagenet{side}_old"
    resize(name, 7, 3)
    pixels = {
        split: np.random.default_rng(side).integers(0, 256, (n, 3, side, side)).astype(np.uint8)
        for split, n in (("train", 7), ("valid", 3))
    }
    for split, images in pixels.items():
        folder = files / name / f"{split}_{side}x{side}"
        folder.mkdir(parents=True)
        for i in np.random.default_rng(0).permutation(len(images)):
            (folder / f"{i:07d}.png").write_bytes(png(images[i]))
    return name, side, pixels, files


def test_folders_and_tars_give_the_same(old, tmp_path, monkeypatch):
    name, side, pixels, files = old
    monkeypatch.setattr("diffenc.data.png_folder.TOGETHER", 3)
    prepare(name, tmp_path / "folder", files)
    assert np.array_equal(load(tmp_path / "folder", "train"), pixels["train"])
    assert np.array_equal(load(tmp_path / "folder", "test"), pixels["valid"])
    for folder in list((files / name).iterdir()):
        with tarfile.open(f"{folder}.tar", "w") as tar:
            for file in sorted(folder.iterdir(), reverse=True):
                tar.add(file, f"{folder.name}/{file.name}")
        shutil.rmtree(folder)
    prepare(name, tmp_path / "tar", files)
    assert manifest(tmp_path / "tar") == manifest(tmp_path / "folder")
    assert set(manifest(tmp_path / "tar")["originals"]) == {f"train_{side}x{side}", f"valid_{side}x{side}"}


def refused(name, tmp_path, files, left_in, match):
    with pytest.raises(UserError, match=match) as error:
        prepare(name, tmp_path / "out", files)
    assert "\n" not in str(error.value)
    assert left_in(tmp_path / "out") == []


def test_what_is_wrong_is_named(old, tmp_path, left_in):
    name, side, pixels, files = old
    image = files / name / f"train_{side}x{side}" / "0000004.png"
    good = image.read_bytes()
    image.write_bytes(good[:-40])
    refused(name, tmp_path, files, left_in, "0000004.png: is damaged or cut short")
    image.write_bytes(png(pixels["train"][4][:, :, 1:]))
    refused(name, tmp_path, files, left_in, rf"0000004.png: is RGB of {side - 1} x {side}, must be RGB of {side} x")
    buffer = io.BytesIO()
    Image.fromarray(pixels["train"][4][0]).save(buffer, "PNG")
    image.write_bytes(buffer.getvalue())
    refused(name, tmp_path, files, left_in, f"0000004.png: is L of {side} x {side}")
    image.unlink()
    refused(name, tmp_path, files, left_in, "6 train images, must be 7; fetch the original files again")
    shutil.rmtree(image.parent)
    refused(
        name, tmp_path, files, left_in, f"{name}: train_{side}x{side} missing; put your copy there, folders of PNG"
    )


def test_imagenet64_from_batches(resize, random_pixels, tmp_path):
    resize("imagenet64", 20, 2)
    files, pixels = tmp_path / "files", {name: random_pixels(2, 12_288) for name in [*TRAIN, "val_data"]}
    for i, (name, images) in enumerate(pixels.items()):
        folder = "val_npz" if name == "val_data" else f"train_part{1 + i // 5}_npz"
        save(files / f"Imagenet64_{folder}" / f"{name}.npz", images)
    prepare("imagenet64", tmp_path / "out", files)
    expected = np.concatenate([pixels[name] for name in TRAIN]).reshape(-1, 3, 64, 64)
    assert np.array_equal(load(tmp_path / "out", "train"), expected)
    assert load(tmp_path / "out", "test").shape == (2, 3, 64, 64)


def test_imagenet64_of_another_size_or_release(resize, random_pixels, tmp_path, left_in):
    resize("imagenet64", 20, 2)
    refused(
        "imagenet64", tmp_path, tmp_path, left_in, "unpack Imagenet64_train_part1.zip, Imagenet64_train_part2.zip"
    )
    for name in [*TRAIN, "val_data"]:
        save(tmp_path / name, random_pixels(2))
    refused(
        "imagenet64", tmp_path, tmp_path, left_in, r"val_data: a batch's `data` is uint8 \(N, 12288\), this file has"
    )
    (tmp_path / "imagenet64/valid_64x64").mkdir(parents=True)
    (tmp_path / "val_data").unlink()
    refused(
        "imagenet64", tmp_path, tmp_path, left_in, "older release of ImageNet64 .* name the data set imagenet64_old"
    )
