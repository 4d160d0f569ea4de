"""The data sets: from their original files to memory-mapped arrays of pixels."""

from diffenc.data.preparation import prepare
from diffenc.data.prepared import load, manifest, verify

__all__ = ["load", "manifest", "prepare", "verify"]
