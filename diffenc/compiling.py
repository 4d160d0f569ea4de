"""Compiled functions for a GPU, where fused kernels pay; on a CPU compiling takes longer than it saves."""

import re
import sys
import warnings
from collections.abc import Callable
from typing import Any

import torch


def compiled(function: Callable[..., Any], device: torch.device) -> Callable[..., Any]:
    """`function` as it runs best on the device: on a GPU compiled at its first call, for one shape of arguments."""
    return Compiled(function) if device.type == "cuda" else function


class Compiled:
    """A function in one compiled graph; where the compiler is missing or fails, as it is, with one warning."""

    warned = False

    def __init__(self, function: Callable[..., Any]) -> None:
        warnings.filterwarnings("ignore", message="TensorFloat32 tensor cores")  # not used: on purpose
        self.function = function
        self.fast = torch.compile(function, dynamic=False, fullgraph=True)

    def __call__(self, *arguments: Any) -> Any:
        """What the function gives."""
        from torch._dynamo.exc import TorchDynamoException

        if self.fast is not None:
            try:
                return self.fast(*arguments)
            except TorchDynamoException as error:
                self.fast = None
                Compiled._warn(error)
        return self.function(*arguments)

    @classmethod
    def _warn(cls, error: Exception) -> None:
        if not cls.warned:
            cls.warned = True
            # the cause is the last of the errors that are quoted
            why = [
                str(error).strip().partition("\n")[0],
                *re.findall(r"^\w+(?:Error|Exception)\b.+", str(error), re.M),
            ][-1]
            remedy = "torch.compile needs Triton and a C compiler"
            print(f"diffenc: warning: cannot compile, going on slower without ({why}); {remedy}", file=sys.stderr)
