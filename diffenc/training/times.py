"""Adaptive times: a training draws noise levels as often as their part of the loss is large (VDM++).

They change which times a training sees, and so its variance; what it descends, the model and its measurement stay.
"""

import torch
from torch import Tensor

from diffenc.models.schedules import Schedule
from diffenc.runtime.processes import Processes


class AdaptiveTimes:
    """gamma of density p, proportional to E[omega m | gamma] in bins of equal width between the schedule's ends.

    gamma(t) is the inverse of p's piecewise linear distribution function, and gamma' = 1 / p. A bin's mean is moving,
    and bias-corrected: a bin that was seen once has that value. All processes learn from the global batch.

    Args:
        schedule: gives the ends.
        batch: of all processes.
        processes: those that share it.
    """

    BINS = 100
    KEPT = 0.999  # of a bin's mean, an observation
    SPREAD = 0.01  # of the bins' mean, added to each: none starves

    def __init__(self, schedule: Schedule, batch: int, processes: Processes) -> None:
        self.schedule, self.batch, self.processes = schedule, batch, processes
        self.sums, self.mass = torch.zeros(2, self.BINS, dtype=torch.float64, device=processes.device)

    def state(self) -> dict[str, Tensor]:
        """What it has learnt, (BINS,) each: the moving sums, and the weight that is in each."""
        return {"times/sums": self.sums, "times/mass": self.mass}

    def at(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Even times (B,) of this process's images -> gamma and dgamma / dt, (B,), like t."""
        p = self.density()
        edges = torch.nn.functional.pad(p.cumsum(0), (1, 0))
        level = t.double() * edges[-1]
        self._bins = torch.searchsorted(edges[1:-1], level, right=True)
        rate = 1 / p[self._bins]
        self._rate = rate.detach()
        u = (self._bins + (level - edges[self._bins]) * rate) / self.BINS
        gamma_0, gamma_1 = self.schedule.ends()
        height = gamma_1 - gamma_0
        return (gamma_0 + height * u).to(t.dtype), (height * rate).to(t.dtype)

    def density(self) -> Tensor:
        """p in each bin, (BINS,), of mean 1; bins that were never seen lie on the line between those beside them."""
        bins = torch.arange(self.BINS, dtype=torch.float64, device=self.mass.device)
        seen = self.mass > 0
        means = torch.where(seen, self.sums / self.mass, 0.0)
        below = torch.where(seen, bins, -1).cummax(0).values
        above = torch.where(seen, bins, self.BINS).flip(0).cummin(0).values.flip(0)
        first, last = torch.where(below < 0, above, below), torch.where(above == self.BINS, below, above)
        # nothing was seen yet: all alike
        first, last = (one.clamp(0, self.BINS - 1) for one in (first, last))
        share = torch.where(last > first, (bins - first) / (last - first), 0.0)
        means = torch.lerp(means[first.long()], means[last.long()], share)
        means = means + torch.where(seen.any(), self.SPREAD * means.mean(), 1.0)
        return means / means.mean()

    def hear(self, losses: Tensor) -> None:
        """The weighted diffusion term of the images whose times `at` gave last, (B,)."""
        self._heard = torch.stack([self._bins.double(), losses.detach().double() / self._rate])

    def learn(self) -> None:
        """Take what was heard last, in all processes, into the bins' means, one image after the other."""
        bins, values = self.processes.whole(self._heard, self.batch)
        falls_in = (bins[:, None] == torch.arange(self.BINS, device=bins.device)).double()
        later = falls_in.flip(0).cumsum(0).flip(0) - falls_in  # of the same bin, in this batch
        weight = (1 - self.KEPT) * falls_in * self.KEPT**later
        kept = self.KEPT ** falls_in.sum(0)
        self.sums.mul_(kept).add_((weight * values[:, None]).sum(0))
        self.mass.mul_(kept).add_(weight.sum(0))
