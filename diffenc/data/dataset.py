"""Reading a prepared data set: memory-mapped arrays, checked against their manifest."""

from functools import cache
from math import prod
from pathlib import Path
from typing import Annotated, Literal, NotRequired

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from diffenc.data import custom
from diffenc.data.catalog import DATASETS, DatasetSpec
from diffenc.data.prepare import MANIFEST
from diffenc.io.errors import UserError
from diffenc.io.files import sha256_of


class SplitEntry(TypedDict):
    """How many images a split has, its file's sha256, and how often each pixel value occurs.

    The latter of test images, and not in the manifests of versions before.
    """

    count: int
    sha256: str
    pixels: NotRequired[list[Annotated[int, Field(ge=0)]]]


class Manifest(TypedDict):
    """What a prepared data set is; `shape` is C, H, W; `originals` maps file name to sha256."""

    dataset: str
    release: str
    shape: Annotated[list[int], Field(min_length=3, max_length=3)]
    levels: int
    train: SplitEntry
    test: SplitEntry
    originals: dict[str, str]


def manifest(folder: Path) -> Manifest:
    """The manifest of a prepared data set.

    Raises:
        UserError: it is missing or not a manifest.
    """
    path = Path(folder) / MANIFEST
    try:
        content = TypeAdapter(Manifest).validate_json(path.read_bytes(), strict=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); {_remedy(folder)}") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the file"
        raise UserError(f"{path}: is damaged, {key}: {first['msg']}; {_remedy(folder)}") from error
    counted, pixels = content["test"].get("pixels"), content["test"]["count"] * prod(content["shape"])
    if counted is not None and (len(counted), sum(counted)) != (content["levels"], pixels):
        raise UserError(f"{path}: is damaged, test.pixels: do not count {pixels:,} pixels; {_remedy(folder)}")
    return content


def place(study: Path, prepared: Path, name: str) -> Path:
    """Where the manifest of a study's data set lies, `study` being results/STUDY.

    A study that was trained elsewhere has it in its own folder, others have the data below `prepared`.
    """
    own = study / "data" / name
    return own if own.is_dir() else prepared / name


def pixel_counts(folder: Path) -> list[int] | None:
    """How often each pixel value occurs in the test images; None without a manifest, or with one of before.

    Raises UserError if the manifest is damaged.
    """
    return manifest(folder)["test"].get("pixels") if (Path(folder) / MANIFEST).is_file() else None


def spec(folder: Path) -> DatasetSpec:
    """Shape, levels and counts of a prepared data set. Raises UserError as `manifest` does."""
    content = manifest(folder)
    if content["dataset"] in DATASETS:
        return DATASETS[content["dataset"]]
    (channels, side, _), counts = content["shape"], (content["train"]["count"], content["test"]["count"])
    name, levels, release = content["dataset"], content["levels"], content["release"]
    return DatasetSpec(name, channels, side, levels, *counts, custom.BATCH, release)


def load(folder: Path, split: Literal["train", "test"], verified: bool = False) -> np.memmap:
    """The images of a split, uint8 (N, C, H, W), memory-mapped read-only.

    Their sha256 is compared with the manifest's, once in a process, unless somebody has `verified` it.

    Raises:
        UserError: a file is missing, short or not what the manifest says.
    """
    content = manifest(folder)
    path = Path(folder) / f"{split}.npy"
    shape = (content[split]["count"], *content["shape"])
    if path.exists() and not path.is_file():
        raise UserError(f"{path}: is no regular file; {_remedy(folder)}")
    try:
        images = np.lib.format.open_memmap(path, mode="r")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); {_remedy(folder)}") from error
    except ValueError as error:
        raise UserError(f"{path}: is damaged or cut short; {_remedy(folder)}") from error
    if images.shape != shape or images.dtype != np.uint8:
        raise UserError(
            f"{path}: is {images.dtype} {images.shape}, the manifest says uint8 {shape}; {_remedy(folder)}"
        )
    if path.stat().st_size != images.offset + images.nbytes:
        raise UserError(f"{path}: is longer than the manifest says; {_remedy(folder)}")
    expected = content[split]["sha256"]
    status = path.stat()
    if not verified and (found := _sha256_of(path, status.st_mtime_ns, status.st_size)) != expected:
        raise UserError(f"{path}: was changed: its sha256 is {found}, the manifest's {expected}; {_remedy(folder)}")
    return images


@cache
def _sha256_of(path: Path, *version: int) -> str:
    return sha256_of(path)


def verify(folder: Path) -> None:
    """Read both splits in full and compare their sha256 with the manifest's.

    Raises:
        UserError: as `load`, or a file's content has changed.
    """
    load(folder, "train")
    load(folder, "test")


def _remedy(folder: Path) -> str:
    name = Path(folder).name if Path(folder).name in DATASETS else "DATASET"
    return f"run `diffenc prepare {name} --out {folder}`"
