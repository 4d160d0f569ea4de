"""Tests, intervals and power: pure functions of numbers."""

from diffenc.statistics.equivalence import tost
from diffenc.statistics.welch import welch

__all__ = ["tost", "welch"]
