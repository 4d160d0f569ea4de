"""Figures of a study, each written as stem.svg and stem.png from the files of its runs."""

from diffenc.figures.encoded import encodings
from diffenc.figures.heat import ALL_COLUMNS, heatmap, rates
from diffenc.figures.learning import curves
from diffenc.figures.sampled import samples
from diffenc.figures.times import loss_per_t

__all__ = ["ALL_COLUMNS", "curves", "encodings", "heatmap", "loss_per_t", "rates", "samples"]
