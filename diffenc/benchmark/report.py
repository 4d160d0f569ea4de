"""What `diffenc bench` measured, as Markdown to be read and as csv with all digits."""

from pathlib import Path

import pandas as pd
from tabulate import tabulate

from diffenc.io.files import write_csv, write_file
from diffenc.reporting.tables.formatting import number

TIME = "time: "
_COLUMNS = {
    "model": "model",
    "way": "way",
    "ms": "ms a step",
    "median_ms": "median",
    "images_per_s": "images/s",
    "tflops": "TFLOP/s",
    "of_convolution": "of the convolution peak",
    "of_product": "of the product peak",
    "arithmetic_ms": "floor by arithmetic, ms",
    "bytes_ms": "floor by bytes, ms",
    "overhead": "times the plain model",
    "first_s": "first step, s",
    "peak_gib": "memory, GiB",
}


def write(rows: pd.DataFrame, peaks: dict[str, dict[str, float]], machine: dict[str, str], stem: Path) -> None:
    """Write stem.md and stem.csv.

    Args:
        rows: what `step_time.Bench.measure` gave.
        peaks: {precision: {what: so many TFLOP/s, or GB/s}}.
        machine: its description.
        stem: the path without a suffix.
    """
    write_csv(rows, stem.with_name(f"{stem.name}.csv"))
    batch, device = rows["batch"].iloc[0], machine.get("GPU", "CPU")
    parts = [
        f"# Training steps of {batch} images, {device}",
        "\n".join(f"- {name}: {what}" for name, what in machine.items()),
        _markdown(pd.DataFrame([_readable(row) for row in rows.to_dict("records")])),
        "Peaks, measured before and after each model; the highest counts:",
        _markdown(pd.DataFrame(peaks).T.map(lambda value: number(value, 3)).rename_axis("precision").reset_index()),
        "A step is loss, gradients, AdamW and moving average, with dropout; ms is the fastest of the steps, as what"
        " runs beside only slows down. FLOPs are counted by formula (`diffenc/zoo/flops.py`); the floor by bytes is"
        " every layer's input and output once forward and twice backward, at the speed of a copy.",
    ]
    if kinds := [name for name in rows if name.startswith(TIME)]:
        shares = rows[["model", "way", *kinds]].rename(columns=lambda name: name.removeprefix(TIME))
        shares[shares.columns[2:]] = shares[shares.columns[2:]].map(percent)
        parts += ["Where the time goes, by kind of kernel:", _markdown(shares)]
    write_file(stem.with_name(f"{stem.name}.md"), "\n\n".join(parts) + "\n")


def percent(share: float) -> str:
    """0.456 -> 46 %."""
    return "" if pd.isna(share) else f"{100 * share:.0f} %"


def _readable(row: dict) -> dict[str, str]:
    texts = {name: number(row[name], 1) for name in _COLUMNS if name not in ("model", "way")}
    texts |= {name: percent(row[name]) for name in ("of_convolution", "of_product")}
    texts |= {name: number(row[name], 2) for name in ("images_per_s", "tflops", "overhead", "peak_gib")}
    texts |= {name: row[name] for name in ("model", "way")}
    return {header: texts[name] for name, header in _COLUMNS.items()}


def _markdown(frame: pd.DataFrame) -> str:
    return tabulate(frame, headers="keys", tablefmt="github", showindex=False, disable_numparse=True)
