"""The formats data sets are published in: IDX files, and batches as pickles or npz. Reading runs no foreign code."""

import hashlib
import io
import pickle
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from diffenc.io.errors import UserError

_IDX_IMAGES = 0x00000803  # unsigned bytes, three dimensions
_IDX_HEADER = struct.Struct(">4I")


@contextmanager
def damage_named(source: str | Path) -> Iterator[None]:
    """Turn whatever a decoder raises on a damaged or unreadable file into one line that names the file.

    Raises:
        UserError: instead of any exception from within.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        # Decoders of damaged bytes raise nearly anything: EOFError, zlib.error, MemoryError, ...
        if isinstance(error, OSError) and error.errno is not None:
            raise UserError(f"{source}: cannot be read ({error.strerror}); check the file") from error
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"{source}: is damaged or cut short ({reason}); fetch it again") from error


def read_idx(content: bytes, source: str | Path, shape: tuple[int, int, int]) -> np.ndarray:
    """The images of an IDX file's uncompressed content: (N, H, W) uint8, read-only.

    Raises:
        UserError: the magic number, the dimensions or the length is not that of `shape` (N, H, W).
    """
    if len(content) < _IDX_HEADER.size:
        raise UserError(f"{source}: is cut short, {len(content)} bytes; fetch it again")
    magic, *found = _IDX_HEADER.unpack_from(content)
    if magic != _IDX_IMAGES:
        raise UserError(
            f"{source}: is not an IDX file of images (magic number {magic}, must be {_IDX_IMAGES}); fetch it again"
        )
    if tuple(found) != shape:
        raise UserError(f"{source}: holds images (N, H, W) = {tuple(found)}, must be {shape}; fetch the original")
    pixels = len(content) - _IDX_HEADER.size
    if pixels != np.prod(shape):
        raise UserError(f"{source}: has {pixels} pixels, its header says {np.prod(shape)}; fetch it again")
    return np.frombuffer(content, np.uint8, offset=_IDX_HEADER.size).reshape(shape)


def read_pickle(file: BinaryIO, source: str | Path, dimensions: int) -> np.ndarray:
    """The images of a pickled batch (CIFAR, ImageNet32): entry `data`, (N, dimensions) uint8.

    Raises:
        UserError: the pickle is damaged, asks for anything but arrays, or has no such entry.
    """
    with damage_named(source):
        content = _ArraysOnly(file, source).load()
        array = content.get("data", content.get(b"data")) if isinstance(content, dict) else None
        pixels = array.pixels() if isinstance(array, _Array) else None
    return _checked(pixels, source, dimensions)


def read_npz(file: BinaryIO, source: str | Path, dimensions: int) -> np.ndarray:
    """The images of a batch saved as npz: entry `data`, (N, dimensions) uint8.

    Raises:
        UserError: the file is damaged or has no such entry.
    """
    with damage_named(source), np.load(file, allow_pickle=False) as archive:
        pixels = archive.get("data")
    return _checked(pixels, source, dimensions)


def _checked(pixels: np.ndarray | None, source: str | Path, dimensions: int) -> np.ndarray:
    if pixels is None or pixels.dtype != np.uint8 or pixels.ndim != 2 or pixels.shape[1] != dimensions:
        found = "has no such array" if pixels is None else f"has {pixels.dtype} {pixels.shape}"
        raise UserError(
            f"{source}: a batch's `data` is uint8 (N, {dimensions}), this file {found}; fetch the original file"
        )
    return np.ascontiguousarray(pixels)


class _Dtype:
    """What a pickle calls numpy.dtype: only its code is kept."""

    def __init__(self, code: str | bytes, *_: object) -> None:
        self.code = code.decode("ascii") if isinstance(code, bytes) else code

    def __setstate__(self, state: object) -> None:
        """The byte order, of no interest for bytes."""


class _Array:
    """What a pickle calls a numpy array: its shape, type and bytes, looked at only once it is known to be pixels.

    numpy's own __setstate__ trusts its input, flags that turn bytes into pointers included.
    """

    def __init__(self, *_: object) -> None:
        self.state: tuple = ()

    def __setstate__(self, state: tuple) -> None:
        self.state = state

    @classmethod
    def from_buffer(cls, raw: bytes, dtype: _Dtype, shape: tuple[int, ...], order: str) -> "_Array":
        """What pickle protocol 5 calls."""
        array = cls()
        array.state = (1, shape, dtype, order == "F", raw)
        return array

    def pixels(self) -> np.ndarray | None:
        """The array, without a copy of its bytes; None if it is not one of unsigned bytes."""
        _, shape, dtype, fortran, raw = self.state
        if dtype.code not in ("u1", "|u1", "B"):
            return None
        return np.frombuffer(raw, np.uint8).reshape(shape, order="F" if fortran else "C")


def _latin1(text: str, encoding: str) -> bytes:
    """How Python 3 pickles bytes for Python 2; the real function would look up any codec."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"encoding {encoding!r}")
    return text.encode("latin1")


# numpy.core became numpy._core in numpy 2: a file carries the name of the version that wrote it.
_ALLOWED = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _latin1,
    ("builtins", "bytes"): bytes,
    ("__builtin__", "bytes"): bytes,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _Array for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _Array for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _Array.from_buffer for core in ("core", "_core")},
}


class _ArraysOnly(pickle.Unpickler):
    """Builds plain containers and placeholders of arrays; refuses every other name before anything is called."""

    def __init__(self, file: BinaryIO, source: str | Path) -> None:
        # Python 2 wrote CIFAR's pixels as str: as "bytes" they are not copied.
        super().__init__(file, encoding="bytes")
        self.source = source

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise UserError(
                f"{self.source}: refused, its pickle asks for {module}.{name}, which no batch of images needs;"
                " fetch the original file"
            ) from None


class HashingFile(io.BufferedReader):
    """A file whose bytes are hashed on their way to the reader, so that gigabytes are read once only."""

    def __init__(self, path: Path) -> None:
        self._source = _HashingRaw(path)
        super().__init__(self._source)

    def sha256(self) -> str:
        """The digest of the whole file; reads what is left of it."""
        while self.read(1 << 20):
            pass
        return self._source.digest.hexdigest()


class _HashingRaw(io.FileIO):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.digest = hashlib.sha256()

    def readinto(self, buffer: memoryview) -> int:
        count = super().readinto(buffer)
        self.digest.update(memoryview(buffer)[:count])
        return count
