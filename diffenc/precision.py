"""In what precision the denoiser's activations and products are; all else is float32."""

from typing import Literal

import torch


def allow_tf32(products: bool, convolutions: bool) -> None:
    """Whether a GPU rounds the factors of float32 products, or convolutions, to 10 bits."""
    torch.backends.cuda.matmul.allow_tf32 = products
    torch.backends.cudnn.allow_tf32 = convolutions


def exact_float32() -> None:
    """Turn TF32 off: what is called float32 is float32."""
    allow_tf32(products=False, convolutions=False)


def resolved(precision: Literal["auto", "float32", "bf16"], device: torch.device) -> Literal["float32", "bf16"]:
    """`auto` is bf16 where the device has units for its products, tensor cores or AMX, and float32 elsewhere."""
    if precision != "auto":
        return precision
    return "bf16" if _multiplies_bf16(device) else "float32"


def dtype(precision: Literal["float32", "bf16"]) -> torch.dtype:
    """Of activations and products."""
    return torch.bfloat16 if precision == "bf16" else torch.float32


def _multiplies_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    # AVX512-BF16 alone, without AMX, was slower than float32 where it was measured (benchmarks/README.md)
    return torch.cpu._is_amx_tile_supported()
