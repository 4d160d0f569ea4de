"""Several processes that share one piece of work: who this one is, which part is its own, what they tell each other.

`diffenc.runtime.launch` starts them, or a person with torchrun. A single process touches nothing of
torch.distributed.
"""

import os
import re
import signal
import warnings
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from diffenc.io.errors import UserError
from diffenc.runtime.launch import is_worker
from diffenc.runtime.signals import LOST, Ended, Stopped, die_with_parent

Item = TypeVar("Item")


class Processes:
    """The group that this process belongs to. Entering its context joins it, leaving the context leaves it."""

    def __init__(self, device: torch.device, rank: int = 0, size: int = 1) -> None:
        self.device, self.rank, self.size = device, rank, size

    @classmethod
    def here(cls, device: torch.device) -> "Processes":
        """As the environment says, not yet joined; each process computes on its own `device`."""
        if not is_worker():
            return cls(device)
        return cls(device, int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))

    @property
    def first(self) -> bool:
        """Whether this is the one that writes and talks."""
        return self.rank == 0

    def __enter__(self) -> "Processes":
        if self.device.index is not None:
            torch.cuda.set_device(self.device)
        if self.size > 1:
            die_with_parent(signal.SIGTERM)  # the launcher
            backend = "cpu:gloo,cuda:nccl" if self.device.type == "cuda" else "gloo"
            self._store, _, _ = next(dist.rendezvous("env://"))
            dist.init_process_group(backend, store=self._store, rank=self.rank, world_size=self.size)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.size == 1:
            return
        if error is None or isinstance(error, Stopped):  # all came here, so all can wait for the first's last file
            try:
                self.wait()
            except RuntimeError as lost:
                if isinstance(error, Stopped) and self.first:
                    return  # all had agreed, its checkpoint is written: another one has only left earlier
                error = lost
            else:
                dist.destroy_process_group()
                if error and not self.first:
                    raise Ended(error.status)
                return
        self._fail(error)

    def _fail(self, error: BaseException) -> None:
        """Let one process say what went wrong, once; the others end without a word."""
        lost = isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error))
        if lost:
            # without the place in gloo's sources before it, and its advice after it
            reason = re.sub(r"^\[.*?\] ", "", str(error).strip().splitlines()[0]).partition(". ")[0]
            said = f"process {self.rank} of {self.size} lost another one ({reason}); run again to go on"
            raise Ended(LOST, said if self._is_first_to_tell() else "")
        if not self._is_first_to_tell():
            raise Ended(130 if isinstance(error, KeyboardInterrupt) else 2 if isinstance(error, UserError) else 1)

    def _is_first_to_tell(self) -> bool:
        try:
            return self._store.add("diffenc/told", 1) == 1
        except (RuntimeError, ValueError):  # the machine that held the store is gone
            return True

    def part(self, count: int) -> slice:
        """This one's contiguous part of `count` things: parts are equal if the count can be divided."""
        return slice(self.rank * count // self.size, (self.rank + 1) * count // self.size)

    def dealt(self, items: Sequence[Item]) -> Sequence[Item]:
        """Every `size`-th of the items, beginning with this one's."""
        return items[self.rank :: self.size]

    def mean(self, tensor: Tensor) -> Tensor:
        """The average over all processes of a tensor of any shape; the host does not wait for a GPU."""
        if self.size == 1:
            return tensor
        total = tensor.detach().clone()
        dist.all_reduce(total)
        return total / self.size

    def whole(self, parts: Tensor, count: int) -> Tensor:
        """(..., part of the count) of each -> (..., count) on all; the host does not wait for a GPU."""
        if self.size == 1:
            return parts
        found = parts.new_zeros(*parts.shape[:-1], count)
        found[..., self.part(count)] = parts
        dist.all_reduce(found)
        return found

    def highest(self, number: int) -> int:
        """The largest of all processes' numbers. The hosts agree among themselves, no GPU is involved."""
        if self.size == 1:
            return number
        found = torch.tensor(number)
        dist.all_reduce(found, dist.ReduceOp.MAX)
        return int(found)

    def wait(self) -> None:
        """Until all processes are here."""
        self.highest(0)

    def gather(self, value: Item) -> list[Item]:
        """Every process's value, in their order, on the first; nothing on the others."""
        if self.size == 1:
            return [value]
        found = [None] * self.size if self.first else None
        dist.gather_object(value, found)
        return found or []

    def from_first(self, value: Any) -> Any:
        """The first's value, on all."""
        if self.size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values)
        return values[0]

    def copy_from_first(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite the tensors by the first's, in place."""
        if self.size > 1:
            for tensor in tensors:
                plain = tensor.detach().contiguous()  # a copy, if channels lie side by side
                dist.broadcast(plain, 0)
                tensor.detach().copy_(plain)

    def data_parallel(self, module: nn.Module) -> nn.Module:
        """`module`, its gradients averaged over all processes by its backward pass."""
        if self.size == 1:
            return module
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # the new name of broadcast_buffers is not in torch 2.11
            return DistributedDataParallel(module, broadcast_buffers=False, gradient_as_bucket_view=True)
