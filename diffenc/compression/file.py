"""A compressed file: a header that says all that the receiver must have alike, then the stack of bits.

8 bytes of MAGIC, the header's length and its CRC-32 (little-endian, 4 bytes each)
the header: JSON, deflated
the stack: 32-bit words, little-endian
"""

import hashlib
import json
import struct
import zlib
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, FiniteFloat, ValidationError, model_validator

from diffenc.io.errors import UserError
from diffenc.io.schema import Positive, Strict, explain

MAGIC = b"DFE\x01\r\n\x1a\n"  # after the number 1 of this format, what a transfer as text would change
_LENGTHS = struct.Struct("<II")
_MOST = 1 << 28  # bytes of a header
_Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Machine(Strict):
    """What floating-point results depend on."""

    device: str
    threads: Positive
    torch: str
    constriction: str
    numpy: str
    system: str


class Header(Strict):
    """What the receiver must know, and have alike.

    Attributes:
        model: sha256 of the weights and the shape.
        name: of the run, for people.
        order: of pops and pushes.
        bits: b, of the grids.
        gammas: between which T steps lead, (T + 1,).
        ratios: w of each step, (T,).
        batch: images that go through the networks together.
        shape: (N, C, H, W) of the images.
        levels: of a pixel.
        crc: CRC-32 of every image.
        borrowed: words that are left when all images are out.
        words: of the stack.
        sha256: of the stack.
        canary: sha256 of what the networks give for a fixed input.
        machine: the sender's.
    """

    model: _Hash
    name: str
    order: Literal["top_down", "bit_swap"]
    bits: Annotated[int, Field(ge=0, le=8)]
    gammas: Annotated[list[FiniteFloat], Field(min_length=2)]
    ratios: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1)]
    batch: Positive
    shape: Annotated[list[Positive], Field(min_length=4, max_length=4)]
    levels: Annotated[int, Field(ge=2, le=256)]
    crc: list[Annotated[int, Field(ge=0, lt=1 << 32)]]
    borrowed: Annotated[int, Field(ge=0)]
    words: Annotated[int, Field(ge=0)]
    sha256: _Hash
    canary: _Hash
    machine: Machine

    @model_validator(mode="after")
    def _fits(self) -> "Header":
        if len(self.gammas) != len(self.ratios) + 1 or len(self.crc) != self.shape[0]:
            raise ValueError("gammas, ratios and crc have lengths that do not go together")
        if any(after <= before for before, after in zip(self.gammas, self.gammas[1:], strict=False)):
            raise ValueError("gammas do not rise")
        return self


def write(header: Header, words: NDArray[np.uint32]) -> bytes:
    """The file's content."""
    text = zlib.compress(json.dumps(header.model_dump(), separators=(",", ":")).encode(), 9)
    return MAGIC + _LENGTHS.pack(len(text), zlib.crc32(text)) + text + as_bytes(words)


def read(content: bytes, source: str) -> tuple[Header, NDArray[np.uint32]]:
    """The header and the stack's words.

    Raises:
        UserError: it is no such file, or not as it was written.
    """
    if content[: len(MAGIC)] != MAGIC:
        raise UserError(f"{source}: is not a file of `diffenc compress`, or of another version; name one")
    start = len(MAGIC) + _LENGTHS.size
    damaged = f"{source}: is damaged or cut short"
    if len(content) < start:
        raise UserError(f"{damaged} ({len(content)} bytes); take another copy")
    length, crc = _LENGTHS.unpack_from(content, len(MAGIC))
    text = content[start : start + length]
    if len(text) != length or zlib.crc32(text) != crc:
        raise UserError(f"{damaged} (its header's checksum is wrong); take another copy")
    try:
        header = Header.model_validate_json(_inflated(text))
    except ValidationError as error:
        raise UserError(
            f"{source}: its header is not of this version ({explain(error)}); decode it where it was made"
        )
    except (zlib.error, ValueError) as error:
        raise UserError(f"{damaged} (its header: {error}); take another copy")
    stack = content[start + length :]
    if len(stack) != 4 * header.words or hashlib.sha256(stack).hexdigest() != header.sha256:
        raise UserError(f"{damaged} (the checksum of its {header.words:,} words is wrong); take another copy")
    return header, np.frombuffer(stack, "<u4").astype(np.uint32)


def as_bytes(words: NDArray[np.uint32]) -> bytes:
    """The stack as it lies in a file."""
    return words.astype("<u4").tobytes()


def _inflated(text: bytes) -> bytes:
    inflate = zlib.decompressobj()
    whole = inflate.decompress(text, _MOST)
    if inflate.unconsumed_tail or not inflate.eof:
        raise ValueError(f"is longer than {_MOST:,} bytes, or has no end")
    return whole
