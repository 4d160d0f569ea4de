"""The data sets: from their original files to memory-mapped arrays of pixels."""

from diffenc.data.preparation import prepare, prepare_own
from diffenc.data.prepared import facts, load, manifest, verify

__all__ = ["facts", "load", "manifest", "prepare", "prepare_own", "verify"]
