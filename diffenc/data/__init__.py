"""The data sets: from their original files to memory-mapped arrays of pixels."""

from diffenc.data.dataset import load, manifest, pixel_counts, place, spec, verify
from diffenc.data.prepare import prepare, prepare_own

__all__ = ["load", "manifest", "pixel_counts", "place", "prepare", "prepare_own", "spec", "verify"]
