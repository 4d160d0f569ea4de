"""Arrays of the user's own: what is none of images is refused before it takes memory."""

import io
import os
import zipfile

import numpy as np
import pytest

from diffenc.data.custom import read
from diffenc.io.errors import UserError


def header(shape):
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def refused(path):
    with pytest.raises(UserError) as error:
        read(path)
    said = str(error.value)
    assert said.startswith(f"{path}: ")
    assert "\n" not in said
    assert said.endswith("of uint8 images (N, H, W) or (N, H, W, C), C = 1 or 3, H = W")
    return said


def test_images_with_and_without_channels(tmp_path):
    images = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
    np.save(tmp_path / "colour.npy", images)
    np.savez(tmp_path / "grey.npz", images=images[..., 0])
    assert np.array_equal(read(tmp_path / "colour.npy"), images.transpose(0, 3, 1, 2))
    assert np.array_equal(read(tmp_path / "grey.npz"), images[:, None, :, :, 0])


@pytest.mark.parametrize("packed", [True, False])
def test_a_header_that_says_more_than_there_is(tmp_path, packed):
    content, path = header((10**13, 8, 8)) + bytes(64), tmp_path / "lies"
    path.write_bytes(content)
    if packed:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("images.npy", content)
    assert ("more than memory" if packed else "cannot be read") in refused(path)


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (np.zeros((2, 4, 4)), "is not an array of images"),
        (np.zeros((2, 4, 5), np.uint8), "has shape (2, 4, 5, 1)"),
        (np.zeros((2, 4, 4, 2), np.uint8), "has shape (2, 4, 4, 2)"),
        (np.zeros((0, 4, 4), np.uint8), "has shape (0, 4, 4, 1)"),
    ],
)
def test_arrays_that_are_no_images(tmp_path, images, said):
    np.save(tmp_path / "x.npy", images)
    assert said in refused(tmp_path / "x.npy")


def test_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe.npy")
    assert "is no regular file" in refused(tmp_path / "pipe.npy")
