"""Dormand and Prince's Runge-Kutta method of order 5, with the one of order 4 inside it that says how far it is off.

Many initial values at once, each on its own interval and with its own steps: what comes of one does not depend on
what stands beside it. Whether all have arrived is asked of the device once in `CHECKED` steps; those that have are
left out from then on.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

# (times (A,) float64, states (A, n), which of the initial values these are (A,)) -> dy/dt (A, n)
Field = Callable[[Tensor, Tensor, Tensor], Tensor]

CHECKED = 4
MOST = 5000  # steps
_NODES = (1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
_STAGES = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),  # the result of order 5
)
_ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)


class Solved(NamedTuple):
    """States (B, n) at the end, and evaluations of the field (B,) that each took."""

    y: Tensor
    evaluations: Tensor


def adaptive(
    field: Field,
    y: Tensor,
    start: Tensor,
    end: Tensor,
    tolerance: float,
    sizes: tuple[int, ...],
    longest: float = 1.0,
) -> Solved:
    """Integrate from `start` to `end`, in steps of a local error of at most `tolerance` (1 + |y|).

    Args:
        field: dy/dt.
        y: (B, n) initial values.
        start: (B,) float64.
        end: (B,) float64, not below.
        tolerance: for the root mean square over each of the parts.
        sizes: of the parts that a state consists of; their sum is n.
        longest: step, as a part of the interval.

    Raises:
        ArithmeticError: steps become too short, or too many.
    """
    arrived, evaluations = y.clone(), torch.ones(len(y), dtype=torch.int64, device=y.device)
    which, t, step = torch.arange(len(y), device=y.device), start, (end - start) / 50
    at_most = longest * (end - start)
    slope = field(t, y, which)
    for attempt in range(MOST + 1):
        if attempt % CHECKED == 0:
            arrived[which] = y
            left = (t < end[which]).nonzero()[:, 0]
            if not len(left):
                return Solved(arrived, evaluations)
            which, t, y, slope, step = (values[left] for values in (which, t, y, slope, step))
            if not (step > 1e-12 * (end - start)[which]).all():
                raise ArithmeticError("steps became too short")
        rest = end[which] - t
        taken = torch.minimum(torch.minimum(step, at_most[which]), rest)
        evaluations[which] += 6 * (rest > 0)
        new, new_slope, error = _step(field, t, y, slope, taken, which)
        off = _size(error / (tolerance * (1 + torch.maximum(y.abs(), new.abs()))), sizes)
        good = off <= 1
        t = torch.where(good, torch.where(taken == rest, end[which], t + taken), t)
        y, slope = torch.where(good[:, None], new, y), torch.where(good[:, None], new_slope, slope)
        step = taken * (0.9 * off.double() ** -0.2).nan_to_num(0.2).clamp(0.2, 5)
    raise ArithmeticError(f"{MOST:,} steps did not reach the end")


def even(field: Field, y: Tensor, start: Tensor, end: Tensor, steps: int) -> Solved:
    """Integrate y (B, n) from `start` to `end`, (B,) float64, in so many even steps."""
    which, size = torch.arange(len(y), device=y.device), (end - start) / steps
    slope = field(start, y, which)
    for i in range(steps):
        y, slope, _ = _step(field, start + i * size, y, slope, size, which)
    return Solved(y, torch.full((len(y),), 6 * steps + 1, device=y.device))


def _step(
    field: Field, t: Tensor, y: Tensor, slope: Tensor, size: Tensor, which: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The state behind a step of these sizes (A,), its slope, and the estimated error; (A, n) each."""
    across, slopes, new = size.to(y.dtype)[:, None], [slope], y
    for node, weights in zip(_NODES, _STAGES, strict=True):
        new = y + across * sum(weight * one for weight, one in zip(weights, slopes, strict=True) if weight)
        slopes.append(field(t + node * size, new, which))
    error = across * sum(weight * one for weight, one in zip(_ERROR, slopes, strict=True) if weight)
    return new, slopes[-1], error


def _size(error: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """The largest root mean square of an error's parts: (A, n) -> (A,); infinite where it is not a number."""
    parts = [part.square().mean(1).sqrt() for part in error.split(sizes, dim=1)]
    return torch.stack(parts).amax(0).nan_to_num(math.inf, math.inf)
