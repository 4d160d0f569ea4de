"""The data sets: from their original files to memory-mapped arrays of pixels."""

from diffenc.data.dataset import facts, load, manifest, verify
from diffenc.data.prepare import prepare, prepare_own

__all__ = ["facts", "load", "manifest", "prepare", "prepare_own", "verify"]
