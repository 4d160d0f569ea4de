"""Learning curves: each term against the training step, with the spread over seeds."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from diffenc.io.errors import UserError, make
from diffenc.reporting.figures import style
from diffenc.results.records import read_history
from diffenc.study.stages import TERMS


def curves(files: dict[str, list[Path]], stem: Path, title: str, order: Sequence[str] | None = None) -> None:
    """Draw bits per dimension against the step, a panel per term, from {model: its seeds' history.jsonl}.

    Thick lines are means over seeds, bands reach from the lowest to the highest seed, thin lines are the seeds.
    `order` names the study's models, so that a model has one colour in all its figures.

    Raises:
        UserError: a file is missing or damaged, or the seeds of a model share no step.
    """
    models = {name: read_model(paths) for name, paths in files.items()}
    with style.styled():
        style.save(draw(models, title, order or list(models)), stem)


def read_model(paths: Sequence[Path]) -> pd.DataFrame:
    """The terms by step, columns (seed, term), at the steps that all seeds have; raises UserError."""
    frames = [read_history(path).set_index("step")[list(TERMS)] for path in paths]
    terms = pd.concat(frames, axis=1, join="inner", keys=range(len(frames)), names=["seed", "term"])
    if terms.empty:
        raise UserError(f"{paths[0]}: shares no step with {paths[-1]}; {make(paths[0])}")
    return terms


def draw(models: dict[str, pd.DataFrame], title: str, order: Sequence[str]) -> Figure:
    """The figure of {name: terms by step, columns (seed, term)}; `order` gives the colours."""
    looks = style.looks(order)
    figure = style.titled(style.WIDTH, style.panels_height(len(models)), title)
    panels = figure.subplots(2, 2, sharex=True)
    for axes, term in zip(panels.flat, TERMS, strict=True):
        for name, terms in models.items():
            _curve(axes, name, terms.xs(term, axis=1, level="term"), looks[name])
        axes.set_title(term)
        style.wide_range(axes.yaxis)
        _leave_out_blow_ups(axes, {name: terms.xs(term, axis=1, level="term") for name, terms in models.items()})
    for axes in panels[-1]:
        axes.set_xlabel("training step")
        style.wide_range(axes.xaxis)
    for axes in panels[:, 0]:
        axes.set_ylabel("bits per dimension")
    spread = any(len(terms.columns) > len(TERMS) for terms in models.values())
    style.legend_below(figure, panels[0, 0], *(("range over seeds", "one seed") if spread else ()))
    return figure


def _leave_out_blow_ups(axes: Axes, models: dict[str, pd.DataFrame]) -> None:
    """What rises to more than twice of where a training begins or ends would hide all else."""
    everything = pd.concat(models.values(), axis=1)
    usual = max(everything.iloc[0].max(), everything.iloc[-1].max())
    peaks = {name: seeds.max().max() for name, seeds in models.items()}
    if (far := {name: peak for name, peak in peaks.items() if peak > 2 * usual}) and axes.get_yscale() == "linear":
        said = ", ".join(f"{name}, {peak:.3g}" for name, peak in far.items())
        style.leave_out(axes, everything.min().min(), usual, said)


def _curve(axes: Axes, name: str, seeds: pd.DataFrame, look: style.Look) -> None:
    """One model's values by step, a column per seed."""
    for seed in seeds:
        axes.plot(seeds[seed], color=look.color, linewidth=0.5, alpha=0.5)
    style.over_seeds(axes, seeds, look, style.with_n(name, seeds.shape[1]), width=1.6)
