"""Writing a data set: train.npy, test.npy and a manifest, each split streamed through one batch of memory."""

import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from diffenc.data import custom, pixels, readers
from diffenc.data.catalog import DATASETS, DatasetSpec
from diffenc.data.custom import Arrays
from diffenc.data.download import FILES, OLD, locate, old_refused
from diffenc.data.shrink import averaged
from diffenc.io.errors import UserError
from diffenc.io.files import sha256_of

MANIFEST = "manifest.json"


def prepare(name: str, out: Path, files: Path) -> None:
    """Write `out`/train.npy and test.npy, uint8 (N, C, H, W), and manifest.json, from the original files.

    The originals are looked for in `files`/NAME and in `files`, checked, and else downloaded to `files`/NAME
    where the data set's terms allow it. Peak memory is that of the largest original file.

    Raises:
        UserError: the data set is unknown; an original is missing, damaged, has a wrong checksum or belongs to
            another release; `out` cannot be written. Then nothing new is left in `out`.
    """
    if name not in DATASETS:
        raise UserError(f"unknown data set {name!r}; known: {', '.join(DATASETS)}")
    dataset = DATASETS[name]
    original = dataset.smaller or name
    with _explained(out):
        originals = locate(original, Path(files))
        digests: dict[str, str] = {}
        splits = readers.read(original, originals, digests)
        if dataset.smaller:
            shape = (-1, *DATASETS[original].shape)
            splits = {split: _averaged(batches, shape, dataset.side) for split, batches in splits.items()}
        _save(name, dataset, Path(out), splits, digests, lambda split, n: _wrong_count(original, split, n, originals))


def prepare_own(name: str, arrays: Arrays, out: Path) -> None:
    """Write a data set of the user's own as `prepare` does. Raises UserError likewise."""
    dataset = custom.spec(arrays)
    splits = {
        split: iter([custom.read(Path(file))]) for split, file in (("train", arrays.train), ("test", arrays.test))
    }
    for file in (arrays.train, arrays.test):
        if (highest := custom.read(Path(file)).max()) >= arrays.levels:
            raise UserError(f"{file}: has a pixel of {highest}, own_data.{name}.levels is {arrays.levels}; raise it")
    with _explained(out):
        digests = {file: sha256_of(Path(file)) for file in (arrays.train, arrays.test)}
        _save(name, dataset, Path(out), splits, digests, lambda split, n: f"{name}: {n} {split} images")


def _averaged(batches: readers.Batches, shape: tuple[int, ...], side: int) -> readers.Batches:
    for images in batches:
        yield averaged(images.reshape(shape), side)


@contextmanager
def _explained(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{error.filename or out}: cannot be read or written ({error.strerror}); check the path, its"
            " permissions and the space on the disk"
        ) from error


def _save(
    name: str,
    dataset: DatasetSpec,
    out: Path,
    splits: dict[str, readers.Batches],
    digests: dict[str, str],
    wrong_count: Callable[[str, int], str],
) -> None:
    manifest = {
        "dataset": name,
        "release": dataset.release,
        "shape": list(dataset.shape),
        "levels": dataset.levels,
    }
    with _staged(out) as paths:
        for split in ("test", "train"):  # the small one first: a wrong release shows at once
            count = getattr(dataset, split)
            total, sha256 = _write(paths[f"{split}.npy"], splits[split], (count, *dataset.shape))
            if total != count:
                raise UserError(wrong_count(split, total))
            manifest[split] = {"count": count, "sha256": sha256}
        # of the images that models are evaluated on
        manifest["test"]["pixels"] = pixels.counts(np.load(paths["test.npy"], mmap_mode="r"), dataset.levels)
        manifest["originals"] = dict(sorted(digests.items()))
        paths[MANIFEST].write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


@contextmanager
def _staged(out: Path) -> Iterator[dict[str, Path]]:
    """Temporary paths by final name, renamed together at the end; after an error none of them stays."""
    out.mkdir(parents=True, exist_ok=True)
    # Fixed names: what a killed run left is overwritten by the next one.
    paths = {file: out / f".{file}.partial" for file in ("train.npy", "test.npy", MANIFEST)}
    try:
        yield paths
        (out / MANIFEST).unlink(missing_ok=True)  # at no moment may a manifest describe other files
        for file, path in paths.items():
            os.replace(path, out / file)
    finally:
        for path in paths.values():
            path.unlink(missing_ok=True)


def _write(path: Path, batches: readers.Batches, shape: tuple[int, ...]) -> tuple[int, str]:
    """Write the batches as one .npy of `shape`; returns how many images came and the file's sha256."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    digest = hashlib.sha256(header.getvalue())
    total = 0
    with path.open("wb") as file:
        file.write(header.getvalue())
        for images in batches:
            images = np.ascontiguousarray(images)
            digest.update(images)
            file.write(images)
            total += len(images)
            del images  # else it would stay in memory beside the next one
    return total, digest.hexdigest()


def _wrong_count(name: str, split: str, total: int, originals: dict[str, Path]) -> str:
    paths = [path for file, path in originals.items() if file in FILES[name][split]]
    where = str(paths[0]) + (f" and the {len(paths) - 1} others" if len(paths) > 1 else "")
    count = getattr(DATASETS[name], split)
    if f"{name}_old" in FILES and total == OLD[split]:
        return f"{where}: {total:,} {split} images, must be {count:,}; {old_refused(name)}"
    return f"{where}: {total:,} {split} images, must be {count:,}; fetch the original files again"
