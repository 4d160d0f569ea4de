"""Images of people's own, in an .npy or as PNG files in a folder."""

from pathlib import Path

import numpy as np

from diffenc.data.formats import damage_named
from diffenc.io.arrays import check_array_file
from diffenc.io.errors import UserError
from diffenc.io.files import write_atomically


def read_images(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """(N, C, H, W) uint8 of that shape (C, H, W), from an .npy or, by name, from a folder of PNG files.

    Raises:
        UserError: there are none, or they are damaged or of another shape.
    """
    images = _of_folder(path) if path.is_dir() else _of_array(path)
    channels, *sides = shape
    if images.ndim == 3:
        images = images[:, None]
    elif images.ndim == 4 and images.shape[1:] == (*sides, channels):
        images = images.transpose(0, 3, 1, 2)
    if images.dtype != np.uint8 or images.shape[1:] != shape or not len(images):
        raise UserError(
            f"{path}: has {images.dtype} {images.shape}; the model takes uint8 images of (C, H, W) = {shape}"
        )
    return np.ascontiguousarray(images)


def write_images(path: Path, images: np.ndarray) -> None:
    """To an .npy of (N, C, H, W), or as numbered PNG files into a folder. Raises UserError."""
    if path.suffix == ".npy":
        write_atomically(path, lambda temporary: _save(temporary, images))
        return
    from PIL import Image

    digits = len(str(len(images) - 1))
    for i, image in enumerate(images):
        picture = Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0))
        write_atomically(
            path / f"{i:0{digits}d}.png", lambda temporary, picture=picture: picture.save(temporary, "PNG")
        )


def _save(temporary: Path, images: np.ndarray) -> None:
    with temporary.open("wb") as file:
        np.save(file, images)


def _of_array(path: Path) -> np.ndarray:
    form = "name an .npy of images, or a folder of PNG files"
    if not path.exists():
        raise UserError(f"{path}: no such file or folder; {form}")
    check_array_file(path, form)
    with damage_named(path):
        images = np.load(path, allow_pickle=False)
    if not isinstance(images, np.ndarray):
        raise UserError(f"{path}: is an archive of arrays; {form}")
    return images


def _of_folder(path: Path) -> np.ndarray:
    from PIL import Image

    found = []
    for file in sorted(path.glob("*.png")):
        with damage_named(file), Image.open(file, formats=["PNG"]) as image:
            if image.mode not in ("L", "RGB"):
                raise UserError(f"{file}: is {image.mode}; give grey (L) or colour (RGB) PNG files of 8 bits")
            found.append(np.atleast_3d(np.asarray(image)))
            if found[-1].shape != found[0].shape:
                raise UserError(f"{file}: is {found[-1].shape}, others are {found[0].shape}; give images of one size")
    if not found:
        raise UserError(f"{path}: has no *.png; name a folder of PNG files, or an .npy of images")
    return np.stack(found)
