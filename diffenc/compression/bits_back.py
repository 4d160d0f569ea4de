"""Bits-back coding of a batch of images: top-down for every encoder, and Bit-Swap's order where x_t = x.

    top-down   pop z_1 ~ q(z_1 | x); for t = 1 .. 1/T: pop z_s ~ q(z_s | z_t, x)
               push x under p(x | z_0); for t = 1/T .. 1: push z_s under p(z_s | z_t); push z_1 under N(0, 1)
    Bit-Swap   pop z_0 ~ q(z_0 | x); push x under p(x | z_0)
               for t = 1/T .. 1: pop z_t ~ q(z_t | z_s); push z_s under p(z_s | z_t); then push z_1 under N(0, 1)

The receiver does the reverse. Net of what was popped, the stack grows by -log p + log q of the path: on average the
bound of T steps. With an encoder q(z_t | z_s, x) is not known before x is: top-down no q is needed before x is out,
in Bit-Swap's order it would be.

What is popped is a whole number k, under q in a window around q's mean that holds all but 1e-15 of it. What it is
pushed under, p, has a window of twice as many of its own spreads or more; where k of the batch are outside, it is
doubled until it holds all, and the receiver is told. Windows are no wider than that since each of their points has a
probability of 2^-24 at least: in wide ones such points come up, far off, and the network has never seen their like.
"""

import math
from abc import ABC, abstractmethod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffenc.compression.path import Path
from diffenc.compression.stack import Stack
from diffenc.io.errors import UserError

Images = NDArray[np.uint8]
Nats = NDArray[np.float64]
GAUSSIAN = math.sqrt(2 * math.pi * math.e)  # log2 of it is the entropy of N(0, 1)
WIDEST = 22  # half of a window is at most 2 to this: probabilities have 24 bits
WINDOW = 8  # standard deviations of q on either side


class Order(ABC):
    """One order of pops and pushes along a path, on grids of 2^bits points in the smallest spread."""

    def __init__(self, path: Path, bits: int) -> None:
        self.path, self.fine = path, 2.0**-bits

    @abstractmethod
    def encode(self, images: Images, stack: Stack, number: int) -> Nats:
        """Put the `number`-th batch (n, C, H, W) on the stack -> -log p + log q of its paths, (n,) nats."""

    @abstractmethod
    def decode(self, shape: tuple[int, ...], stack: Stack, number: int) -> Images:
        """Take the `number`-th batch, of that shape (n, C, H, W), off the stack; put the popped bits back."""

    def _pop_q(self, stack: Stack, mean: Tensor, std: float, delta: float) -> tuple[NDArray, Tensor]:
        """k and delta k, like the mean."""
        centre, rest = _nearest(mean, delta)
        k = centre + stack.pop_gaussian(_half(std / delta), rest, std / delta)
        return k, _times(k, delta, mean)

    def _push_q(self, stack: Stack, k: NDArray, mean: Tensor, std: float, delta: float) -> None:
        centre, rest = _nearest(mean, delta)
        stack.push_gaussian((k - centre).astype(np.int32), _half(std / delta), rest, std / delta)

    def _push_p(self, stack: Stack, k: NDArray, mean: Tensor, std: float, delta: float) -> None:
        centre, rest = _nearest(mean, delta)
        offset = (k - centre).astype(np.int32)
        usual = _usual(std / delta)
        surplus = max(0, int(np.abs(offset).max()).bit_length() - usual)
        if usual + surplus > WIDEST:
            raise UserError(
                f"an image is {2**surplus * 2 * WINDOW:,} standard deviations from what the model expects in a step;"
                " take more steps, or fewer bits"
            )
        stack.push_gaussian(offset, 2 ** (usual + surplus), rest, std / delta)
        stack.push_surplus(surplus)

    def _pop_p(self, stack: Stack, mean: Tensor, std: float, delta: float) -> tuple[NDArray, Tensor]:
        """k and delta k, like the mean."""
        centre, rest = _nearest(mean, delta)
        k = centre + stack.pop_gaussian(2 ** (_usual(std / delta) + stack.pop_surplus()), rest, std / delta)
        return k, _times(k, delta, mean)

    def _push_images(self, stack: Stack, images: Images, z_0: Tensor) -> Nats:
        """-> -log p(x | z_0)."""
        stack.push_levels(images.reshape(-1).astype(np.int32), self.path.probabilities(z_0))
        return -self.path.log_probability(images, z_0)

    def _pop_images(self, stack: Stack, z_0: Tensor) -> Images:
        return stack.pop_levels(self.path.probabilities(z_0)).astype(np.uint8).reshape(z_0.shape)


