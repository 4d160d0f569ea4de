"""On what a command computes: its device and threads, and the processes that share its work."""

import functools
import os
import sys
from argparse import Namespace
from collections.abc import Callable
from typing import TYPE_CHECKING

from diffenc.io.errors import UserError
from diffenc.runtime import gpu_lock
from diffenc.runtime.launch import is_worker, launch

if TYPE_CHECKING:
    import torch

    from diffenc.runtime.processes import Processes


def shared(work: Callable[[Namespace, "Processes"], None]) -> Callable[[Namespace], None]:
    """A command that several processes may share: each of them runs `work`, and so does the one that starts them.

    That one checks what the user gave, so that a mistake is found before anything starts, and calls `launched`.
    """

    @functools.wraps(work)
    def command(options: Namespace) -> None:
        from diffenc.runtime.processes import Processes

        if not is_worker():
            _check(options)
        with Processes.here(_device(options)) as processes:
            _set_threads(options)
            work(options, processes)

    return command


def launched(options: Namespace) -> bool:
    """Start the processes if that is asked for and this is none of them; whether the work is thereby done."""
    if options.processes == 1 or is_worker():
        return False
    if _kind(options) == "cuda":
        names = gpu_lock.names()
        taken = gpu_lock.take(options.processes // options.nodes, names)
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(names[index] for index in taken)
    launch(options.arguments, options.processes, options.nodes)
    return True


def device(options: Namespace) -> "torch.device":
    """Where a command computes that is not shared. Raises UserError if there is no such device."""
    _set_threads(options)
    return _device(options)


def _device(options: Namespace) -> "torch.device":
    import torch

    kind = _kind(options)
    if kind == "cuda" and is_worker():
        return torch.device(kind, int(os.environ["LOCAL_RANK"]))
    if kind == "cuda" and getattr(options, "processes", 1) == 1:
        return torch.device(kind, *gpu_lock.take(1, gpu_lock.names()))
    return torch.device(kind)


def _kind(options: Namespace) -> str:
    import torch

    if options.device == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "--device cuda: torch sees no GPU here; use --device cpu, or check the driver with nvidia-smi"
        )
    return "cuda" if options.device != "cpu" and torch.cuda.is_available() else "cpu"


def _set_threads(options: Namespace) -> None:
    import torch

    if options.threads:
        torch.set_num_threads(options.threads)
    elif is_worker() and "OMP_NUM_THREADS" not in os.environ:  # the processes of this machine share its cores
        torch.set_num_threads(max(1, torch.get_num_threads() // int(os.environ["LOCAL_WORLD_SIZE"])))


def _check(options: Namespace) -> None:
    import torch

    here, rest = divmod(options.processes, options.nodes)
    if rest:
        raise UserError(
            f"--processes {options.processes}: cannot be shared equally by {options.nodes} nodes;"
            f" ask for a multiple of {options.nodes}"
        )
    kind = _kind(options)
    if kind == "cpu" != options.device and os.environ.get("CUDA_VISIBLE_DEVICES"):
        print("diffenc: warning: GPUs are allotted (CUDA_VISIBLE_DEVICES), but torch sees none", file=sys.stderr)
    if kind == "cuda" and here > torch.cuda.device_count():
        raise UserError(
            f"--processes {options.processes}: each needs a GPU of its own, torch sees {torch.cuda.device_count()}"
            f" here for {here}; ask for fewer, or for --device cpu"
        )
