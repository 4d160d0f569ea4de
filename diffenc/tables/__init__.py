"""Tables of a study: a frame each, and how it is read."""

from diffenc.tables.losses import comparisons, components, seeds
from diffenc.tables.views import sheet

__all__ = ["comparisons", "components", "seeds", "sheet"]