class TopDown(Order):
    """The order for every encoder. z_s lies on a grid around mu_P, of steps sigma_Q / 2^b."""

    def encode(self, images: Images, stack: Stack, number: int) -> Nats:
        """Put the `number`-th batch (n, C, H, W) on the stack -> -log p + log q of its paths, (n,) nats."""
        path, x = self.path, self.path.scale(images)
        stack.scramble(self._bits(images.size) * (path.depth + 1), number)
        above = path.encoded(x, path.depth, len(images))
        q = path.alpha[-1] * above, path.sigma[-1]
        k, z = self._pop_q(stack, *q, self.fine)
        cost, ks = gain(z, z - q[0], 1.0, q[1]), [k]
        for i in range(path.depth, 0, -1):
            below, x_hat = path.encoded(x, i - 1, len(images)), path.x_hat(z, i)
            shift = path.shift(below, above, x_hat, i)
            k, moved = self._pop_q(stack, shift, path.sigma_q[i], self._delta(i))
            cost += gain(moved, moved - shift, path.sigma_p[i], path.sigma_q[i])
            z, above = path.mean(z, x_hat, i) + moved, below
            ks.append(k)
        cost += self._push_images(stack, images, z)
        nothing = torch.zeros_like(z)
        for i in range(1, path.depth + 1):
            self._push_p(stack, ks.pop(), nothing, path.sigma_p[i], self._delta(i))
        self._push_p(stack, ks.pop(), nothing, 1.0, self.fine)
        return cost

    def decode(self, shape: tuple[int, ...], stack: Stack, number: int) -> Images:
        """Take the `number`-th batch, of that shape (n, C, H, W), off the stack; put the popped bits back."""
        path, nothing = self.path, torch.zeros(shape, dtype=torch.float64, device=self.path.device)
        k, z = self._pop_p(stack, nothing, 1.0, self.fine)
        ks, x_hats = [k], []
        for i in range(path.depth, 0, -1):
            k, moved = self._pop_p(stack, nothing, path.sigma_p[i], self._delta(i))
            x_hats.append(path.x_hat(z, i))
            z = path.mean(z, x_hats[-1], i) + moved
            ks.append(k)
        images = self._pop_images(stack, z)
        x = path.scale(images)
        below = path.encoded(x, 0, len(images))
        for i in range(1, path.depth + 1):
            above = path.encoded(x, i, len(images))
            shift = path.shift(below, above, x_hats.pop(), i)
            self._push_q(stack, ks.pop(), shift, path.sigma_q[i], self._delta(i))
            below = above
        self._push_q(stack, ks.pop(), path.alpha[-1] * below, path.sigma[-1], self.fine)
        stack.scramble(self._bits(images.size) * (path.depth + 1), number)
        return images

    def _bits(self, size: int) -> float:
        """That one variable of so many numbers is popped from, on average."""
        return size * math.log2(GAUSSIAN / self.fine)

    def _delta(self, i: int) -> float:
        return self.path.sigma_q[i] * self.fine


