"""The images of each data set, read from its original files batch by batch and checked on the way."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from diffenc.data.catalog import DATASETS
from diffenc.data.download import CIFAR10_ARCHIVE, FILES, IDX_SHA256
from diffenc.data.formats import HashingFile, damage_named, read_idx, read_npz, read_pickle
from diffenc.data.png_folder import read_pngs
from diffenc.io.errors import UserError

Batches = Iterator[np.ndarray]


def read(name: str, originals: dict[str, Path], digests: dict[str, str]) -> dict[str, Batches]:
    """For each split the images as batches, uint8 with C * H * W values an image, contiguous, to be read once.

    `originals` is what `originals.locate` found. `digests` receives file name -> sha256 of each file read.
    The batches raise UserError when a file is damaged or has a wrong checksum.
    """
    return _READERS[name](name, originals, digests)


def _digits(name: str, originals: dict[str, Path], digests: dict[str, str]) -> dict[str, Batches]:
    from sklearn.datasets import load_digits

    images = load_digits().images.astype(np.uint8)
    # Every sixth image is a test image. The set is sorted by writer: this way train and test share all writers,
    # hence the distribution, as a likelihood benchmark wants, and no random generator has to stay the same.
    test = np.arange(len(images)) % 6 == 0
    return {"train": iter([images[~test]]), "test": iter([images[test]])}


def _idx(name: str, originals: dict[str, Path], digests: dict[str, str]) -> dict[str, Batches]:
    dataset = DATASETS[name]

    def batches(file: str, count: int) -> Batches:
        path = originals[file]
        content = _read_files({file: path}, digests)[file]
        if path.suffix == ".gz":
            with damage_named(path):
                content = gzip.decompress(content)
        images = read_idx(content, path, (count, dataset.side, dataset.side))
        _check(path, "content's sha256", hashlib.sha256(content).hexdigest(), IDX_SHA256[name][file])
        yield images

    (train,), (test,) = FILES[name]["train"], FILES[name]["test"]
    return {"train": batches(train, dataset.train), "test": batches(test, dataset.test)}


def _cifar10(name: str, originals: dict[str, Path], digests: dict[str, str]) -> dict[str, Batches]:
    from torchvision.datasets import CIFAR10

    md5 = dict([*CIFAR10.train_list, *CIFAR10.test_list])
    archive = originals.get(CIFAR10_ARCHIVE)
    contents = _unpack_cifar10(archive, CIFAR10.tgz_md5, digests) if archive else _read_files(originals, digests)

    def batches(files: tuple[str, ...]) -> Batches:
        for file in files:
            source = f"{archive}: {file}" if archive else originals[file]
            _check(source, "md5", _md5(contents[file]), md5[file])
            yield read_pickle(io.BytesIO(contents[file]), source, DATASETS[name].dimensions)

    return {split: batches(files) for split, files in FILES[name].items()}


def _read_files(originals: dict[str, Path], digests: dict[str, str]) -> dict[str, bytes]:
    contents = {}
    for file, path in originals.items():
        with damage_named(path):
            contents[file] = path.read_bytes()
        digests[path.name] = hashlib.sha256(contents[file]).hexdigest()
    return contents


def _unpack_cifar10(archive: Path, md5: str, digests: dict[str, str]) -> dict[str, bytes]:
    """The six batches of the archive, in memory: the folder it lies in may be read-only."""
    content = _read_files({archive.name: archive}, digests)[archive.name]
    _check(archive, "md5", _md5(content), md5)
    with damage_named(archive), tarfile.open(fileobj=io.BytesIO(content)) as tar:
        members = {Path(member.name).name: tar.extractfile(member).read() for member in tar if member.isfile()}
        return {file: members[file] for split in FILES["cifar10"].values() for file in split}


def _imagenet(name: str, originals: dict[str, Path], digests: dict[str, str]) -> dict[str, Batches]:
    def batches(files: tuple[str, ...]) -> Batches:
        for path in (originals[file] for file in files):
            with damage_named(path):
                images, digests[path.name] = _imagenet_batch(path, DATASETS[name].dimensions)
            yield images
            del images  # this frame lives on while the next batch is read: two would be 0.8 GB

    return {split: batches(files) for split, files in FILES[name].items()}


def _imagenet_batch(path: Path, dimensions: int) -> tuple[np.ndarray, str]:
    """A batch (N, dimensions) uint8, and the file's sha256."""
    if path.suffix == ".npz":
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)  # a zip is read from its end: no hashing on the way
            return read_npz(file, path, dimensions), digest
    with HashingFile(path) as file:
        return read_pickle(file, path, dimensions), file.sha256()


def _pngs(name: str, originals: dict[str, Path], digests: dict[str, str]) -> dict[str, Batches]:
    return {split: read_pngs(originals[file], DATASETS[name].side, digests) for split, (file,) in FILES[name].items()}


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _check(source: str | Path, kind: str, found: str, expected: str) -> None:
    if found != expected:
        raise UserError(
            f"{source}: wrong checksum ({kind} {found}, must be {expected}); fetch the original file again"
        )


_READERS: dict[str, Callable[[str, dict[str, Path], dict[str, str]], dict[str, Batches]]] = {
    "digits": _digits,
    "mnist": _idx,
    "fashion_mnist": _idx,
    "cifar10": _cifar10,
    "imagenet32": _imagenet,
    "imagenet64": _imagenet,
    "imagenet32_old": _pngs,
    "imagenet64_old": _pngs,
}
