"""Table `weightings`: a trained model's weighted losses, and the same as integrals of bounds of noised data."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from diffenc.reporting.tables.common import GROUP, model_columns, models_of, releases_of
from diffenc.reporting.tables.formatting import Cell, Column, Row, Table, mean_se
from diffenc.reporting.tables.notes import said
from diffenc.results import noise_levels
from diffenc.results.runs import check_runs
from diffenc.study.settings import Objective
from diffenc.study.stages import NOISE_LEVELS
from diffenc.study.study import Run, Study, run_folder
from diffenc.zoo.configs import WEIGHTINGS


def weightings(study: Study, runs: pd.DataFrame, tests: pd.DataFrame, folder: Path) -> Table:
    """A row per model and weighting, of the model's first seed: both sides of the identity, from different passes.

    Columns loss and bounds, in bits per dimension, with Monte Carlo standard errors over the passes (missing where a
    side has one pass).

    Raises:
        UserError: `runs` is not exactly the study's, or a run's noise_levels.npz is missing or damaged.
    """
    check_runs(study, runs)
    frame = pd.DataFrame([row for group in models_of(study) for row in _rows(study, *group, folder)])
    columns = [
        *model_columns(study),
        Column("trained by", lambda row: row["trained"], "left"),
        Column("weighting", lambda row: row["weighting"], "left"),
        Column("monotone", lambda row: "yes" if row["monotone"] else "no", "left"),
        Column("weighted loss", _number("loss")),
        Column("as bounds of noised data", _number("bounds")),
    ]
    return Table(
        frame, columns, said("weightings", "loss", "bounds", "ranking") + releases_of(study, runs, {}), GROUP
    )


def _rows(study: Study, dataset: str, schedule: str, models: dict[str, list[Run]], folder: Path) -> Iterator[Row]:
    for model, (first, *_) in models.items():
        arrays = noise_levels.read(run_folder(folder, first) / NOISE_LEVELS)
        training = study.training.get(first)
        trained = str(training.objective) if training and training.objective else "the bound"
        key = {"dataset": dataset, "schedule": schedule, "model": model, "trained": trained}
        for name, omega in zip(WEIGHTINGS, arrays["omega"], strict=True):
            row = key | {"weighting": name, "monotone": Objective(weighting=name).monotone}
            # other passes for each side, or they would be equal by construction
            row |= _over_passes("loss", arrays, noise_levels.weighted_loss, omega, slice(0, None, 2))
            yield row | _over_passes("bounds", arrays, noise_levels.sum_of_bounds, omega, slice(1, None, 2))


def _over_passes(
    name: str, arrays: noise_levels.Arrays, of: noise_levels.Side, omega: np.ndarray, part: slice
) -> Row:
    passes = range(len(arrays["latent"]))[part] or range(1)
    each = [of(arrays, omega, slice(one, one + 1)) for one in passes]
    error = np.std(each, ddof=1) / len(each) ** 0.5 if len(each) > 1 else np.nan
    return {name: float(np.mean(each)), f"{name}_se": float(error)}


def _number(name: str) -> Cell:
    return lambda row: mean_se(row, name, 4)
