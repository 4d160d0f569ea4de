"""How a device computes: bf16 or float32, with TF32 or without, compiled on a GPU."""

import re
import sys
import warnings
from collections.abc import Callable
from typing import Any, Literal

import torch


def allow_tf32(products: bool, convolutions: bool) -> None:
    """Whether a GPU rounds the factors of float32 products, or convolutions, to 10 bits."""
    torch.backends.cuda.matmul.allow_tf32 = products
    torch.backends.cudnn.allow_tf32 = convolutions


def exact_float32() -> None:
    """Turn TF32 off: what is called float32 is float32."""
    allow_tf32(products=False, convolutions=False)


def resolve_precision(
    precision: Literal["auto", "float32", "bf16"], device: torch.device
) -> Literal["float32", "bf16"]:
    """`auto` is bf16 where the device has units for its products, tensor cores or AMX, and float32 elsewhere."""
    if precision != "auto":
        return precision
    return "bf16" if _multiplies_bf16(device) else "float32"


def compute_dtype(precision: Literal["float32", "bf16"]) -> torch.dtype:
    """Of activations and products."""
    return torch.bfloat16 if precision == "bf16" else torch.float32


def _multiplies_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    # AVX512-BF16 alone, without AMX, was slower than float32 where it was measured (benchmarks/README.md)
    return torch.cpu._is_amx_tile_supported()


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
