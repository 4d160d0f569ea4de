"""The stack: what is popped goes back bit for bit, borrowed bits are known, costs are those of the distributions."""

import numpy as np
import pytest
from scipy import stats

from diffenc.compression.stack import Stack


def test_pops_and_pushes_undo_each_other_and_leave_the_borrowed_bits():
    stack, rng = Stack(), np.random.default_rng(0)
    means, levels = rng.uniform(-0.5, 0.5, 500), rng.integers(0, 7, 300).astype(np.int32)
    probabilities = rng.dirichlet(np.ones(7), 300).astype(np.float32)
    stack.push_levels(levels, probabilities)
    before = stack.words()
    undo = []
    for std in (8.0, 3.0, 40.0):
        stack.scramble(3000, 7)
        undo.append((std, stack.pop_gaussian(400, means, std)))
        stack.push_surplus(2)
    assert stack.borrowed
    for std, symbols in reversed(undo):
        assert stack.pop_surplus() == 2
        stack.push_gaussian(symbols, 400, means, std)
        stack.scramble(3000, 7)
    words = stack.words()
    assert words[len(words) - len(before) :].tolist() == before.tolist()
    assert stack.pop_levels(probabilities).tolist() == levels.tolist()
    assert stack.ends_as_borrowed(stack.borrowed)
    assert not stack.ends_as_borrowed(stack.borrowed + 1)


def test_what_is_borrowed_is_distributed_as_asked():
    symbols = Stack().pop_gaussian(80, np.full(20_000, 0.3), 8.0)
    assert abs(symbols.mean() - 0.3) < 5 * 8 / 20_000**0.5
    assert (
        stats.kstest((symbols + np.random.default_rng(0).uniform(-0.5, 0.5, 20_000) - 0.3) / 8, "norm").pvalue > 1e-3
    )


@pytest.mark.parametrize("std", [2.0, 8.0])
def test_a_push_costs_minus_log_p(std):
    stack, rng = Stack(), np.random.default_rng(1)
    symbols = np.rint(std * rng.standard_normal(20_000)).astype(np.int32)
    before = stack.bits()
    stack.push_gaussian(symbols, 128, np.zeros(20_000), std)
    exact = -np.log2(stats.norm.cdf((symbols + 0.5) / std) - stats.norm.cdf((symbols - 0.5) / std)).sum()
    assert stack.bits() - before == pytest.approx(exact, rel=1e-3)


def test_scrambling_makes_structure_random_and_back():
    stack = Stack()
    stack.push_levels(np.zeros(50_000, np.int32), np.full((50_000, 2), 0.5, np.float32))
    plain = stack.words()
    stack.scramble(40_000, 1, 2)
    changed = stack.words()
    assert (plain[-2:] == changed[-2:]).all()
    ones = np.unpackbits(changed[-1252:-2].view(np.uint8)).mean()
    assert abs(ones - 0.5) < 5 * 0.5 / 40_000**0.5
    stack.scramble(40_000, 1, 2)
    assert (stack.words() == plain).all()