class BitSwap(Order):
    """Bit-Swap's order, for x_t = x. It borrows few bits, whatever T is: one z_t is on the way at a time.

    Each z_t has a grid of its own, fine enough for both what it is popped and what it is pushed under.
    """

    def __init__(self, path: Path, bits: int) -> None:
        super().__init__(path, bits)
        self.up = [alpha / below for alpha, below in zip(path.alpha[1:], path.alpha, strict=False)]
        # of q(z_0 | x), and of q(z_t | z_s)
        spread = np.array(path.sigma[1:]) * np.sqrt(-np.expm1(-np.diff(path.gammas)))
        self.forward = [path.sigma[0], *spread.tolist()]
        backward = [*path.sigma_p[1:], 1.0]
        self.delta = [min(both) * self.fine for both in zip(self.forward, backward, strict=True)]

    def encode(self, images: Images, stack: Stack, number: int) -> Nats:
        """Put the `number`-th batch (n, C, H, W) on the stack -> -log p + log q of its paths, (n,) nats."""
        path = self.path
        mean = path.alpha[0] * path.scale(images)[: len(images)].double()
        stack.scramble(self._bits(images.size, 0), number, 0)
        k, z = self._pop_q(stack, mean, self.forward[0], self.delta[0])
        cost = gain(z - z, z - mean, 1.0, self.forward[0]) + self._push_images(stack, images, z)
        for i in range(1, path.depth + 1):
            mean = self.up[i - 1] * z
            stack.scramble(self._bits(images.size, i), number, i)
            k_above, above = self._pop_q(stack, mean, self.forward[i], self.delta[i])
            predicted = path.mean(above, path.x_hat(above, i), i)
            self._push_p(stack, k, predicted, path.sigma_p[i], self.delta[i - 1])
            cost += gain(z - predicted, above - mean, path.sigma_p[i], self.forward[i])
            k, z = k_above, above
        self._push_p(stack, k, torch.zeros_like(z), 1.0, self.delta[-1])
        return cost + gain(z, z - z, 1.0, 1.0)

    def decode(self, shape: tuple[int, ...], stack: Stack, number: int) -> Images:
        """Take the `number`-th batch, of that shape (n, C, H, W), off the stack; put the popped bits back."""
        path = self.path
        nothing = torch.zeros(shape, dtype=torch.float64, device=path.device)
        k, z = self._pop_p(stack, nothing, 1.0, self.delta[-1])
        for i in range(path.depth, 0, -1):
            predicted = path.mean(z, path.x_hat(z, i), i)
            k_below, below = self._pop_p(stack, predicted, path.sigma_p[i], self.delta[i - 1])
            self._push_q(stack, k, self.up[i - 1] * below, self.forward[i], self.delta[i])
            stack.scramble(self._bits(z.numel(), i), number, i)
            k, z = k_below, below
        images = self._pop_images(stack, z)
        mean = path.alpha[0] * path.scale(images)[: len(images)].double()
        self._push_q(stack, k, mean, self.forward[0], self.delta[0])
        stack.scramble(self._bits(images.size, 0), number, 0)
        return images

    def _bits(self, size: int, i: int) -> float:
        """That z_t is popped from, on average."""
        return size * math.log2(GAUSSIAN * self.forward[i] / self.delta[i])


ORDERS: dict[str, type[Order]] = {"top_down": TopDown, "bit_swap": BitSwap}


def gain(from_p: Tensor, from_q: Tensor, std_p: float, std_q: float) -> Nats:
    """-log p + log q of one variable, from its distances to both means: (n,) nats."""
    squares = (from_p / std_p).square() - (from_q / std_q).square()
    return (0.5 * squares.flatten(1).sum(1)).cpu().numpy() + from_p[0].numel() * np.log(std_p / std_q)


def _half(std: float) -> int:
    """Of q's window, in units of the grid; its mean is up to half a unit off the centre."""
    return int(np.ceil(WINDOW * std)) + 1


def _usual(std: float) -> int:
    """Half of p's window is 2 to this."""
    return math.ceil(math.log2(2 * WINDOW * std))


def _nearest(mean: Tensor, delta: float) -> tuple[NDArray, NDArray]:
    """The grid's point nearest to each mean, and how far the mean is from it, in units of the grid: (n C H W,)."""
    means = (mean / delta).flatten().cpu().numpy()
    centre = np.rint(means)
    return centre, means - centre


def _times(k: NDArray, delta: float, like: Tensor) -> Tensor:
    return torch.from_numpy((k * delta).reshape(like.shape)).to(like.device)
