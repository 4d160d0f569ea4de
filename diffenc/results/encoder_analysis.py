"""What inspection.npz holds of a run: what `diffenc.evaluation.encoder_analysis` finds out about its encoder."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from diffenc.io.arrays import read_arrays

_SHAPES = {
    **{"t": "T", "gamma": "T", "image": "N", "change": "TN", "encoding": "TN"},
    **{"spectrum_t": "S", "frequency": "F", "modes": "F", "power_x": "F", "power_x_t": "SF", "power_change": "SF"},
}
_OF_A_MOTION = {"motion": "TN", "residual": "TN"}
_OF_A_NET = {"y": "TN"}


def share_left(arrays: Mapping[str, np.ndarray]) -> NDArray[np.float64]:
    """(T,): the squared residual over the squared motion, both summed over images.

    0: the counterterm cancels the motion exactly; 1: no better than no counterterm; above 1: worse.
    """
    residual, motion = (np.square(arrays[name], dtype=np.float64) for name in ("residual", "motion"))
    return residual.sum(axis=-1) / motion.sum(axis=-1)


def over_images(norms: np.ndarray) -> NDArray[np.float64]:
    """(..., N) norms over sqrt(d) -> (...,): the root mean square over images as well."""
    return np.sqrt(np.square(norms, dtype=np.float64).mean(axis=-1))


def read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an inspection.npz.

    Raises:
        UserError: the file is missing or damaged, lacks an array, or their shapes do not fit together.
    """
    arrays = read_arrays(path, _SHAPES)
    with np.load(path, allow_pickle=False) as file:
        more = {name: axes for name, axes in (_OF_A_MOTION | _OF_A_NET).items() if name in file.files}
    if more:
        # a motion without its residual is a damaged file's
        arrays = read_arrays(path, _SHAPES | more | (_OF_A_MOTION if more.keys() & _OF_A_MOTION else {}))
    return arrays
