"""Noise by position: every random number is a function of (seed, purpose, step, position, index).

Nothing is drawn in sequence, so the noise of an image does not depend on how many processes share a batch,
on where a run was interrupted, or on the device. The bits are splitmix64's: its output function applied to a
counter (Steele, Lea & Flood 2014), with one further application to derive each image's own key.
"""

import math
from enum import IntEnum

import torch
from torch import Tensor


class Purpose(IntEnum):
    """What noise is for; numbers with different purposes are independent."""

    ORDER = 1
    TIME = 2
    EPS_0 = 3
    EPS_T = 4
    DROPOUT = 5
    EVALUATION = 6
    SAMPLE = 7
    BORROWED = 8
    SCRAMBLE = 9
    AUXILIARY = 10
    PROBE = 11
    DEQUANTISATION = 12
    FLOW = 13


_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_INVERSE = pow(_GOLDEN, -1, 1 << 64)
_ROUNDS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))


def _signed(word: int) -> int:
    """The 64 bits of `word` as torch's int64 holds them."""
    word &= _MASK
    return word - (1 << 64) if word >> 63 else word


def _shift(x: Tensor, bits: int) -> Tensor:
    """Logical right shift; torch's is arithmetic."""
    return (x >> bits).bitwise_and_((1 << (64 - bits)) - 1)


def _mix(x: Tensor) -> Tensor:
    """splitmix64's output function on int64 words; overwrites `x`."""
    for bits, multiplier in _ROUNDS:
        x = x.bitwise_xor_(_shift(x, bits)).mul_(_signed(multiplier))
    return x.bitwise_xor_(_shift(x, 31))


def stream(*parts: int) -> int:
    """One key from a tuple of whole numbers such as (seed, purpose, step)."""
    key = 0
    for part in parts:
        key = (key + _GOLDEN * ((part & _MASK) + 1)) & _MASK
        for bits, multiplier in _ROUNDS:
            key = ((key ^ (key >> bits)) * multiplier) & _MASK
        key ^= key >> 31
    return key


def keys(key: int, positions: Tensor) -> Tensor:
    """A key for each position: (B,) int64 -> (B,) int64."""
    return _mix(positions * _signed(_GOLDEN) + _signed(key))


def split(image_keys: Tensor, purpose: int) -> Tensor:
    """Keys (B,) for another purpose of the same images; independent of the ones they came from."""
    return _mix(image_keys ^ _signed(stream(purpose)))


def _words(image_keys: Tensor, count: int) -> Tensor:
    """(B,) keys -> (B, count) uniform 64-bit words."""
    # key + golden * index, as golden * (key / golden + index) modulo 2^64: torch.compile writes an index times a
    # constant as a 32-bit number
    counter = torch.arange(1, count + 1, device=image_keys.device)
    return _mix(((image_keys * _signed(_INVERSE))[:, None] + counter).mul_(_signed(_GOLDEN)))


def uniform(key: int) -> float:
    """One number in [0, 1) with 53 random bits."""
    return (stream(key) >> 11) / (1 << 53)


def signs(image_keys: Tensor, shape: tuple[int, ...]) -> Tensor:
    """(B,) keys -> (B, *shape) of -1 and 1 in float32, both as likely."""
    return (1 - 2 * (_words(image_keys, math.prod(shape)) & 1)).float().reshape(-1, *shape)


def uniforms(image_keys: Tensor, shape: tuple[int, ...]) -> Tensor:
    """(B,) keys -> (B, *shape) uniform in (0, 1), float64 with 53 random bits."""
    return (_shift(_words(image_keys, math.prod(shape)), 11).double() + 0.5).mul_(2.0**-53).reshape(-1, *shape)


def normal(image_keys: Tensor, shape: tuple[int, ...]) -> Tensor:
    """(B,) keys -> (B, *shape) standard normal float32, by Box and Muller's transform of two 32-bit uniforms."""
    count = math.prod(shape)
    words = _words(image_keys, -(-count // 2))
    radius = ((_shift(words, 32).float() + 0.5) * 2.0**-32).log_().mul_(-2).sqrt_()
    angle = (words & 0xFFFFFFFF).float() * (2 * math.pi * 2.0**-32)
    both = torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)
    return both[:, :count].reshape(-1, *shape)


def of_state(image_keys: Tensor, image: tuple[int, ...], variables: int) -> Tensor:
    """Noise of a state with so many variables a dimension: (B,) keys, (C, H, W) -> (B, K C, H, W).

    The data's is what a model of one variable has; the auxiliary variables' comes behind.
    """
    data = normal(split(image_keys, Purpose.EPS_T), image)
    if variables == 1:
        return data
    others = ((variables - 1) * image[0], *image[1:])
    return torch.cat([data, normal(split(image_keys, Purpose.AUXILIARY), others)], dim=1)


def dropout(h: Tensor, image_keys: Tensor, rate: float) -> Tensor:
    """Dropout of (kB, C, ...) under each image's own mask; the rate is rounded to a multiple of 2^-16.

    Image i's mask, from the keys (B,), is that of h[i], h[B + i], ...; its channels lie side by side, as those of
    activations do.
    """
    dropped = round(rate * 65536)
    count = h[0].numel()
    bits = _words(image_keys, -(-count // 4)).view(torch.int16)[:, :count]
    # 1 where the word is at least `first`, 0 where it is less; comparing 16-bit words takes twice as long on a CPU.
    # In float32: rounded to h's precision, the factor had a bias
    first = dropped - 32768
    kept = bits.float().sub_(first - 1).clamp_(0, 1).mul_(65536 / (65536 - dropped))
    kept = kept.unflatten(1, (*h.shape[2:], h.shape[1])).movedim(-1, 1)
    return (h.unflatten(0, (-1, len(kept))) * kept).flatten(0, 1).to(h.dtype)
