"""Where a training step's time goes, against the least that it could take."""

from pathlib import Path

import pandas as pd

from diffenc.benchmark.report import TIME, percent
from diffenc.reporting.figures import style

_FLOORS = {"arithmetic_ms": ("|", "floor by arithmetic"), "bytes_ms": ("x", "floor by bytes")}


def speed(rows: pd.DataFrame, stem: Path, title: str) -> None:
    """Draw a bar for each row of `diffenc bench`: shares of the step by kind of kernel, and both floors."""
    kinds = [name for name in rows if name.startswith(TIME)]
    labels = [f"{row.model}\n{row.way}" for row in rows.itertuples()]
    with style.styled():
        figure = style.titled(style.WIDTH, 1.6 + 0.5 * len(rows), title)
        axes = figure.subplots()
        left = pd.Series(0.0, rows.index)
        for kind, colour in zip(kinds, style.COLOURS, strict=False):
            share = rows[kind].fillna(0)
            axes.barh(rows.index, share, left=left, color=colour, label=kind.removeprefix(TIME), height=0.6)
            left += share
        for name, (marker, label) in _FLOORS.items():
            axes.plot(rows[name] / rows["ms"], rows.index, marker, color="black", markersize=12, label=label)
        for at, row in rows.iterrows():
            speed_of = row["images_per_s"]
            text = f"{speed_of:{',.0f' if speed_of >= 100 else '.3g'}} images/s, {percent(row['of_convolution'])}"
            axes.annotate(text, (1.01, at), va="center", fontsize=8)
        axes.set(xlim=(0, 1.3), xlabel="share of the step", yticks=rows.index, yticklabels=labels)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4)
        style.save(figure, stem)
