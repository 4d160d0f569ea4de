"""Tables of a study: a frame each, and how it is read."""

from diffenc.tables.cost import cost
from diffenc.tables.literature import literature
from diffenc.tables.losses import comparisons, components, seeds, selected
from diffenc.tables.views import sheet

__all__ = ["comparisons", "components", "cost", "literature", "seeds", "selected", "sheet"]
