"""The data sets: from their original files to memory-mapped arrays of pixels."""

from diffenc.data.dataset import load, manifest, spec, verify
from diffenc.data.prepare import prepare, prepare_own

__all__ = ["load", "manifest", "prepare", "prepare_own", "spec", "verify"]
