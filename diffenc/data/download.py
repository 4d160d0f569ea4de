"""The original files of each data set: their names, where they may lie, and how to download them."""

import http.client
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from diffenc.io.errors import UserError

SILENCE = 30.0  # seconds
Splits = dict[str, tuple[str, ...]]

_IDX: Splits = {"train": ("train-images-idx3-ubyte",), "test": ("t10k-images-idx3-ubyte",)}
_BATCHES: Splits = {"train": tuple(f"train_data_batch_{i}" for i in range(1, 11)), "test": ("val_data",)}

FILES: dict[str, Splits] = {
    "mnist": _IDX,
    "fashion_mnist": _IDX,
    "cifar10": {"train": tuple(f"data_batch_{i}" for i in range(1, 6)), "test": ("test_batch",)},
    "imagenet32": _BATCHES,
    "imagenet64": _BATCHES,
    "imagenet32_old": {"train": ("train_32x32",), "test": ("valid_32x32",)},
    "imagenet64_old": {"train": ("train_64x64",), "test": ("valid_64x64",)},
}

_PNGS = ("imagenet32_old", "imagenet64_old")
CIFAR10_ARCHIVE = "cifar-10-python.tar.gz"

# sha256 of the uncompressed content: mirrors and distributions compress anew (Debian does), which changes the
# .gz. Fashion-MNIST's were computed from Debian's copy, MNIST's are the ones in general use.
IDX_SHA256 = {
    "mnist": {
        "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    },
    "fashion_mnist": {
        "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    },
}

# torchvision's folders and those of the published archives
_FOLDERS = {
    "mnist": ("", "raw", "MNIST/raw"),
    "fashion_mnist": ("", "raw", "FashionMNIST/raw"),
    "cifar10": ("", "cifar-10-batches-py"),
    "imagenet32": ("", *(f"Imagenet32_{part}{kind}" for part in ("train", "val") for kind in ("", "_npz"))),
    "imagenet64": (
        "",
        *(f"Imagenet64_{p}{kind}" for p in ("train", "train_part1", "train_part2", "val") for kind in ("", "_npz")),
    ),
    "imagenet32_old": ("",),
    "imagenet64_old": ("",),
}

OLD = {"train": 1_281_149, "test": 49_999}


def old_refused(name: str) -> str:
    """Why the older release is not taken for this one, and what to do."""
    side = name.removeprefix("imagenet")
    return (
        f"this is the older release of ImageNet{side} (train_{side}x{side}, valid_{side}x{side}: 1,281,149 and 49,999"
        f" images), whose numbers are not comparable; name the data set {name}_old in the study, or download the"
        " newer one from https://image-net.org"
    )


def locate(name: str, files: Path) -> dict[str, Path]:
    """Where the original files lie, below `files`/NAME or `files`; downloaded to `files`/NAME if they may be.

    Returns the path of each name in FILES; for CIFAR-10 possibly that of the archive alone; nothing for digits.

    Raises:
        UserError: a file is missing and cannot be downloaded.
    """
    names = [file for split in FILES.get(name, {}).values() for file in split]
    found = {file: path for file in names if (path := _find(name, file, files))}
    if len(found) == len(names):
        return found
    return _FETCH[name](files, name, found)


def _find(name: str, file: str, files: Path) -> Path | None:
    """The first of the places where `file` may lie, as it is, gzipped or as npz."""
    suffix = _SUFFIXES.get(name, ".gz")
    places = (
        folder / sub / spelling
        for folder in (files / name, files)
        for sub in _FOLDERS[name]
        for spelling in (file, file + suffix)
    )
    return next((place for place in places if place.is_file() or (suffix == ".tar" and place.is_dir())), None)


_SUFFIXES = {"cifar10": "", "imagenet32": ".npz", "imagenet64": ".npz", **dict.fromkeys(_PNGS, ".tar")}


def _fetch_idx(files: Path, name: str, found: dict[str, Path]) -> dict[str, Path]:
    from torchvision.datasets import MNIST, FashionMNIST

    publisher = {"mnist": MNIST, "fashion_mnist": FashionMNIST}[name]
    md5 = dict(publisher.resources)
    missing = [file for split in FILES[name].values() for file in split if file not in found]
    remedy = f"put {' and '.join(missing)} (or the .gz) into {files / name}"
    for file in missing:
        urls = [mirror + file + ".gz" for mirror in publisher.mirrors]
        found[file] = _download(urls, md5[file + ".gz"], files / name, remedy)
    return found


def _fetch_cifar10(files: Path, name: str, found: dict[str, Path]) -> dict[str, Path]:
    from torchvision.datasets import CIFAR10

    archive = _find(name, CIFAR10_ARCHIVE, files)
    if archive is None:
        missing = [file for split in FILES[name].values() for file in split if file not in found]
        remedy = f"put {CIFAR10_ARCHIVE}, or {', '.join(missing)}, into {files / name}"
        archive = _download([CIFAR10.url], CIFAR10.tgz_md5, files / name, remedy)
    return {CIFAR10_ARCHIVE: archive}


_ZIPS = {
    "imagenet32": "Imagenet32_train.zip and Imagenet32_val.zip",
    "imagenet64": "Imagenet64_train_part1.zip, Imagenet64_train_part2.zip and Imagenet64_val.zip",
}


def _fetch_imagenet(files: Path, name: str, found: dict[str, Path]) -> dict[str, Path]:
    """Never downloaded: it needs an account. Says which release it sees, or what is missing."""
    for folder in (files / name, files):
        for stem in sum(FILES[f"{name}_old"].values(), ()):
            for old in (folder / (stem + suffix) for suffix in ("", ".tar", ".npz", ".zip")):
                if old.exists():
                    raise UserError(f"{old}: {old_refused(name)}")
    missing = [file for split in FILES[name].values() for file in split if file not in found]
    raise UserError(
        f"{files / name}: {', '.join(missing)} missing; unpack {_ZIPS[name]} (or the _npz ones) there, from"
        " https://image-net.org, which asks for an account"
    )


def _fetch_pngs(files: Path, name: str, found: dict[str, Path]) -> dict[str, Path]:
    """Never downloaded: whoever compares with it has a copy."""
    missing = [file for split in FILES[name].values() for file in split if file not in found]
    raise UserError(
        f"{files / name}: {', '.join(missing)} missing; put your copy there, folders of PNG files or their .tar,"
        f" or name the newer release, {name.removesuffix('_old')}, whose numbers are not comparable"
    )


_FETCH: dict[str, Callable[[Path, str, dict[str, Path]], dict[str, Path]]] = {
    "mnist": _fetch_idx,
    "fashion_mnist": _fetch_idx,
    "cifar10": _fetch_cifar10,
    "imagenet32": _fetch_imagenet,
    "imagenet64": _fetch_imagenet,
    **dict.fromkeys(_PNGS, _fetch_pngs),
}


@contextmanager
def patience() -> Iterator[None]:
    """Within, whoever waits for a server that says nothing gives up after a while."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SILENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _download(urls: list[str], md5: str, folder: Path, remedy: str) -> Path:
    """The file in `folder`, from the first mirror that has it with the right md5."""
    from torchvision.datasets.utils import download_url

    file = urls[0].rpartition("/")[2]
    folder.mkdir(parents=True, exist_ok=True)
    # A folder of its own: an interrupted download must not be taken for the original later on.
    with tempfile.TemporaryDirectory(prefix=".download-", dir=folder) as partial, patience():
        for url in urls:
            try:
                download_url(url, partial, file, md5)
            except (RuntimeError, OSError, http.client.HTTPException) as error:
                reason = " ".join(str(error).split())
                continue
            os.replace(Path(partial, file), folder / file)
            return folder / file
    raise UserError(f"{folder / file}: is missing and cannot be downloaded ({reason}); {remedy}")
