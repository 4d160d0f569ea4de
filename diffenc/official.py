"""The authors' checkpoints, for callers outside of the package."""

from diffenc.zoo.flax_checkpoint import load_checkpoint

__all__ = ["load_checkpoint"]
