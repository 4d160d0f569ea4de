"""Data sets of the user's own: files of uint8 images, channels last or without a channel."""

from functools import cache
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from diffenc.data.catalog import DatasetSpec
from diffenc.io.arrays import DAMAGE, check_array_file
from diffenc.io.errors import UserError
from diffenc.io.schema import Place, Strict

RELEASE = "the user's own arrays"
BATCH = 128


def _shape(path: Path) -> tuple[int, ...]:
    """Of a file's images; an .npz is read once, not whenever a table wants a title."""
    try:
        status = path.stat()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); name the file of the images")
    return _shape_of(path, status.st_mtime_ns, status.st_size)


@cache
def _shape_of(path: Path, *version: int) -> tuple[int, ...]:
    return read(path).shape


def read(path: Path) -> np.ndarray:
    """Images as (N, C, H, W) uint8, memory-mapped. Raises UserError if the file does not hold square images."""
    form = "give a .npy, or an .npz's `images`, of uint8 images (N, H, W) or (N, H, W, C), C = 1 or 3, H = W"
    if path.exists():
        check_array_file(path, form)
    try:
        images = np.load(path, mmap_mode="r", allow_pickle=False)
        images = images["images"] if isinstance(images, np.lib.npyio.NpzFile) else images
    except (KeyError, *DAMAGE) as error:
        raise UserError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error}); {form}")
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.ndim not in (3, 4):
        raise UserError(f"{path}: is not an array of images; {form}")
    images = images[..., None] if images.ndim == 3 else images
    count, height, width, channels = images.shape
    if not count or height != width or channels not in (1, 3):
        raise UserError(f"{path}: has shape {images.shape}; {form}")
    return images.transpose(0, 3, 1, 2)


class Arrays(Strict):
    """A data set of the user's own: files of uint8 images, .npy or `images` in an .npz, (N, H, W) or (N, H, W, C)."""

    title: str
    """In tables and on the page"""
    train: Place
    """uint8, (N, H, W) or (N, H, W, C), square; or `images` in an .npz"""
    test: Place
    """Likewise"""
    levels: Annotated[int, Field(ge=2, le=256)] = 256
    """Of a pixel, 0 to levels - 1"""
    noise: Place | None = None
    """An .npz with t (N,), eps_0 and eps_t (N, H, W, C) for the test images, as another implementation drew them:
    they are evaluated under it, in one pass"""


def spec(arrays: Arrays) -> DatasetSpec:
    """Shape, levels and counts, from the files. Raises UserError if a file is none of images."""
    train, test = (_shape(Path(file)) for file in (arrays.train, arrays.test))
    if train[1:] != test[1:]:
        raise UserError(f"{arrays.test}: images of shape {test[1:]}, in {arrays.train} {train[1:]}; make them alike")
    _, channels, side, _ = test
    return DatasetSpec(arrays.title, channels, side, arrays.levels, train[0], test[0], BATCH, RELEASE)
