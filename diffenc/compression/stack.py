"""The stack of bits: an ANS coder that borrows bits where it is popped and has none, and accounts for them."""

import math

import constriction
import numpy as np
import torch
from numpy.typing import NDArray

from diffenc.models import noise
from diffenc.models.noise import Purpose

_FULL = 24  # bits that one symbol takes at most
_STATE = 2  # words that are the coder's own
_LEFT = 64  # bits that are always left: the coder's own state
# how likely a window is 2^k times the usual one: mostly it is not
_SURPLUS = np.append(0.97, np.full(31, 0.03 / 31)).astype(np.float32)[None]
_model = constriction.stream.model


class Stack:
    """Symbols that are popped under a distribution are read off it, and pushing them under it puts the bits back.

    Bits that are popped before any were pushed are borrowed: random ones, known to the receiver, who finds them on
    the stack at the end. They are put in at the bottom, when they are needed.
    """

    def __init__(self, words: NDArray[np.uint32] | None = None) -> None:
        """The receiver gives the sender's `words`."""
        self.borrowed = 0  # words
        self._coder = constriction.stream.stack.AnsCoder(np.empty(0, np.uint32) if words is None else words)
        if words is None:
            self._borrow(2 * _STATE)  # an empty coder would swallow what is 0

    def words(self) -> NDArray[np.uint32]:
        """All of it."""
        return self._coder.get_compressed()

    def bits(self) -> int:
        """How many are on it, the borrowed ones as well."""
        return self._coder.num_valid_bits()

    def pop_gaussian(self, half: int, means: NDArray, std: float) -> NDArray[np.int32]:
        """Whole numbers of [-half, half] under N(means, std^2), quantised; (n,) in units of the grid."""
        return self._pop(_model.QuantizedGaussian(-half, half, std=std), means.size, means)

    def push_gaussian(self, symbols: NDArray[np.int32], half: int, means: NDArray, std: float) -> None:
        """What `pop_gaussian` gives, back."""
        self._coder.encode_reverse(symbols, _model.QuantizedGaussian(-half, half, std=std), means)

    def pop_levels(self, probabilities: NDArray[np.float32]) -> NDArray[np.int32]:
        """A level of each pixel, (n,), by probabilities (n, K)."""
        return self._pop(_model.Categorical(perfect=False), len(probabilities), probabilities)

    def push_levels(self, levels: NDArray[np.int32], probabilities: NDArray[np.float32]) -> None:
        """What `pop_levels` gives, back."""
        self._coder.encode_reverse(levels, _model.Categorical(perfect=False), probabilities)

    def pop_surplus(self) -> int:
        """A number below 32, mostly 0."""
        return int(self.pop_levels(_SURPLUS)[0])

    def push_surplus(self, surplus: int) -> None:
        """What `pop_surplus` gives, back."""
        self.push_levels(np.array([surplus], np.int32), _SURPLUS)

    def scramble(self, bits: float, *key: int) -> None:
        """Change the uppermost bits as a key says, so that they are random; once more with the same key undoes it.

        What was pushed under a model that is not quite right is not random, and variables that are popped from it
        would not be distributed as they should.
        """
        count = math.ceil(bits / 32)
        if (missing := count + _STATE - len(self.words())) > 0:
            self._borrow(missing)
        words = self.words()
        part = slice(len(words) - _STATE - count, len(words) - _STATE)
        words[part] ^= _random(noise.stream(Purpose.SCRAMBLE, *key), 0, count)
        self._coder = constriction.stream.stack.AnsCoder(words)

    def ends_as_borrowed(self, count: int) -> bool:
        """Whether all that is left are `count` borrowed words, as they must be for the receiver."""
        return np.array_equal(self.words(), _borrowed(0, count))

    def _pop(self, family: object, count: int, parameters: NDArray) -> NDArray[np.int32]:
        while True:
            safe = self.bits() >= count * _FULL + _LEFT
            before = None if safe else self._coder.clone()
            symbols = self._coder.decode(family, parameters)
            # a coder that has run dry goes on without a word, and cannot be pushed back
            if safe or self.bits() >= _LEFT:
                return symbols
            self._coder = before
            self._borrow(count // 16 + 4)

    def _borrow(self, count: int) -> None:
        fresh = _borrowed(self.borrowed, count)
        self._coder = constriction.stream.stack.AnsCoder(np.concatenate([fresh, self.words()]))
        self.borrowed += count


def _borrowed(first: int, count: int) -> NDArray[np.uint32]:
    """So many random words from the `first`-th on; the first of all lies on top of the others, and is not 0."""
    words = _random(noise.stream(Purpose.BORROWED), first, count)
    if first == 0 and count:
        words[0] |= 1
    return words[::-1].copy()


def _random(key: int, first: int, count: int) -> NDArray[np.uint32]:
    """So many words by position."""
    return (noise.keys(key, torch.arange(first, first + count)) & 0xFFFFFFFF).numpy().astype(np.uint32)
