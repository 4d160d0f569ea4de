"""Splits that are published as one PNG an image, in a folder or a .tar of it: ImageNet's older small releases."""

import hashlib
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np

from diffenc.data.formats import damage_named
from diffenc.io.errors import UserError

TOGETHER = 10_000  # images a batch


def read_pngs(path: Path, side: int, digests: dict[str, str]) -> Iterator[np.ndarray]:
    """The images in the order of their names, batch by batch: (N, 3, side, side) uint8.

    `digests` receives the split's name -> sha256 of all names and files in that order, the same for folder and .tar.

    Raises:
        UserError: a file is damaged, or no colour PNG of this size; there is none.
    """
    digest, images = hashlib.sha256(), []
    with _opened(path) as files:
        for name, content in files:
            digest.update(f"{name}\n{len(content)}\n".encode())
            digest.update(content)
            images.append(_pixels(content, f"{path}: {name}", side))
            if len(images) == TOGETHER:
                yield np.stack(images)
                images = []
    if images:
        yield np.stack(images)
    digests[path.name.removesuffix(".tar")] = digest.hexdigest()


@contextmanager
def _opened(path: Path) -> Iterator[Iterator[tuple[str, bytes]]]:
    """(name, content) of all PNG files, by name."""
    if path.is_dir():
        files = sorted(path.rglob("*.png"), key=lambda file: file.name)
        yield ((file.name, file.read_bytes()) for file in files)
        return
    with damage_named(path), tarfile.open(path) as tar:
        members = [one for one in tar.getmembers() if one.isfile() and one.name.endswith(".png")]
        members.sort(key=lambda one: Path(one.name).name)
        yield ((Path(one.name).name, tar.extractfile(one).read()) for one in members)


def _pixels(content: bytes, source: str, side: int) -> np.ndarray:
    from PIL import Image

    with damage_named(source), Image.open(BytesIO(content), formats=["PNG"]) as image:
        if image.mode != "RGB" or image.size != (side, side):
            raise UserError(
                f"{source}: is {image.mode} of {image.size[0]} x {image.size[1]}, must be RGB of {side} x {side};"
                " fetch the original file again"
            )
        return np.asarray(image).transpose(2, 0, 1)
