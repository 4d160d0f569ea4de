"""The settings in a study, part by part: what each key may be, its default, and what it means.

The text below a key is what `diffenc schema` shows, editors with it, and config/README.md.
"""

from diffenc.study.settings.measurements import (
    EXACT_TRACE,
    GRID,
    INCEPTION,
    MOST_STEPS,
    NO_INCEPTION,
    VARIATIONAL,
    Compression,
    Depth,
    Evaluation,
    Fid,
    FidOfRun,
    Inspection,
    Likelihood,
    NoiseLevels,
    Process,
    Samples,
)
from diffenc.study.settings.runs import (
    Devices,
    Model,
    Objective,
    Saving,
    Schedule,
    Selection,
    Training,
    Weights,
)

__all__ = [
    "EXACT_TRACE",
    "GRID",
    "INCEPTION",
    "MOST_STEPS",
    "NO_INCEPTION",
    "VARIATIONAL",
    "Compression",
    "Depth",
    "Devices",
    "Evaluation",
    "Fid",
    "FidOfRun",
    "Inspection",
    "Likelihood",
    "Model",
    "NoiseLevels",
    "Objective",
    "Process",
    "Samples",
    "Saving",
    "Schedule",
    "Selection",
    "Training",
    "Weights",
]
