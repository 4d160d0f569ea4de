"""The ways in which `diffenc bench` computes a step."""

from typing import Literal, NamedTuple


class Way(NamedTuple):
    """Precision of activations and products; on a GPU, whether with TF32, and whether without the compiler."""

    precision: Literal["float32", "bf16"]
    tf32: bool = False
    eager: bool = False


WAYS = {"float32": Way("float32"), "bf16": Way("bf16"), "tf32-eager": Way("float32", tf32=True, eager=True)}
