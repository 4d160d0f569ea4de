"""What compression.json says of a run: the rates that `diffenc.evaluation.compression` measures."""

from collections.abc import Iterable
from pathlib import Path

from pydantic import Field, FiniteFloat

from diffenc.io.errors import UserError, make
from diffenc.results.records import Record, Term, read_record

TOP_DOWN, BIT_SWAP = "top_down", "bit_swap"


class Rate(Record):
    """One way of compressing all images, in bits per dimension.

    Attributes:
        T, ratio, order: of what steps, with which sigma_P, in which order of pops and pushes.
        net: what the stack grew by.
        gross: the whole file, borrowed bits and header too.
        path: -log p + log q of the very path, and its standard error over images.
        encode_s, decode_s: seconds.
        bound: of T steps with that sigma_P, on the same images under other noise.
    """

    T: int
    ratio: str
    order: str
    net: FiniteFloat
    gross: FiniteFloat
    path: FiniteFloat
    path_se: float
    encode_s: FiniteFloat
    decode_s: FiniteFloat
    bound: Term


class Other(Record):
    """Another compressor's rate on all images in one file."""

    rate: FiniteFloat
    encode_s: FiniteFloat


class Compressions(Record):
    """What compression.json says of a run."""

    images: int
    bits: int
    together: int
    rates: list[Rate] = Field(min_length=1)
    others: dict[str, Other]


def read_alike(paths: Iterable[Path]) -> list[Compressions]:
    """Read several compression.json that are to stand side by side.

    Raises:
        UserError: a file is missing or damaged, or was made of other images or depths than the first.
    """
    records = [(path, read_record(Compressions, path)) for path in paths]
    first, of_first = records[0]
    for path, record in records[1:]:
        if (found := _settings(record)) != (expected := _settings(of_first)):
            raise UserError(f"{path}: images, bits, together and T are {found}, in {first} {expected}; {make(path)}")
    return [record for _, record in records]


def _settings(record: Compressions) -> tuple[object, ...]:
    return record.images, record.bits, record.together, sorted({rate.T for rate in record.rates})
